"""Each scheme draws what its paper says, and nothing else."""

import math

import pytest
import torch
from torch import nn

from relume.errors import SettingsError, UnknownNameError
from relume.nn.init import (
    SCHEMES,
    draw_,
    get_scheme,
    identity_recurrent_,
    initialise_,
    lsuv_,
    scheme_names,
)
from relume.nn.mlp import mlp
from relume.nn.registry import activations

SINGLE_GAIN = [each for each in activations() if not math.isnan(each.facts.gain)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("entry", SINGLE_GAIN, ids=lambda entry: entry.name)
def test_he_reads_the_gain_of_the_activation(entry):
    layer = initialise_(nn.Linear(300, 400), "he", entry.name, generator=generator())
    deviation = entry.facts.gain / math.sqrt(300)
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert abs(layer.weight.mean().item()) < 0.02 * deviation
    assert not layer.bias.any()


def test_softmax_has_no_gain_and_gets_one():
    layer = initialise_(nn.Linear(300, 400), "he", "softmax", generator=generator())
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(300), rel=0.02)


@pytest.mark.parametrize(
    ("scheme", "deviation"),
    [
        ("he", math.sqrt(2 / 300)),
        ("he_uniform", math.sqrt(2 / 300)),
        ("he_fan_out", math.sqrt(2 / 700)),
        ("he_uniform_fan_out", math.sqrt(2 / 700)),
        ("glorot", math.sqrt(2 / 1000)),
        ("glorot_uniform", math.sqrt(2 / 1000)),
        ("lecun", math.sqrt(1 / 300)),
        ("orthogonal", math.sqrt(2 / 300)),
    ],
)
def test_the_standard_deviation_of_each_scheme(scheme, deviation):
    weight = initialise_(nn.Linear(300, 700), scheme, "relu", generator=generator()).weight
    assert weight.std().item() == pytest.approx(deviation, rel=0.01)
    if "uniform" in scheme:
        assert weight.abs().max().item() == pytest.approx(math.sqrt(3) * deviation, rel=1e-3)
        assert weight.abs().max() <= math.sqrt(3) * deviation


def test_every_scheme_has_a_test_of_its_deviation():
    tested = test_the_standard_deviation_of_each_scheme.pytestmark[0].args[1]
    assert {scheme for scheme, _ in tested} == set(scheme_names())


@pytest.mark.parametrize(
    ("scheme", "peer"),
    [
        ("he", lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=generator())),
        (
            "he_uniform",
            lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=generator()),
        ),
        (
            "he_fan_out",
            lambda w: nn.init.kaiming_normal_(
                w, mode="fan_out", nonlinearity="relu", generator=generator()
            ),
        ),
        ("glorot", lambda w: nn.init.xavier_normal_(w, generator=generator())),
        ("glorot_uniform", lambda w: nn.init.xavier_uniform_(w, generator=generator())),
    ],
)
def test_agrees_with_torch_draw_by_draw(scheme, peer):
    conv = initialise_(nn.Conv2d(6, 8, 3), scheme, "relu", generator=generator())
    torch.testing.assert_close(conv.weight.detach(), peer(torch.empty(8, 6, 3, 3)))


def test_groups_divide_both_fans():
    conv = nn.Conv1d(64, 128, 5, groups=4)
    initialise_(conv, "he", "relu", generator=generator())
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (16 * 5)), rel=0.03)
    initialise_(conv, "he_fan_out", "relu", generator=generator())
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (32 * 5)), rel=0.03)


@pytest.mark.parametrize("shape", [(20, 50), (50, 50), (90, 50)])
def test_orthogonal_keeps_the_second_moment(shape):
    weight = torch.empty(shape)
    draw_(weight, "orthogonal", 2.0)
    short = weight if shape[0] <= shape[1] else weight.T
    factor = 4 * max(1, shape[0] / shape[1])
    torch.testing.assert_close(short @ short.T, factor * torch.eye(len(short)), atol=1e-4, rtol=0)
    x = torch.randn(4000, shape[1])
    assert (x @ weight.T).square().mean().item() == pytest.approx(4, rel=0.05)


def test_a_gain_that_is_given_counts_for_every_scheme():
    for scheme in SCHEMES:
        layer = nn.Linear(400, 400)
        initialise_(layer, scheme.name, "relu", gain=3.0, generator=generator())
        assert layer.weight.std().item() == pytest.approx(3 / 20, rel=0.02), scheme.name


def test_the_generator_alone_is_used():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    weights = [
        initialise_(mlp_without_random_numbers(), "orthogonal", generator=generator(5))[0].weight
        for _ in range(2)
    ]
    assert torch.equal(*weights)
    assert torch.equal(torch.get_rng_state(), state)


def mlp_without_random_numbers():
    with torch.random.fork_rng():
        return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))


def test_the_weights_stay_parameters_that_learn():
    model = initialise_(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))
    assert all(each.requires_grad and each.is_leaf for each in model.parameters())


def test_what_cannot_be_used_is_refused():
    with pytest.raises(UnknownNameError, match="unknown initialisation 'hee'; did you mean he"):
        initialise_(nn.Linear(2, 2), "hee")
    with pytest.raises(UnknownNameError, match="unknown activation 'rellu'"):
        initialise_(nn.Linear(2, 2), "he", "rellu")
    for gain in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(SettingsError, match="gain must be a positive number; got"):
            initialise_(nn.Linear(2, 2), gain=gain)


def test_every_scheme_cites_its_paper():
    assert [get_scheme(name).name for name in scheme_names()] == list(scheme_names())
    assert all(scheme.paper.authors and scheme.paper.where for scheme in SCHEMES)


class TestIdentityRecurrent:
    def test_the_state_outlasts_forty_steps(self):
        layer = nn.RNN(3, 50, nonlinearity="relu", batch_first=True)
        torch.manual_seed(0)
        identity_recurrent_(layer)
        x = torch.zeros(4, 41, 3)
        x[:, 0] = torch.randn(4, 3)
        norms = layer(x)[0].norm(dim=2)
        assert (norms[:, 0] > 0).all()
        torch.testing.assert_close(norms[:, -1], norms[:, 0])

    def test_torch_s_own_start_forgets(self):
        torch.manual_seed(0)
        layer = nn.RNN(3, 50, nonlinearity="relu", batch_first=True, bias=False)
        x = torch.zeros(4, 41, 3)
        x[:, 0] = torch.randn(4, 3)
        norms = layer(x)[0].norm(dim=2)
        assert (norms[:, -1] < 1e-6 * norms[:, 0]).all()

    def test_a_scale_below_one_fades(self):
        layer = identity_recurrent_(nn.RNN(1, 5, nonlinearity="relu"), scale=0.5)
        x = torch.zeros(11, 1, 1)
        x[0] = 1
        norms = layer(x)[0].norm(dim=2).squeeze()
        assert (norms[10] / norms[0]).item() == pytest.approx(0.5**10)

    def test_what_it_sets(self):
        layer = nn.RNN(400, 300, num_layers=2, nonlinearity="relu")
        identity_recurrent_(layer, generator=generator())
        assert torch.equal(layer.weight_hh_l1, torch.eye(300))
        assert layer.weight_ih_l0.std().item() == pytest.approx(0.001, rel=0.02)
        assert not layer.bias_ih_l0.any()
        assert not layer.bias_hh_l1.any()

    def test_gates_are_refused_before_anything_is_changed(self):
        layer = nn.LSTM(3, 4)
        before = [each.clone() for each in layer.parameters()]
        with pytest.raises(SettingsError, match=r"shape \(16, 4\) cannot be the identity"):
            identity_recurrent_(layer)
        assert all(torch.equal(*pair) for pair in zip(layer.parameters(), before, strict=True))
        with pytest.raises(SettingsError, match="Linear has no recurrent layer"):
            identity_recurrent_(nn.Linear(2, 2))


class Crossed(nn.Module):
    """Registers its layers in another order than the one in which it runs them."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(20, 5)
        self.first = nn.Linear(8, 20)
        self.never = nn.Linear(2, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


class TestLSUV:
    def batch(self, features=8):
        return 3 + 5 * torch.randn(256, features, generator=generator())

    def test_each_layer_has_unit_variance_in_the_order_of_running(self):
        model = Crossed()
        report = lsuv_(model, self.batch())
        assert [each.name for each in report] == ["first", "last"]
        z = model.first(self.batch())
        assert z.var(correction=0).item() == pytest.approx(1, abs=0.05)
        assert model.last(z.relu()).var(correction=0).item() == pytest.approx(1, abs=0.05)
        for each in report:
            assert each.after == pytest.approx(1, abs=0.05)
        assert report[0].before > 5

    def test_the_rows_stay_orthogonal(self):
        layer = nn.Linear(8, 8)
        lsuv_(layer, self.batch())
        product = layer.weight @ layer.weight.T
        torch.testing.assert_close(product, product[0, 0] * torch.eye(8), atol=1e-5, rtol=0)

    def test_rounds_and_tolerance_are_kept(self):
        layer = nn.Linear(8, 8)
        (untouched,) = lsuv_(layer, self.batch(), most_rounds=0)
        assert untouched.before == untouched.after
        (tolerated,) = lsuv_(layer, self.batch(), tolerance=1e9)
        assert tolerated.before == tolerated.after

    def test_modes_gradients_statistics_and_hooks_are_as_before(self):
        model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 2))
        model[2].eval()
        model[0].weight.requires_grad_(False)
        with torch.enable_grad():
            lsuv_(model, self.batch())
            assert torch.is_grad_enabled()
        assert [each.training for each in model.modules()] == [True, True, True, False, True]
        assert [each.requires_grad for each in model.parameters()] == [False, *[True] * 5]
        assert model[1].num_batches_tracked == 0
        assert not any(each._forward_hooks for each in model.modules())
        assert all(each.grad is None for each in model.parameters())

    def test_hooks_and_modes_are_restored_after_an_error(self):
        model = nn.Sequential(nn.Linear(8, 6), nn.Linear(5, 2))
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            lsuv_(model, self.batch())
        assert not any(each._forward_hooks for each in model.modules())
        assert model.training

    def test_the_generator_decides(self):
        models = [nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2)) for _ in range(2)]
        reports = [lsuv_(model, self.batch(), generator=generator(4)) for model in models]
        assert reports[0] == reports[1]
        assert torch.equal(models[0][2].weight, models[1][2].weight)

    def test_a_layer_without_variance_keeps_its_weights(self):
        layer = nn.Linear(8, 4)
        (found,) = lsuv_(layer, torch.zeros(16, 8))
        assert found.before == found.after == 0
        torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(4), atol=1e-5, rtol=0)

    def test_a_layer_that_runs_twice_is_scaled_once(self):
        layer = nn.Linear(8, 8)
        report = lsuv_(nn.Sequential(layer, nn.Tanh(), layer), self.batch())
        assert len(report) == 1
        assert layer(self.batch()).var(correction=0).item() == pytest.approx(1, abs=0.05)

    def test_convolutions_too(self):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2))
        images = torch.rand(32, 3, 12, 12, generator=generator())
        lsuv_(model, images)
        assert model(images).var(correction=0).item() == pytest.approx(1, abs=0.05)


def test_mlp_is_started_by_its_scheme():
    torch.manual_seed(0)
    network = mlp(400, [400], 300)
    assert network.hidden[0].linear.weight.std().item() == pytest.approx(0.0707, rel=0.02)
    assert network.head.weight.std().item() == pytest.approx(0.05, rel=0.02)
