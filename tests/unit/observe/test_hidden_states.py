"""Growth of hidden states against networks unrolled by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from relume.observe.calls import Calls, Kind
from relume.observe.hidden_states import HiddenStates, recurrent_matrix, spectral_radius


class Following:
    """Calls that are followed for the length of a block."""

    def __init__(self):
        self.calls = Calls(lambda *_: None, lambda _: Kind())
        self.hidden = HiddenStates(lambda: self.calls.number, lambda _: "")
        self.calls.visitors.append(self.hidden)

    def __enter__(self):
        self.calls.attach()
        return self

    def __exit__(self, *_):
        self.calls.detach()
        assert self.calls.fault is None, repr(self.calls.fault)

    def fact(self):
        (found,) = self.hidden.facts()
        return found


def size(values):
    return math.sqrt((values.detach().double() ** 2).mean().item())


def unrolled(module, x):
    """Return the states of a one-layer tanh or relu network, time first, in numpy."""
    w, v = module.weight_ih_l0.detach().double(), module.weight_hh_l0.detach().double()
    bias = (module.bias_ih_l0 + module.bias_hh_l0).detach().double()
    h, states = torch.zeros(x.shape[1], v.shape[0], dtype=torch.float64), []
    for step in x.double():
        z = step @ w.T + bias + h @ v.T
        h = z.tanh() if module.nonlinearity == "tanh" else z * (z > 0)
        states.append(h)
    return torch.stack(states)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_growth_is_that_of_a_network_unrolled_by_hand(nonlinearity, batch_first):
    torch.manual_seed(1)
    module = nn.RNN(3, 6, nonlinearity=nonlinearity, batch_first=batch_first)
    with torch.no_grad():
        module.weight_hh_l0.mul_(3)
    logs = []
    with Following() as following:
        for time_steps in (5, 9, 1):
            x = torch.randn(time_steps, 4, 3)
            module(x.transpose(0, 1) if batch_first else x)
            states = unrolled(module, x)
            if time_steps > 1:
                logs.append(math.log(size(states[-1]) / size(states[0])))
    fact = following.fact()
    assert fact.growth == pytest.approx(math.exp(np.mean(logs)), rel=1e-5)
    assert (fact.passes, fact.time_steps, fact.nonlinearity) == (3, 9, nonlinearity)
    matrix = module.weight_hh_l0.detach().double().numpy()
    assert fact.spectral_radius == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max())


def test_packed_sequences_end_where_each_ends():
    torch.manual_seed(2)
    module, lengths = nn.RNN(3, 5), [7, 2, 4]
    x = torch.randn(7, 3, 3)
    with Following() as following:
        module(pack_padded_sequence(x, lengths, enforce_sorted=False))
    states = unrolled(module, x)
    last = torch.stack([states[length - 1, row] for row, length in enumerate(lengths)])
    assert following.fact().growth == pytest.approx(size(last) / size(states[0]), rel=1e-5)
    assert following.fact().time_steps == 7


def test_the_forward_direction_of_the_last_layer_is_told():
    torch.manual_seed(3)
    module = nn.RNN(3, 5, num_layers=2, bidirectional=True)
    x = torch.randn(6, 4, 3)
    with Following() as following:
        output, _ = module(x)
        packed, _ = module(pack_padded_sequence(x, [6] * 4))
    ratio = size(output[-1, :, :5]) / size(output[0, :, :5])
    assert following.fact().growth == pytest.approx(ratio, rel=1e-5)
    assert packed is not None


@pytest.mark.parametrize(("make", "part"), [(nn.LSTM, slice(10, 15)), (nn.GRU, slice(10, 15))])
def test_of_gated_layers_the_candidates_matrix_is_told(make, part):
    module = make(3, 5)
    with Following() as following:
        output, _ = module(torch.randn(8, 2, 3))
    fact = following.fact()
    matrix = module.weight_hh_l0.detach().double().numpy()[part]
    assert fact.spectral_radius == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max())
    assert fact.growth == pytest.approx(size(output[-1]) / size(output[0]), rel=1e-5)
    assert (fact.kind, fact.nonlinearity) == (make.__name__, "tanh")


class Unrolling(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell
        self.states = []

    def forward(self, x):
        state, self.states = None, []
        for step in x:
            state = self.cell(step, state) if state is not None else self.cell(step)
            self.states.append(state[0] if isinstance(state, tuple) else state)
        return self.states[-1]


@pytest.mark.parametrize("make", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
@pytest.mark.parametrize("is_loose", [False, True])
def test_a_cell_is_followed_over_its_sequence(make, is_loose):
    torch.manual_seed(4)
    cell, logs = make(3, 5), []
    net = Unrolling(cell)
    with Following() as following:
        for time_steps in (4, 6):
            x = torch.randn(time_steps, 2, 3)
            net.forward(x) if is_loose else net(x)
            logs.append(math.log(size(net.states[-1]) / size(net.states[0])))
    fact = following.fact()
    assert (fact.passes, fact.time_steps, fact.kind) == (2, 6, make.__name__)
    assert fact.growth == pytest.approx(math.exp(np.mean(logs)), rel=1e-5)
    assert fact.spectral_radius > 0


def test_evaluations_are_not_counted_and_nothing_finite_is_nan():
    module = nn.RNN(2, 3)
    with Following() as following:
        with torch.no_grad():
            module(torch.randn(3, 2, 2))
        module.eval()
        module(torch.randn(3, 2, 2))
        assert not list(following.hidden.facts())
        module.train()
        module(torch.full((3, 2, 2), math.nan))
    assert math.isnan(following.fact().growth)
    assert following.fact().passes == 1


def test_matrices_that_are_large_not_square_or_not_finite_have_no_radius():
    assert math.isnan(spectral_radius(torch.full((2, 2), math.nan)))
    assert recurrent_matrix(nn.LSTM(3, 5, proj_size=2)) is None
    assert recurrent_matrix(nn.Linear(2, 2)) is None
    large = nn.RNN(2, 520)
    with Following() as following:
        large(torch.randn(2, 1, 2))
    assert math.isnan(following.fact().spectral_radius)


def test_eigenvalues_are_computed_at_the_first_pass_and_every_twentieth():
    module = nn.RNN(2, 2)
    seen = []
    with Following() as following:
        for number in range(42):
            with torch.no_grad():
                module.weight_hh_l0.copy_(torch.eye(2) * (number + 1))
            module(torch.randn(2, 1, 2))
            seen.append(following.fact().spectral_radius)
    assert seen == [1.0] * 20 + [21.0] * 20 + [41.0] * 2
