"""Examining trained models: every number against brute force, and nothing of the model changed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from relume.errors import DataError, SettingsError
from relume.observe.examine import examine


@pytest.fixture
def x():
    return torch.randn(40, 6, generator=torch.Generator().manual_seed(0))


def planted():
    """Unit 0 is dead, 1 and 2 are twins up to a factor, 3 is always on, 4 is nearly nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].bias[0] = -100
        model[0].weight[2], model[0].bias[2] = 3 * model[0].weight[1], 3 * model[0].bias[1]
        model[0].bias[3] = 100
        model[0].weight[4] *= 1e-4
        model[0].bias[4] = 1e-5
    return model


def test_planted_units_are_found(x):
    (layer,) = examine(planted(), torch.split(x, 7)).layers
    assert (layer.layer.name, layer.layer.activation, layer.rows) == ("1", "relu", 40)
    assert (layer.dead, layer.duplicates, layer.saturated) == ((0,), ((1, 2),), None)
    assert 3 in layer.always_on
    assert 4 in layer.dormant
    assert 0 not in layer.dormant
    assert layer.firing_probability_bound == 3 / 40


def test_firing_rates_are_those_of_numpy(x):
    model = planted()
    (layer,) = examine(model, torch.split(x, 7)).layers
    weight, bias = (p.detach().double().numpy() for p in model[0].parameters())
    z = x.double().numpy() @ weight.T + bias
    np.testing.assert_array_equal(layer.firing_rate, (z > 0).mean(0))
    size = np.sqrt((np.maximum(z, 0) ** 2).sum(0))
    expected = np.flatnonzero((size <= 0.025 * size.mean()) & (size > 0))
    assert layer.dormant == tuple(expected)


def test_nothing_of_the_model_changes(x):
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5)).train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    examine(model, [x], score=lambda m: m(x).sum().item(), weight_noise=[0.0, 0.5])
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not torch.nn.modules.module._global_forward_hooks
    assert torch.relu.__class__.__name__ == "builtin_function_or_method"


def test_saturation_and_smooth_functions(x):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 3), nn.GELU())
    with torch.no_grad():
        model[0].bias[1] = 50
    tanh, gelu = examine(model, [x]).layers
    assert (tanh.saturated, tanh.dead, tanh.always_on) == ((1,), None, None)
    assert (gelu.dead, gelu.saturated) == (None, None)
    with torch.no_grad():
        live = 1 - model[:2](x).double() ** 2 > 0.01
    np.testing.assert_allclose(tanh.firing_rate, live.double().mean(0).numpy())


def test_images_and_sequences_have_their_channels_as_units():
    images = nn.Sequential(nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.ReLU())
    lines = nn.Sequential(nn.Conv1d(2, 5, 3), nn.ReLU())
    for model, x, positions in (
        (images, torch.randn(6, 1, 7, 7), 25),
        (lines, torch.randn(6, 2, 9), 7),
    ):
        (layer,) = examine(model, [x]).layers
        assert (layer.layer.units, layer.rows) == (5, 6)
        with torch.no_grad():
            fires = model.eval()(x) > 0
        others = [axis for axis in range(fires.ndim) if axis != 1]
        expected = fires.sum(others) / (6 * positions)
        np.testing.assert_allclose(layer.firing_rate, expected.numpy(), rtol=1e-6)


def test_noise_lowers_the_score_as_by_hand(x):
    model = planted().eval()

    def score(network):
        return network(x).pow(2).mean().item()

    found = examine(model, [x], score=score, weight_noise=[0.0, 0.3], draws=4, seed=3)
    assert found.clean_score == score(model)
    none, some = found.noise
    assert set(none.scores) == {found.clean_score}
    generator, expected = torch.Generator().manual_seed(3), []
    for _ in range(4):
        noisy = copy.deepcopy(model)
        for parameter in noisy.parameters():
            draw = torch.randn(parameter.shape, generator=generator)
            parameter.data = parameter.data * (1 + 0.3 * draw)
        expected.append(score(noisy))
    assert some.scores == pytest.approx(expected)
    assert some.mean == pytest.approx(np.mean(expected))
    low, high = some.interval
    half = 3.182446 * np.std(expected, ddof=1) / 2  # the 97.5 % point of t with 3 degrees
    assert (low, high) == pytest.approx((some.mean - half, some.mean + half))


def test_batches_of_every_shape(x):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, values):
            return torch.relu(self.layer(values))

    model = Named()
    for batch in (x, (x, torch.zeros(40)), [x], {"values": x}):
        (layer,) = examine(model, [batch]).layers
        assert (layer.rows, layer.layer.name) == (40, "relu(layer)")
    (layer,) = examine(model, [np.zeros(3)], call=lambda _: model(x)).layers
    assert layer.rows == 40


def test_what_cannot_be_examined_is_said(x):
    with pytest.raises(DataError, match="no row to examine"):
        examine(planted(), [])
    with pytest.raises(SettingsError, match="needs score"):
        examine(planted(), [x], weight_noise=[0.1])
    with pytest.raises(SettingsError, match="at least 0"):
        examine(planted(), [x], weight_noise=[-0.1], score=lambda _: 0.0)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        examine(planted(), [torch.zeros(2, 3)])
    assert torch.relu.__class__.__name__ == "builtin_function_or_method"
