"""Which activation follows which layer, and the gain it asks for."""

import math

import pytest
import torch
from torch import nn

from relume.nn.following import following_activations
from relume.nn.gain import gain, maxout_gain
from relume.nn.modules import PerFeaturePReLU, Swish
from relume.nn.networks import build_network
from relume.nn.registry import build_activation, get_activation


def pairs(model, activation="relu"):
    return {
        each.name: each.activation.name if each.activation else None
        for each in following_activations(model, activation)
    }


def only_gain(activation, features=12):
    (followed,) = following_activations(nn.Sequential(nn.Linear(3, features), activation))
    return followed.gain


EXPECTED = [
    (
        "mlp",
        {"inputs": 4, "hidden": [4, 4], "outputs": {"a": 1, "b": 2}, "norm": "batch"},
        {
            "hidden.0.linear": "elu",
            "hidden.1.linear": "elu",
            "heads.a": None,
            "heads.b": None,
        },
    ),
    (
        "cnn",
        {"channels_in": 1, "image_size": 8, "outputs": 2, "channels": [2, 2], "hidden": [3]},
        {"blocks.0.conv": "elu", "blocks.1.conv": "elu", "dense.0.linear": "elu", "head": None},
    ),
    (
        "resnet",
        {"channels_in": 1, "outputs": 2, "channels": [2, 4], "blocks": 1},
        {
            "stem.conv": "elu",
            "stages.0.0.branch.conv1": "elu",
            "stages.0.0.branch.conv2": "elu",
            "stages.1.0.branch.conv1": "elu",
            "stages.1.0.branch.conv2": "elu",
            "stages.1.0.shortcut.conv": "elu",
            "head": None,
        },
    ),
    (
        "resnet",
        {"channels_in": 1, "outputs": 2, "channels": [2, 4], "blocks": 1, "final_relu": False},
        {
            "stem.conv": "elu",
            "stages.0.0.branch.conv1": "elu",
            "stages.0.0.branch.conv2": None,
            "stages.1.0.branch.conv1": "elu",
            "stages.1.0.branch.conv2": None,
            "stages.1.0.shortcut.conv": None,
            "head": None,
        },
    ),
    ("rnn", {"features": 3, "hidden": 4, "outputs": 2}, {"head": None}),
    (
        "transformer",
        {"features": 3, "outputs": 2, "width": 4, "depth": 1, "attention_heads": 2},
        {
            "embedding": None,
            "blocks.0.attention.query": None,
            "blocks.0.attention.key": None,
            "blocks.0.attention.value": None,
            "blocks.0.attention.output": None,
            "blocks.0.feedforward.expand": "elu",
            "blocks.0.feedforward.contract": None,
            "head": None,
        },
    ),
    (
        "autoencoder",
        {"inputs": 6, "hidden": [4], "code": 2},
        {
            "encoder.hidden.0.linear": "elu",
            "encoder.head": None,
            "decoder.hidden.0.linear": "elu",
            "decoder.head": None,
        },
    ),
    (
        "autoencoder",
        {"inputs": 6, "hidden": [4], "code": 2, "code_activation": "relu", "output": "sigmoid"},
        {
            "encoder.hidden.0.linear": "elu",
            "encoder.head": "relu",
            "decoder.hidden.0.linear": "elu",
            "decoder.head": None,
        },
    ),
    (
        "gan",
        {"latent": 2, "outputs": 3, "hidden": [4]},
        {
            "generator.network.hidden.0.linear": "elu",
            "generator.network.head": None,
            "discriminator.hidden.0.linear": "leaky_relu",
            "discriminator.head": None,
        },
    ),
]


@pytest.mark.parametrize(("network", "arguments", "expected"), EXPECTED)
def test_the_networks_pair_each_layer_with_its_activation(network, arguments, expected):
    model = build_network(network, {**arguments, "activation": "elu"})
    assert pairs(model) == expected
    for each in following_activations(model):
        if each.activation is None:
            assert each.gain == 1
        elif each.activation.name != "leaky_relu":
            assert each.gain == each.activation.facts.gain


@pytest.mark.parametrize("activation", ["swiglu", "concatenated_relu", "mod_relu", "maxout"])
def test_wide_activations_pair_too(activation):
    model = build_network(
        "mlp", {"inputs": 4, "hidden": [4], "outputs": 1, "activation": activation, "norm": "layer"}
    )
    assert pairs(model) == {"hidden.0.linear": activation, "head": None}


def test_one_module_that_stands_at_several_places():
    act = nn.Tanh()
    model = nn.Sequential(nn.Linear(2, 2), act, nn.Linear(2, 2), act, nn.Linear(2, 2))
    assert pairs(model) == {"0": "tanh", "2": "tanh", "4": None}


def test_what_stands_between_does_not_matter():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.Identity(),
        nn.MaxPool2d(2),
        nn.Dropout(),
        nn.ELU(),
    )
    assert pairs(model) == {"0": "elu"}


def test_a_lone_layer_is_followed_by_what_is_said():
    assert pairs(nn.Linear(2, 3), "tanh") == {"": "tanh"}


def test_a_model_that_calls_functions_follows_every_layer_but_the_last():
    model = nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 1)])
    assert pairs(model, "silu") == {"0": "silu", "1": "silu", "2": None}


def test_a_linear_network_has_gain_one():
    model = nn.Sequential(nn.Linear(2, 3), nn.Identity(), nn.Linear(3, 1))
    assert pairs(model) == {"0": None, "2": None}


@pytest.mark.parametrize("slope", [0.0, 0.2, 0.5])
def test_the_gain_is_that_of_the_slope_in_use(slope):
    closed_form = math.sqrt(2 / (1 + slope**2))
    assert only_gain(nn.LeakyReLU(slope)) == pytest.approx(closed_form, rel=2e-3)
    assert only_gain(nn.LeakyReLU(slope, inplace=True)) == pytest.approx(closed_form, rel=2e-3)
    assert only_gain(nn.PReLU(init=slope)) == pytest.approx(closed_form, rel=2e-3)
    assert only_gain(PerFeaturePReLU(12, init=slope)) == pytest.approx(closed_form, rel=2e-3)


def test_the_gain_of_other_parameters_against_quadrature():
    for pieces in (3, 4):
        measured = only_gain(build_activation("maxout", pieces=pieces))
        assert measured == pytest.approx(maxout_gain(pieces), rel=0.01)
    assert only_gain(nn.ELU(0.3)) == pytest.approx(
        gain(lambda z: nn.functional.elu(z, 0.3), knots=[0.0]), rel=2e-3
    )
    assert only_gain(Swish(3.0)) == pytest.approx(gain(lambda z: z * (3 * z).sigmoid()), rel=2e-3)


def test_the_gain_of_defaults_is_the_catalogue_s():
    for name in ("leaky_relu", "prelu", "rrelu", "maxout", "thresholded_relu", "swiglu"):
        assert only_gain(build_activation(name)) == get_activation(name).facts.gain, name


def test_the_gain_of_a_complex_bias_falls_with_what_it_passes():
    module = build_activation("mod_relu", features=6, bias=-0.5)
    z = torch.randn(20000, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    moment = module(z).abs().square().mean().item()
    assert only_gain(module) == pytest.approx(1 / math.sqrt(moment), rel=0.02)


def test_finding_the_gain_leaves_the_module_as_it_was():
    module = nn.RReLU()
    only_gain(module)
    assert module.training
    module.eval()
    only_gain(module)
    assert not module.training


def test_an_activation_that_passes_nothing_has_the_catalogue_s_gain():
    assert only_gain(nn.Threshold(100.0, 0.0)) == get_activation("thresholded_relu").facts.gain


def test_an_unusual_axis_has_the_catalogue_s_gain():
    assert only_gain(nn.GLU(dim=-3)) == get_activation("glu").facts.gain
