"""A second implementation of every activation and its derivative, in NumPy, without torch.

Written from the formulas, in forms that keep their digits in the tails; checked against mpmath in
``test_activations_against_numpy``.
"""

import numpy as np
from scipy.special import erf, erfcx

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
LEAK, PRELU_SLOPE, RRELU_SLOPE = 0.01, 0.25, 11 / 48


def _branch(condition, x, if_true, if_false):
    """Evaluate each formula only where it is meant, so that neither overflows."""
    x = np.asarray(x, dtype=np.float64)
    out = np.empty_like(x)
    chosen = condition(x)
    out[chosen] = if_true(x[chosen])
    out[~chosen] = if_false(x[~chosen])
    return out


def _positive(x):
    return x > 0


def _step(x, left, right=1.0):
    return np.where(x > 0, right, left)


def _constant(number):
    return lambda x: np.full_like(x, number)


def logistic(x):
    return _branch(
        _positive, x, lambda p: 1 / (1 + np.exp(-p)), lambda n: np.exp(n) / (1 + np.exp(n))
    )


def logistic_slope(x):
    e = np.exp(-np.abs(x))
    return e / (1 + e) ** 2


def tanh_slope(x):
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


def square_exactly(x):
    """Return x^2 as a rounded square and its rounding error (Veltkamp and Dekker)."""
    split = x * 134217729.0
    high = split - (split - x)
    low = x - high
    square = x * x
    return square, ((high * high - square) + 2 * high * low) + low * low


def bell(x):
    """Return exp(-x^2 / 2), with the rounding error of the square put back."""
    x = np.clip(x, -40.0, 40.0)  # beyond, both are below the smallest number
    square, error = square_exactly(x)
    return np.exp(-square / 2) * (1 - error / 2)


def normal_cdf(x):
    tail = 0.5 * erfcx(np.abs(x) / np.sqrt(2)) * bell(x)
    middle = 0.5 + 0.5 * erf(x / np.sqrt(2))
    return np.where(np.abs(x) < 0.5, middle, np.where(x < 0, tail, 1 - tail))


def gelu(x):
    return x * normal_cdf(x)


def gelu_slope(x):
    return normal_cdf(x) + np.clip(x, -40.0, 40.0) * bell(x) / np.sqrt(2 * np.pi)


def silu(x):
    return x * logistic(x)


def silu_slope(x):
    return logistic(x) * (1 + np.clip(x, -800.0, 800.0) * logistic(-x))


def mish(x):
    return x * _branch(
        _positive,
        x,
        lambda p: (1 + 2 * np.exp(-p)) / (1 + 2 * np.exp(-p) + 2 * np.exp(-2 * p)),
        lambda n: np.exp(n) * (np.exp(n) + 2) / (np.exp(n) * (np.exp(n) + 2) + 2),
    )


def mish_slope(x):
    def right(p):
        u = np.exp(-p)
        below = 1 + 2 * u + 2 * u * u
        return (1 + 2 * u) / below + p * (2 * u * (1 + u) / below) ** 2 / (1 + u)

    def left(n):
        w = np.exp(n)
        below = w * (w + 2) + 2
        return w * (w + 2) / below + n * (4 * (w + 1) ** 2 / below**2) * (w / (1 + w))

    return _branch(_positive, x, right, left)


def softplus(x):
    return _branch(_positive, x, lambda p: p + np.log1p(np.exp(-p)), lambda n: np.log1p(np.exp(n)))


def elu(x):
    return _branch(_positive, x, lambda p: p, np.expm1)


def elu_slope(x):
    return _branch(_positive, x, _constant(1.0), np.exp)


def selu(x):
    return _branch(
        _positive, x, lambda p: SELU_SCALE * p, lambda n: SELU_SCALE * SELU_ALPHA * np.expm1(n)
    )


def selu_slope(x):
    return _branch(
        _positive, x, _constant(SELU_SCALE), lambda n: SELU_SCALE * SELU_ALPHA * np.exp(n)
    )


def hardswish(x):
    return np.where(x <= -3, 0.0, np.where(x >= 3, x, x * ((x + 3) / 6)))


def hardswish_slope(x):
    return np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6))


# One number in, one number out: name -> (value, derivative), torch's choice at the knots.
ELEMENTWISE = {
    "identity": (lambda x: x, np.ones_like),
    "relu": (lambda x: np.maximum(x, 0), lambda x: _step(x, 0.0)),
    "leaky_relu": (lambda x: np.where(x > 0, x, LEAK * x), lambda x: _step(x, LEAK)),
    "prelu": (lambda x: np.where(x > 0, x, PRELU_SLOPE * x), lambda x: _step(x, PRELU_SLOPE)),
    "rrelu": (lambda x: np.where(x > 0, x, RRELU_SLOPE * x), lambda x: _step(x, RRELU_SLOPE)),
    "elu": (elu, elu_slope),
    "selu": (selu, selu_slope),
    "celu": (elu, elu_slope),
    "silu": (silu, silu_slope),
    "mish": (mish, mish_slope),
    "softplus": (softplus, logistic),
    "gelu": (gelu, gelu_slope),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: np.where((x > 0) & (x < 6), 1.0, 0.0)),
    "hardswish": (hardswish, hardswish_slope),
    "hardsigmoid": (
        lambda x: np.clip((x + 3) / 6, 0, 1),
        lambda x: np.where((x > -3) & (x < 3), 1 / 6, 0.0),
    ),
    "sigmoid": (logistic, logistic_slope),
    "tanh": (np.tanh, tanh_slope),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    "squared_relu": (lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0)),
    "thresholded_relu": (
        lambda x: np.where(x > 1, x, 0.0),
        lambda x: np.where(x > 1, 1.0, 0.0),
    ),
}


def _gated(gate, gate_slope):
    return (
        lambda a, b: a * gate(b),
        lambda a, b: (gate(b), a * gate_slope(b)),
    )


def _share(a, b):
    """Return the share of a in the gradient of max(a, b); ties are split."""
    return np.where(a > b, 1.0, np.where(a == b, 0.5, 0.0))


# Two features make one: name -> (value, both partial derivatives).
GATED = {
    "maxout": (np.maximum, lambda a, b: (_share(a, b), _share(b, a))),
    "glu": _gated(logistic, logistic_slope),
    "reglu": _gated(*ELEMENTWISE["relu"]),
    "geglu": _gated(gelu, gelu_slope),
    "swiglu": _gated(silu, silu_slope),
}


def softmax(x):
    """Return softmax along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_jacobian(x):
    """Return the Jacobian of softmax, shape (..., n, n)."""
    p = softmax(x)
    return p[..., :, None] * (np.eye(x.shape[-1]) - p[..., None, :])


def concatenated_relu(x):
    return np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=-1)


def _mod_relu(bias):
    def value(x, y):
        r = np.hypot(x, y)
        scale = np.divide(np.maximum(r + bias, 0), r, out=np.zeros_like(r), where=r > 0)
        return x * scale, y * scale

    def jacobian(x, y):
        r = np.hypot(x, y)
        fires = (r > 0) & (r + bias > 0)
        safe = np.where(fires, r, 1.0)
        u, v, bend = x / safe, y / safe, bias / safe
        rows = ((1 + bend * (1 - u * u), -bend * u * v), (-bend * u * v, 1 + bend * (1 - v * v)))
        return tuple(tuple(np.where(fires, each, 0.0) for each in row) for row in rows)

    return value, jacobian


def _z_relu(x, y):
    passes = (x >= 0) & (y >= 0)
    return np.where(passes, x, 0.0), np.where(passes, y, 0.0)


def _z_relu_jacobian(x, y):
    passes = np.where((x >= 0) & (y >= 0), 1.0, 0.0)
    return (passes, 0 * passes), (0 * passes, passes)


def _phase_relu(x, y):
    below = y < 0
    return np.where(below, np.hypot(x, y), x), np.where(below, 0.0, y)


def _phase_relu_jacobian(x, y):
    below, r = y < 0, np.hypot(x, y)
    safe = np.where(r > 0, r, 1.0)
    return (
        (np.where(below, x / safe, 1.0), np.where(below, y / safe, 0.0)),
        (np.zeros_like(x), np.where(below, 0.0, 1.0)),
    )


# Complex in, complex out: name -> (real and imaginary part, their Jacobian, rows by output).
COMPLEX = {
    "complex_relu": (
        lambda x, y: (np.maximum(x, 0), np.maximum(y, 0)),
        lambda x, y: ((_step(x, 0.0), 0 * x), (0 * x, _step(y, 0.0))),
    ),
    "z_relu": (_z_relu, _z_relu_jacobian),
    "mod_relu": _mod_relu(0.0),
    "phase_relu": (_phase_relu, _phase_relu_jacobian),
}
BIASED_MOD_RELU = _mod_relu(-0.75)


def ulps(got, want):
    """Return the distance of ``got`` from ``want`` in units in the last place of ``want``."""
    got, want = np.asarray(got), np.asarray(want)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(got - want) / np.spacing(np.abs(np.where(np.isfinite(want), want, 1.0)))
    return np.where(got == want, 0.0, distance)
