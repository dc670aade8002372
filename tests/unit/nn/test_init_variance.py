"""Thirty layers deep: which initialisation keeps the second moment, and under which activation.

In the limit of many units the second moment q of the pre-activations goes from layer to layer by

    q -> g² E[f(sqrt(q) z)²],   z ~ N(0, 1),

which the gain g leaves at q = 1. Whether it stays there is decided by the exponent
d ln q' / d ln q at q = 1: a small deviation grows by that power in every layer.
"""

import math

import pytest
import torch
from torch import nn

from relume.nn.facts import Kind
from relume.nn.init import initialise_, lsuv_
from relume.nn.mlp import mlp
from relume.nn.registry import activation_names, activations, get_activation

DEPTH = 30
WIDTH = 512

# Under these no constant gain keeps the moment over many layers: the exponent, and why.
UNSTABLE = {
    "silu": (1.17, "flatter near 0 than far out, so that a deviation grows"),
    "gelu": (1.14, "flatter near 0 than far out"),
    "mish": (1.08, "flatter near 0 than far out"),
    "hardswish": (1.22, "flatter near 0 than far out"),
    "thresholded_relu": (1.30, "the smaller the moment, the fewer pass the threshold"),
    "squared_relu": (2.00, "the moment itself is squared"),
    "glu": (1.11, "the gate opens as its pre-activations grow"),
    "reglu": (2.00, "value times gate squares the moment"),
    "geglu": (2.14, "value times gate, and the gate is flatter near 0"),
    "swiglu": (2.17, "value times gate, and the gate is flatter near 0"),
    "softmax": (math.nan, "outputs shrink with the width and add up to 1 whatever comes in"),
}
STABLE = [name for name in activation_names() if name not in UNSTABLE]


def moments(network, x):
    """Return the second moment of the pre-activations of each hidden layer."""
    found = []
    hooks = [
        block.linear.register_forward_hook(
            lambda module, args, z: found.append(z.double().square().mean().item())
        )
        for block in network.hidden
    ]
    network.eval()
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return torch.tensor(found)


def mean_moments(activation, init, *, depth=DEPTH, seeds=6, width=WIDTH, rows=16):
    """Return them averaged over seeds; the input has the second moment that each layer sees.

    Under ReLU the logarithm of the moment after 30 layers of 512 scatters by about
    sqrt(5 * 30 / 512) = 0.54 from seed to seed, and the mean of six by 0.22: a third of ln 2.
    """
    gain = get_activation(activation).facts.gain
    total = torch.zeros(depth)
    for seed in range(seeds):
        torch.manual_seed(seed)
        network = mlp(width, [width] * depth, 1, activation=activation, init=init)
        total += moments(network, torch.randn(rows, width) / gain)
    return total / seeds


@pytest.mark.parametrize("activation", STABLE)
def test_he_keeps_the_moment(activation):
    found = mean_moments(activation, "he")
    assert found.min() >= 0.5
    assert found.max() <= 2


@pytest.mark.parametrize(
    ("init", "activation"),
    [
        ("he_uniform", "relu"),
        ("he_fan_out", "relu"),
        ("he_uniform_fan_out", "leaky_relu"),
        ("orthogonal", "relu"),
        ("orthogonal", "maxout"),
        ("orthogonal", "tanh"),
        ("glorot", "identity"),
        ("glorot_uniform", "identity"),
        ("lecun", "selu"),
    ],
)
def test_each_scheme_keeps_the_moment_under_its_activation(init, activation):
    found = mean_moments(activation, init, width=256, seeds=12)
    assert found.min() >= 0.5
    assert found.max() <= 2


@pytest.mark.parametrize("init", ["glorot", "glorot_uniform", "lecun"])
def test_a_fixed_variance_collapses_under_relu(init):
    found = mean_moments("relu", init, seeds=3)
    assert found[-1] < 1e-3 * found[0]
    halving = (found[-1] / found[0]).item() ** (1 / (DEPTH - 1))
    assert halving == pytest.approx(0.5, rel=0.05)  # E[relu(z)²] = 1/2, layer after layer


def exponent(entry, step=1e-3):
    """Return d ln E[f(sqrt(q) z)²] / d ln q at q = 1, by the trapezoid rule."""
    is_gated = entry.kind is Kind.GATED
    line = torch.linspace(-10, 10, 501 if is_gated else 40001, dtype=torch.float64)
    density = torch.exp(-line.square() / 2)
    if is_gated:
        z = torch.cartesian_prod(line, line)
        density = torch.outer(density, density).flatten()
    else:
        z = line[:, None]

    def log_moment(log_q):
        squared = entry.function(math.exp(log_q / 2) * z).square().mean(1)
        return math.log((squared * density).sum().item())

    return (log_moment(step) - log_moment(-step)) / (2 * step)


@pytest.mark.parametrize(
    "entry",
    [entry for entry in activations() if entry.kind not in (Kind.VECTOR, Kind.COMPLEX)],
    ids=lambda entry: entry.name,
)
def test_the_exponent_says_which_are_stable(entry):
    found = exponent(entry)
    if entry.name in UNSTABLE:
        assert found > 1.05
        assert found == pytest.approx(UNSTABLE[entry.name][0], abs=0.01)
    else:
        assert found < 1.001


@pytest.mark.parametrize("activation", ["silu", "glu", "reglu", "squared_relu", "softmax"])
def test_the_unstable_do_drift(activation):
    torch.manual_seed(0)
    network = mlp(128, [128] * DEPTH, 1, activation=activation)
    found = moments(network, torch.randn(32, 128))
    assert not (0.5 <= found[-1] <= 2)


@pytest.mark.parametrize("activation", sorted(UNSTABLE))
def test_lsuv_gives_every_layer_unit_variance(activation):
    torch.manual_seed(0)
    network = mlp(96, [96] * DEPTH, 1, activation=activation)
    batch = torch.randn(128, 96)
    report = lsuv_(network, batch)
    assert len(report) == DEPTH + 1
    variances = []
    for block in network.hidden:
        block.linear.register_forward_hook(
            lambda module, args, z: variances.append(z.double().var(correction=0).item())
        )
    network(batch)
    assert min(variances) >= 0.95
    assert max(variances) <= 1.05
    assert [each.after for each in report[:-1]] == pytest.approx(variances, rel=1e-3)


class TestSELU:
    def test_lecun_keeps_the_variance_over_eight_layers(self):
        found = mean_moments("selu", "lecun", depth=8, seeds=3)
        assert found.min() >= 0.8
        assert found.max() <= 1.2

    def test_the_start_for_relu_drifts(self):
        torch.manual_seed(0)
        network = mlp(WIDTH, [WIDTH] * 8, 1, activation="selu")
        for block in network.hidden:
            initialise_(block.linear, "he", "relu")
        found = moments(network, torch.randn(32, WIDTH))
        assert found[-1] > 2 * found[0]

    def test_he_with_its_gain_of_one_is_lecun(self):
        weights = []
        for init in ("he", "lecun"):
            torch.manual_seed(0)
            weights.append(mlp(9, [7], 2, activation="selu", init=init).hidden[0].linear.weight)
        assert torch.equal(*weights)


def test_fan_out_keeps_the_gradient_where_layers_narrow():
    norms = {}
    for init in ("he", "he_fan_out"):
        torch.manual_seed(0)
        layers = [nn.Linear(wide, wide // 2) for wide in (2048, 1024, 512, 256)]
        model = nn.Sequential(*(each for layer in layers for each in (layer, nn.ReLU())))
        initialise_(model, init)
        x = torch.randn(64, 2048, requires_grad=True)
        z = model(x)
        z.backward(torch.randn_like(z))
        norms[init] = x.grad.square().mean().item()
    assert norms["he_fan_out"] == pytest.approx(1, rel=0.2)
    assert norms["he"] == pytest.approx(1 / 16, rel=0.2)
