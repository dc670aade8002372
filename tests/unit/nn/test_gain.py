"""Gains by quadrature: against the constants of record, closed forms, SciPy, and each other."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate

from relume.errors import RelumeError
from relume.nn.complex_valued import mod_relu
from relume.nn.facts import Kind
from relume.nn.gain import gain, maxout_gain
from relume.nn.gated import maxout
from relume.nn.registry import activations, get_activation
from tests.oracles import activation_oracle as oracle

GATES = {"glu": "sigmoid", "reglu": "relu", "geglu": "gelu", "swiglu": "silu"}


@pytest.mark.parametrize("entry", activations(), ids=lambda entry: entry.name)
def test_the_constant_of_record_is_what_quadrature_gives(entry):
    knots = () if entry.kind is Kind.COMPLEX else entry.facts.knots
    computed = gain(entry.function, kind=entry.kind, knots=knots)
    assert computed == pytest.approx(entry.facts.gain, rel=1e-12, nan_ok=True)


def second_moment(function, knots):
    """Return E f(z)^2 by SciPy's adaptive quadrature on the NumPy oracle."""
    bounds = sorted({-12.0, -2.0, 0.0, 2.0, 12.0, *knots})

    def integrand(z):
        return float(function(np.array([z]))[0]) ** 2 * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

    parts = [
        integrate.quad(integrand, low, high, epsabs=1e-14, epsrel=1e-13)[0]
        for low, high in itertools.pairwise(bounds)
    ]
    return math.fsum(parts)


@pytest.mark.parametrize("name", [*oracle.ELEMENTWISE, *GATES])
def test_scipy_and_the_numpy_oracle_agree_to_ten_digits(name):
    facts = get_activation(name).facts
    function = oracle.ELEMENTWISE[GATES.get(name, name)][0]  # the value's second moment is 1
    assert second_moment(function, facts.knots) ** -0.5 == pytest.approx(facts.gain, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "squared"),
    [
        ("identity", 1.0),
        ("relu", 2.0),
        ("leaky_relu", 2 / (1 + 0.01**2)),
        ("prelu", 2 / (1 + 0.25**2)),
        ("rrelu", 2 / (1 + (11 / 48) ** 2)),
        ("squared_relu", 2 / 3),
        ("concatenated_relu", 2.0),
        ("maxout", 1.0),
        ("reglu", 2.0),
        ("complex_relu", 2.0),
        ("z_relu", 4.0),
        ("mod_relu", 1.0),
        ("phase_relu", 1.0),
    ],
)
def test_closed_forms(name, squared):
    assert get_activation(name).facts.gain ** 2 == pytest.approx(squared, rel=1e-13)


def test_closed_form_of_the_thresholded_relu():
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    above = math.erfc(1 / math.sqrt(2)) / 2
    assert get_activation("thresholded_relu").facts.gain ** -2 == pytest.approx(density + above)


@pytest.mark.parametrize("slope", [0.2, -1.0, 0.9])
def test_other_parameters(slope):
    computed = gain(lambda z: torch.nn.functional.leaky_relu(z, slope), knots=[0])
    assert computed == pytest.approx(math.sqrt(2 / (1 + slope**2)), rel=1e-12)


def test_mod_relu_with_a_bias_has_a_circular_knot():
    bias = 0.5  # E (r - b)^2 over r > b, r Rayleigh with density 2 r exp(-r^2), in closed form
    moment = math.exp(-(bias**2)) - bias * math.sqrt(math.pi) * math.erfc(bias)
    computed = gain(lambda z: mod_relu(z, -bias), kind=Kind.COMPLEX, knots=[bias])
    assert computed == pytest.approx(moment**-0.5, rel=1e-12)


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_maxout_of_any_number_of_pieces(pieces):
    assert maxout_gain(2) == pytest.approx(1, rel=1e-12)
    assert maxout_gain(3) == pytest.approx((1 + math.sqrt(3) / (2 * math.pi)) ** -0.5, rel=1e-12)
    z = torch.randn(200_000, pieces, generator=torch.Generator().manual_seed(0))
    squares = maxout(z, pieces).square().double()
    error = squares.std().item() / math.sqrt(len(squares))
    assert maxout_gain(pieces) ** -2 == pytest.approx(squares.mean().item(), abs=4.5 * error)


def test_softmax_has_no_gain():
    assert math.isnan(gain(torch.nn.functional.relu, kind=Kind.VECTOR))


def test_a_jump_that_is_no_knot_is_refused_and_not_guessed():
    with pytest.raises(RelumeError, match="did not settle near .*: name its knots"):
        gain(lambda z: (z > 0.123456).to(z.dtype))
    known = gain(lambda z: (z > 0.123456).to(z.dtype), knots=[0.123456])
    assert known**-2 == pytest.approx(math.erfc(0.123456 / math.sqrt(2)) / 2, rel=1e-12)


def test_a_sharp_softplus_settles():
    sharp = gain(lambda z: torch.nn.functional.softplus(z, beta=100.0))
    assert sharp == pytest.approx(math.sqrt(2), rel=1e-3)
