"""Values and derivatives of every activation against NumPy, in float64, over the whole line."""

from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
import torch

from relume.nn.complex_valued import mod_relu
from relume.nn.facts import Kind
from relume.nn.registry import activation_names, activations, get_activation
from tests.oracles import activation_oracle as oracle

EPSILON = 2.0**-52
SMALLEST = 5e-324
ULPS = 4  # the bar, wherever ALLOWED says nothing else


@dataclass(frozen=True)
class Allowance:
    """How far torch may be off where it is off by more than 4 ulp, and why."""

    most: Callable[[np.ndarray], np.ndarray]
    why: str


def _gated_sum(x):
    return 6 * EPSILON * oracle.logistic(x) * (1 + np.abs(x)) + _overflow(x, 1e-305)


def _overflow(x, most):
    return np.where(x < -709, most, 0.0)


def _above_20(x):
    return np.where(x > 20, 1.01 * np.exp(-np.maximum(x, 20)), 0.0)


ALLOWED = {
    ("silu", "value"): Allowance(
        lambda x: _overflow(x, 1e-305),
        "x / (1 + exp(-x)): exp overflows below -709.78 and the quotient is -0",
    ),
    ("silu", "slope"): Allowance(
        _gated_sum,
        "s (1 + x (1 - s)): a sum that crosses zero at -1.278, and 1 - s has no digits far right",
    ),
    ("mish", "value"): Allowance(
        lambda x: 4 * EPSILON * np.abs(oracle.mish(x)) + np.where(x < -708, -2 * x * SMALLEST, 0),
        "tanh of log1p of exp adds up to 6 ulp; below -708 exp(x) is denormal, with few digits",
    ),
    ("mish", "slope"): Allowance(
        _gated_sum,
        "t + x s (1 - t^2): a sum that crosses zero at -1.192; 1 - t^2 has no digits far right",
    ),
    ("softplus", "value"): Allowance(
        lambda x: _above_20(x) + np.where(x > 20, EPSILON * x, 0.0),
        "above its threshold 20 torch returns x: off by log(1 + exp(-x))",
    ),
    ("softplus", "slope"): Allowance(
        lambda x: _above_20(x) + np.where(x > 20, EPSILON, 0.0),
        "above its threshold 20 torch returns 1: off by 1 / (1 + exp(x))",
    ),
    ("gelu", "value"): Allowance(
        lambda x: 2 * EPSILON * np.minimum(np.abs(x), 40),
        "x / 2 (1 + erf(x / sqrt 2)): the bracket cancels on the left, and is 0 below -8.3",
    ),
    ("gelu", "slope"): Allowance(
        lambda x: np.full_like(x, 4 * EPSILON),
        "the same bracket, and a sum that crosses zero at -0.752",
    ),
    ("hardswish", "slope"): Allowance(
        lambda x: np.where(np.abs(x + 1.5) < 0.25, EPSILON / 2, 0.0),
        "x / 3 + 1/2: a sum that crosses zero at -1.5",
    ),
    ("hardsigmoid", "slope"): Allowance(
        lambda x: np.where(np.abs(x) < 3, 5e-9, 0.0),
        "torch keeps 1/6 as a float32 constant and multiplies float64 gradients by it",
    ),
    ("sigmoid", "value"): Allowance(
        lambda x: _overflow(x, 1e-308),
        "1 / (1 + exp(-x)): exp overflows below -709.78 and the quotient is 0",
    ),
    ("sigmoid", "slope"): Allowance(
        lambda x: 6 * EPSILON * oracle.logistic(x) + _overflow(x, 1e-308),
        "s (1 - s): 1 - s has no digits far right, and s is rounded four times on the left",
    ),
    ("tanh", "slope"): Allowance(
        lambda x: np.full_like(x, EPSILON), "1 - t^2 has no digits in the tails"
    ),
    ("softsign", "slope"): Allowance(
        lambda x: 2 * EPSILON / (1 + np.abs(x)),
        "autograd subtracts 1 / (1 + |x|) and |x| / (1 + |x|)^2, nearly equal in the tails",
    ),
}
GATES = {"glu": "sigmoid", "reglu": "relu", "geglu": "gelu", "swiglu": "silu"}


def allowance(name, what, x):
    """Return how far off ``name`` may be at each x beyond 4 ulp."""
    entry = ALLOWED.get((name, what))
    return entry.most(x) if entry else np.zeros_like(x)


def whole_line():
    """Return points from the smallest number to 1e300, both signs, dense to 40 and near knots."""
    sizes = np.concatenate(
        [
            [SMALLEST, 2.2250738585072014e-308],
            np.logspace(-320, 300, 1500),
            np.logspace(-8, 3, 2000),
        ]
    )
    places = (-3.0, -1.5, -1.2784645427610738, -1.1924, -0.7517915246935645, 0.0, 1.0, 3.0, 6.0, 20)
    steps = 2.0 ** -np.arange(1, 53)
    near = np.concatenate([place + side * steps for place in places for side in (-1, 1)])
    return np.unique(np.concatenate([sizes, -sizes, np.linspace(-40, 40, 8001), near]))


def assert_close(got, want, allowed, x):
    with np.errstate(invalid="ignore"):
        wrong = (oracle.ulps(got, want) > ULPS) & ~(np.abs(got - want) <= allowed)
    assert not wrong.any(), [
        f"at {at!r}: got {a!r}, want {b!r}"
        for at, a, b in zip(x[wrong][:5], got[wrong][:5], want[wrong][:5], strict=True)
    ]


def gradient(function, *inputs):
    """Return value and gradient of an elementwise function of several tensors, as arrays."""
    tensors = [torch.from_numpy(np.ascontiguousarray(each)).requires_grad_() for each in inputs]
    y = function(*tensors)
    return y.detach().numpy(), [g.numpy() for g in torch.autograd.grad(y.sum(), tensors)]


@pytest.mark.parametrize("name", oracle.ELEMENTWISE)
def test_value_and_derivative_of_one_number(name):
    value, slope = oracle.ELEMENTWISE[name]
    x = whole_line()
    y, (g,) = gradient(get_activation(name).function, x)
    with np.errstate(over="ignore", under="ignore"):
        assert_close(y, value(x), allowance(name, "value", x), x)
        assert_close(g, slope(x), allowance(name, "slope", x), x)


@pytest.mark.parametrize("name", oracle.GATED)
def test_value_and_both_derivatives_of_gated_ones(name):
    value, slopes = oracle.GATED[name]
    b = np.concatenate([np.linspace(-30, 30, 2001), np.logspace(-300, 2, 200), [0.0, 1.0]])
    a = np.random.default_rng(0).normal(size=b.size) * 10 ** np.linspace(-3, 3, b.size)
    a[-2:] = [0.0, 1.0]  # ties for maxout
    function = get_activation(name).function
    y, (g,) = gradient(lambda x: function(x)[:, 0], np.stack([a, b], axis=-1))
    want = slopes(a, b)
    gate = GATES.get(name, name)
    of_value, of_slope = allowance(gate, "value", b), allowance(gate, "slope", b)
    assert_close(y, value(a, b), np.abs(a) * of_value, b)
    assert_close(g[:, 0], want[0], of_value, b)
    assert_close(g[:, 1], want[1], np.abs(a) * of_slope, b)


def test_softmax_and_its_jacobian():
    rows = np.random.default_rng(1).normal(size=(300, 4)) * np.geomspace(0.01, 30, 300)[:, None]
    softmax = get_activation("softmax").function
    got = softmax(torch.from_numpy(rows))
    jacobians = torch.stack(
        [torch.autograd.functional.jacobian(softmax, row) for row in torch.from_numpy(rows)]
    )
    assert np.abs(got.numpy() - oracle.softmax(rows)).max() <= 2 * EPSILON
    assert np.abs(jacobians.numpy() - oracle.softmax_jacobian(rows)).max() <= 2 * EPSILON


def test_concatenated_relu_and_its_derivative():
    x = whole_line()[:, None]
    y, (g,) = gradient(
        lambda t: get_activation("concatenated_relu").function(t) * torch.tensor([1.0, 3.0]), x
    )
    np.testing.assert_array_equal(y, oracle.concatenated_relu(x) * [1.0, 3.0])
    np.testing.assert_array_equal(g, np.where(x > 0, 1.0, np.where(x < 0, -3.0, 0.0)))


COMPLEX = {
    **{name: (get_activation(name).function, *oracle.COMPLEX[name]) for name in oracle.COMPLEX},
    "mod_relu with bias": (lambda z: mod_relu(z, -0.75), *oracle.BIASED_MOD_RELU),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_value_and_jacobian_of_complex_ones(name):
    function, value, jacobian = COMPLEX[name]
    random = np.random.default_rng(2)
    size = 10 ** random.uniform(-150, 150, 2000)
    size[:1000] = random.uniform(0, 3, 1000)
    x, y = size * np.cos(phase := random.uniform(-np.pi, np.pi, 2000)), size * np.sin(phase)
    x[-4:], y[-4:] = [1, 0, -1, 0], [0, 1, 0, -1]  # the axes themselves

    def parts(part):
        return lambda a, b: getattr(function(torch.complex(a, b)), part)

    for row, part in enumerate(("real", "imag")):
        got, slopes = gradient(parts(part), x, y)
        assert_close(got, value(x, y)[row], 4 * EPSILON * np.hypot(x, y), x)
        for column, slope in enumerate(slopes):
            want = np.broadcast_to(jacobian(x, y)[row][column], x.shape)
            assert_close(slope, want, np.full(x.shape, 8 * EPSILON), x)


def test_the_oracle_covers_the_catalogue():
    covered = {*oracle.ELEMENTWISE, *oracle.GATED, *oracle.COMPLEX, "softmax", "concatenated_relu"}
    assert covered == set(activation_names())
    kinds = {entry.name: entry.kind for entry in activations()}
    assert {kinds[name] for name in oracle.ELEMENTWISE} == {Kind.ELEMENTWISE}


mp = mpmath.MPContext()
mp.dps = 60
DEFINITIONS = {
    "elu": lambda x: x if x > 0 else mp.expm1(x),
    "selu": lambda x: oracle.SELU_SCALE * (x if x > 0 else oracle.SELU_ALPHA * mp.expm1(x)),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "gelu": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "softsign": lambda x: x / (1 + abs(x)),
    "hardswish": lambda x: x * min(max(0, x + 3), 6) / 6,
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_oracle_itself_against_sixty_digits(name):
    value, slope = oracle.ELEMENTWISE[name]
    random = np.random.default_rng(3)
    sizes = np.concatenate([random.uniform(0, 35, 60), 10 ** random.uniform(-12, 1.5, 30)])
    x = sizes * random.choice([-1, 1], sizes.size)
    exact = [DEFINITIONS[name](mp.mpf(at)) for at in x.tolist()]
    slopes = [mp.diff(DEFINITIONS[name], mp.mpf(at)) for at in x.tolist()]
    assert_close(value(x), np.array(exact, dtype=float), np.zeros_like(x), x)
    crossing = np.where(np.abs(x + 1.2) < 0.6, EPSILON, 0.0)  # where a slope crosses zero
    assert_close(slope(x), np.array(slopes, dtype=float), crossing, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "torch_function", "torch_module"),
    [
        ("relu", torch.relu, torch.nn.ReLU()),
        ("leaky_relu", torch.nn.functional.leaky_relu, torch.nn.LeakyReLU()),
        ("prelu", lambda x: torch.prelu(x, x.new_tensor([0.25])), torch.nn.PReLU()),
        ("rrelu", torch.nn.functional.rrelu, torch.nn.RReLU().eval()),
        ("elu", torch.nn.functional.elu, torch.nn.ELU()),
        ("selu", torch.selu, torch.nn.SELU()),
        ("celu", torch.celu, torch.nn.CELU()),
        ("silu", torch.nn.functional.silu, torch.nn.SiLU()),
        ("mish", torch.nn.functional.mish, torch.nn.Mish()),
        ("softplus", torch.nn.functional.softplus, torch.nn.Softplus()),
        ("gelu", torch.nn.functional.gelu, torch.nn.GELU()),
        ("relu6", torch.nn.functional.relu6, torch.nn.ReLU6()),
        ("hardswish", torch.nn.functional.hardswish, torch.nn.Hardswish()),
        ("hardsigmoid", torch.nn.functional.hardsigmoid, torch.nn.Hardsigmoid()),
        ("sigmoid", torch.sigmoid, torch.nn.Sigmoid()),
        ("tanh", torch.tanh, torch.nn.Tanh()),
        ("softsign", torch.nn.functional.softsign, torch.nn.Softsign()),
        ("softmax", lambda x: torch.softmax(x, -1), torch.nn.Softmax(-1)),
        ("thresholded_relu", lambda x: torch.threshold(x, 1, 0), torch.nn.Threshold(1, 0)),
        ("glu", torch.nn.functional.glu, torch.nn.GLU()),
        ("identity", lambda x: x, torch.nn.Identity()),
    ],
)
def test_bit_for_bit_torch_where_torch_has_it(name, torch_function, torch_module, dtype):
    x = torch.from_numpy(whole_line()[:-1]).to(dtype).reshape(-1, 2)
    ours, theirs = get_activation(name).function(x), torch_function(x)
    bits = torch.int32 if dtype is torch.float32 else torch.int64
    assert torch.equal(ours.view(bits), theirs.view(bits))
    assert torch.equal(ours.view(bits), torch_module.to(dtype)(x).view(bits))
