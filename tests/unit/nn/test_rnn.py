"""The recurrent network."""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from relume.errors import SettingsError, UnknownNameError
from relume.nn.blocks import ActivationChoice
from relume.nn.registry import activation_names
from relume.nn.rnn import RecurrentLayer, rnn


def test_relu_and_tanh_run_as_torch_s_own():
    assert rnn(3, 4, 2).recurrent.nonlinearity == "relu"
    assert rnn(3, 4, 2, activation="tanh").recurrent.nonlinearity == "tanh"
    other = rnn(3, 4, 2, activation_parameters={"subgradient_at_zero": 0.5})
    assert isinstance(other.recurrent, nn.Sequential)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_loop_agrees_with_torch_s_own(activation):
    torch.manual_seed(0)
    fast = nn.RNN(3, 5, nonlinearity=activation, batch_first=True)
    loop = RecurrentLayer(3, 5, ActivationChoice(activation))
    with torch.no_grad():
        fast.bias_hh_l0.zero_()
        for name in ("weight_ih", "weight_hh", "bias_ih"):
            getattr(loop, name).copy_(getattr(fast, f"{name}_l0"))
    x = torch.randn(4, 7, 3)
    torch.testing.assert_close(loop(x), fast(x)[0])


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_padding_behind_the_last_step_changes_nothing(activation):
    torch.manual_seed(0)
    network = rnn(3, 8, 2, activation=activation, layers=2)
    x = torch.randn(4, 6, 3)
    lengths = torch.tensor([6, 3, 1, 5])
    mask = torch.arange(6) < lengths[:, None]
    found = network(x, mask)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row], network(x[row : row + 1, :length])[0])
    assert torch.equal(network(x, torch.ones(4, 6, dtype=torch.bool)), network(x))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "prelu", "identity"])
def test_the_identity_start_keeps_a_state_for_forty_steps(activation):
    torch.manual_seed(0)
    network = rnn(3, 20, 2, activation=activation)
    x = torch.zeros(5, 41, 3)
    x[:, 0] = torch.randn(5, 3)
    fired = network.states(x).clamp(min=0).norm(dim=2)
    assert (fired[:, 0] > 0).all()
    torch.testing.assert_close(fired[:, -1], fired[:, 0])


@pytest.mark.parametrize("activation", activation_names())
def test_a_long_sequence_stays_finite(activation):
    torch.manual_seed(0)
    network = rnn(3, 8, 2, activation=activation)
    out = network(torch.randn(16, 60, 3))
    out.square().mean().backward()
    assert out.isfinite().all()
    assert all(each.grad.isfinite().all() for each in network.parameters())


def test_what_the_schemes_draw():
    torch.manual_seed(0)
    identity = rnn(200, 300, 2).recurrent
    assert torch.equal(identity.weight_hh_l0, torch.eye(300))
    assert identity.weight_ih_l0.std().item() == pytest.approx(1 / math.sqrt(200), rel=0.02)
    lecun = rnn(200, 300, 2, init="lecun").recurrent
    assert lecun.weight_hh_l0.std().item() == pytest.approx(1 / math.sqrt(300), rel=0.02)
    gated = rnn(200, 300, 2, activation="maxout").recurrent[0]
    columns = gated.weight_hh.T @ gated.weight_hh
    torch.testing.assert_close(columns, 2 * torch.eye(300), atol=1e-4, rtol=0)
    squared = rnn(200, 300, 2, activation="squared_relu").recurrent[0]
    assert squared.weight_ih.std().item() == pytest.approx(0.001 / math.sqrt(200), rel=0.02)


def test_dropout_falls_on_the_last_state_in_training_only():
    torch.manual_seed(0)
    network = rnn(3, 8, 2, dropout=0.5)
    x = torch.randn(4, 6, 3)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
    assert type(network.dropout) is nn.Dropout
    assert type(rnn(3, 8, 2, activation="selu", dropout=0.5).dropout) is nn.AlphaDropout


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SettingsError, match="hidden must be at least 1; got 0"):
        rnn(3, 0, 2)
    with pytest.raises(SettingsError, match="layers must be at least 1; got 0"):
        rnn(3, 4, 2, layers=0)
    with pytest.raises(UnknownNameError, match="'identiy'; did you mean identity"):
        rnn(3, 4, 2, init="identiy")


def test_it_reads_the_digits_row_by_row():
    digits = load_digits()
    x = torch.tensor(digits.images / 16, dtype=torch.float32)
    y = torch.tensor(digits.target)
    torch.manual_seed(0)
    order = torch.randperm(len(x))
    train, test = order[:1400], order[1400:]
    network = rnn(8, 48, 10)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(15):
        for rows in train[torch.randperm(1400)].split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    assert (network(x[test]).argmax(1) == y[test]).float().mean() > 0.93


def test_a_padded_network_reads_its_mask_from_the_last_number_of_a_step():
    torch.manual_seed(0)
    network = rnn(3, 8, 2, padded=True)
    twin = rnn(3, 8, 2)
    twin.load_state_dict(network.state_dict())
    x, mask = torch.randn(4, 6, 3), torch.arange(6) < torch.tensor([6, 1, 3, 5])[:, None]
    marked = torch.cat((x, mask[:, :, None]), 2)
    torch.testing.assert_close(network(marked), twin(x, mask), rtol=0, atol=0)
    assert not torch.equal(network(marked), twin(x))
