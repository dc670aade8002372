"""The contract of the catalogue: every stated fact of every activation, tested numerically."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from relume.nn.complex_valued import ModReLU, mod_relu
from relume.nn.facts import Kind, Saturation
from relume.nn.registry import activations, build_activation, firing_threshold, get_activation

each_activation = pytest.mark.parametrize("entry", activations(), ids=lambda entry: entry.name)


def apply(entry, x):
    """Evaluate an activation as a map of real vectors, rows of ``x``: (n, inputs) -> (n, outputs).

    Elementwise 1 -> 1, gated 2 -> 1, doubling 1 -> 2, vector 2 -> 2, complex 2 -> 2 (re and im).
    """
    if entry.kind is Kind.COMPLEX:
        return torch.view_as_real(entry.function(torch.complex(x[:, 0], x[:, 1])))
    return entry.function(x)


def inputs_of(entry):
    return 2 if entry.kind in {Kind.GATED, Kind.VECTOR, Kind.COMPLEX} else 1


def jacobian(entry, x):
    """Return the Jacobians at the rows of ``x``: (n, outputs, inputs)."""
    x = x.clone().requires_grad_()
    y = apply(entry, x)
    rows = [torch.autograd.grad(y[:, j].sum(), x, retain_graph=True)[0] for j in range(y.shape[1])]
    return torch.stack(rows, dim=1)


def line(entry, t):
    """Return the points of the line that slopes, knots and saturation are stated along."""
    t = torch.as_tensor(t, dtype=torch.float64)
    fixed = 1.0 if entry.kind is Kind.GATED and entry.name != "maxout" else 0.0
    rest = torch.full_like(t, fixed)
    if inputs_of(entry) == 1:
        return t[:, None]
    order = [rest, t] if fixed else [t, rest]
    return torch.stack(order, dim=1)


def slope_on_line(entry, t):
    """Return the derivative of the first output along the line."""
    moving = 1 if entry.kind is Kind.GATED and entry.name != "maxout" else 0
    return jacobian(entry, line(entry, t))[:, 0, moving]


def sample(entry, rows=20_000, scale=4.0):
    generator = torch.Generator().manual_seed(0)
    shape = (rows, inputs_of(entry))
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


@each_activation
def test_range_holds_and_is_tight(entry):
    low, high = entry.facts.range
    far = torch.linspace(-400, 400, 80_001, dtype=torch.float64)
    x = torch.cat([sample(entry), line(entry, far), 1e5 * sample(entry)])
    y = apply(entry, x)
    y = y.norm(dim=1) if entry.kind is Kind.COMPLEX else y
    least, most = y.min().item(), y.max().item()
    assert low - 1e-12 <= least <= most <= high + 1e-12
    assert least < -100 if low == -math.inf else least < low + 2e-3 * max(1, abs(low)) + 1e-3
    assert most > 100 if high == math.inf else most > high - 3e-3


@each_activation
def test_slopes_are_the_limits_of_the_derivative(entry):
    for side, slope in ((-1, entry.facts.left_slope), (1, entry.facts.right_slope)):
        near, far = slope_on_line(entry, [side * 1e4, side * 1e6]).tolist()
        if math.isinf(slope):
            assert far > 10 * near > 1e3
        else:
            assert far == pytest.approx(slope, abs=1e-6)


def jumps(entry):
    """Return where the derivative jumps: along the line, or for complex ones around the circle."""
    if entry.kind is Kind.COMPLEX:
        places = torch.arange(-31, 33, dtype=torch.float64) * math.pi / 32
        sides = [torch.polar(torch.ones_like(places), places + h) for h in (-1e-7, 1e-7)]
        before, after = (jacobian(entry, torch.view_as_real(side)) for side in sides)
        change = (after - before).abs().amax(dim=(1, 2))
    else:
        places = torch.arange(-80, 81, dtype=torch.float64) / 8
        change = (slope_on_line(entry, places + 1e-7) - slope_on_line(entry, places - 1e-7)).abs()
    return places[change > 1e-3].tolist()


@each_activation
def test_knots_are_where_the_derivative_jumps(entry):
    assert jumps(entry) == pytest.approx(list(entry.facts.knots))


@each_activation
def test_smooth_means_no_knots(entry):
    assert entry.facts.smooth is (not entry.facts.knots)


def test_mod_relu_has_its_knot_at_minus_its_bias():
    z = torch.tensor([0.5 - 1e-7, 0.5 + 1e-7], dtype=torch.complex128, requires_grad=True)
    mod_relu(z, -0.5).real.sum().backward()
    assert z.grad.tolist() == [0, pytest.approx(1, abs=1e-6)]


@each_activation
def test_monotone_means_no_input_lowers_an_output(entry):
    x = sample(entry)
    step = torch.rand(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rises = (apply(entry, x + step) - apply(entry, x)).min().item() >= 0
    assert (rises and entry.kind is not Kind.COMPLEX) is entry.facts.monotone


@each_activation
def test_homogeneous_means_it_commutes_with_positive_scaling(entry):
    x = sample(entry, rows=2000)
    same = all(
        torch.allclose(apply(entry, c * x), c * apply(entry, x), rtol=1e-12, atol=1e-12)
        for c in (0.25, 3.0, 100.0)
    )
    assert same is entry.facts.homogeneous


@each_activation
def test_lipschitz_constant_bounds_every_secant_and_is_reached(entry):
    inputs = inputs_of(entry)
    grid = torch.linspace(-8, 8, 160_001, dtype=torch.float64)[:, None]
    x = grid if inputs == 1 else torch.cat([sample(entry, 50_000, 0.3), sample(entry, 50_000, 9.0)])
    generator = torch.Generator().manual_seed(2)
    steps = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    steps /= steps.norm(dim=1, keepdim=True)
    pairs = [(x, x + size * steps) for size in (1e-5, 1e-2, 1.0)]
    pairs += [(1e3 * x, 1e3 * x + steps)]
    secants = [
        ((apply(entry, a) - apply(entry, b)).norm(dim=1) / (a - b).norm(dim=1)).max().item()
        for a, b in pairs
    ]
    if math.isinf(entry.facts.lipschitz):
        assert max(secants) > 500
    else:
        assert entry.facts.lipschitz * (1 - 1e-3) < max(secants)
        assert max(secants) < entry.facts.lipschitz * (1 + 1e-6)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("silu", 2.3, 2.5), ("gelu", 1.3, 1.5), ("mish", 1.4, 1.6), ("selu", -1e-9, 0)],
)
def test_lipschitz_constant_is_the_largest_derivative_to_nine_digits(name, low, high):
    x = torch.linspace(low, high, 100_001, dtype=torch.float64)
    steepest = slope_on_line(get_activation(name), x).abs().max().item()
    assert steepest == pytest.approx(get_activation(name).facts.lipschitz, rel=1e-9)


@pytest.mark.parametrize("name", ["silu", "gelu", "mish", "hardswish"])
def test_the_lowest_value_is_right_to_twelve_digits(name):
    x = torch.linspace(-2, 0, 2_000_001, dtype=torch.float64)
    entry = get_activation(name)
    assert entry.function(x).min().item() == pytest.approx(entry.facts.range[0], rel=1e-12)


@each_activation
def test_gain_keeps_the_second_moment_in_a_sample(entry):
    if entry.name == "softmax":
        assert math.isnan(entry.facts.gain)
        return
    x = sample(entry, rows=400_000, scale=math.sqrt(0.5) if entry.kind is Kind.COMPLEX else 1.0)
    y = apply(entry, x).square()
    squares = y.sum(dim=1) if entry.kind is Kind.COMPLEX else y.mean(dim=1)
    error = squares.std().item() / math.sqrt(len(squares))
    assert squares.mean().item() == pytest.approx(entry.facts.gain**-2, abs=4.5 * error + 1e-12)


def silent(entry):
    """Return points at which a unit that can die is silent, and points where it fires."""
    edge = entry.facts.fires_above
    below, above = [edge, edge - 1e-9, edge - 1, edge - 1e6], [edge + 1e-6, edge + 1]
    if entry.kind is Kind.GATED:  # a whatever, b the gate
        return [[[5.0, b] for b in below], [[5.0, b] for b in above]]
    if entry.name == "complex_relu":
        return [[[re, im] for re in below for im in below], [[1e-6, -5.0], [-5.0, 1e-6]]]
    if entry.name == "z_relu":  # an open region: what lies on the edge passes
        below, above = edge - 1e-9, edge + 1e-6
        return [[[below, 5.0], [5.0, below], [-1e6, -1e6]], [[above, above], [edge, 1.0]]]
    return [[[x] for x in below], [[x] for x in above]]


@pytest.mark.parametrize(
    "entry",
    [entry for entry in activations() if entry.facts.can_die and entry.name != "mod_relu"],
    ids=lambda entry: entry.name,
)
def test_what_can_die_is_constant_with_gradient_exactly_zero(entry):
    dead, alive = (torch.tensor(each, dtype=torch.float64) for each in silent(entry))
    assert torch.unique(apply(entry, dead).abs()).numel() == 1
    assert jacobian(entry, dead).abs().max().item() == 0
    assert (jacobian(entry, alive).flatten(1).norm(dim=1) > 0).all()


def test_mod_relu_can_die_once_its_bias_is_negative():
    module = ModReLU(2)
    assert firing_threshold(module).tolist() == [0, 0]
    assert get_activation("mod_relu").facts.fires_above == 0
    with torch.no_grad():
        module.bias.copy_(torch.tensor([-0.5, 0.0]))
    z = torch.full((3, 2), 0.3 + 0.3j, requires_grad=True)
    y = module(z)
    y.abs().sum().backward()
    assert y[:, 0].abs().max() == 0
    assert z.grad[:, 0].abs().max() == 0
    assert module.bias.grad.tolist() == [0, 3]
    assert firing_threshold(module).tolist() == [0.5, 0]


@pytest.mark.parametrize(
    "entry",
    [entry for entry in activations() if not entry.facts.can_die],
    ids=lambda entry: entry.name,
)
def test_what_cannot_die_has_a_gradient_everywhere(entry):
    x = torch.cat([line(entry, [-15.0, -5.0, -1.0, 0.5, 5.0]), sample(entry, 1000, 3.0)])
    assert (jacobian(entry, x).flatten(1).norm(dim=1) > 0).all()


@each_activation
def test_saturates_on_the_sides_where_the_whole_gradient_fades(entry):
    sides = set()
    for side, name in ((-1, "left"), (1, "right")):
        x = line(entry, [side * 1e6])
        fades = jacobian(entry, x)[:, :1].norm().item() < 1e-6
        if entry.kind in {Kind.DOUBLING, Kind.COMPLEX}:  # all of the outputs
            fades = jacobian(entry, x).norm().item() < 1e-6
        if fades and apply(entry, x).abs().max().item() < 1e3:
            sides.add(name)
    expected = {Saturation.NONE: set(), Saturation.BOTH: {"left", "right"}}
    assert sides == expected.get(entry.facts.saturates, {entry.facts.saturates.value})


@each_activation
def test_sources_and_formulas_are_there(entry):
    facts = entry.facts
    assert facts.formula
    assert facts.plain
    for paper in (facts.paper, *facts.earlier):
        assert 1958 <= paper.year <= 2021
        assert paper.authors
        assert paper.title
        assert paper.where


@each_activation
def test_learnable_parameters_are_those_of_the_module(entry):
    module = build_activation(entry.name, features=3)
    assert tuple(name for name, _ in module.named_parameters()) == entry.facts.learnable


def test_rrelu_in_training_has_the_gain_that_its_note_says():
    second_moment = (1 + (1 / 27 - 1 / 512) / (3 * (1 / 3 - 1 / 8))) / 2
    assert f"{1 / math.sqrt(second_moment):.4f}" in get_activation("rrelu").facts.note
    torch.manual_seed(0)
    a = nn.RReLU()(torch.randn(400_000))
    assert a.square().mean().item() == pytest.approx(second_moment, rel=0.02)


def test_gelu_and_softplus_are_as_far_off_as_their_notes_say():
    x = torch.linspace(-8, 30, 200_001, dtype=torch.float64)
    functional = torch.nn.functional
    gap = (functional.gelu(x) - functional.gelu(x, approximate="tanh")).abs().max().item()
    assert 4.7e-4 < gap < 4.8e-4
    exact = np.logaddexp(0, x.numpy())
    assert 2.0e-9 < np.abs(functional.softplus(x).numpy() - exact).max() < 2.1e-9


def test_calculate_gain_of_torch_differs_for_tanh_as_its_note_says():
    assert "5/3" in get_activation("tanh").facts.note
    assert nn.init.calculate_gain("tanh") == pytest.approx(5 / 3)
    assert abs(get_activation("tanh").facts.gain - 5 / 3) > 0.05


def test_elu_and_celu_are_equal_at_their_defaults():
    elu, celu = get_activation("elu"), get_activation("celu")
    x = torch.linspace(-9, 9, 999)
    assert torch.equal(elu.function(x), celu.function(x))
    assert (elu.facts.gain, elu.facts.knots) == (celu.facts.gain, celu.facts.knots)
