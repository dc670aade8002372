"""The line along which an activation is plotted."""

import math

import pytest

from relume.nn.curve import sample_curve
from relume.nn.facts import Kind
from relume.nn.registry import activations, get_activation


@pytest.mark.parametrize("entry", activations(), ids=lambda entry: entry.name)
def test_the_derivative_is_the_slope_of_the_value(entry):
    curve = sample_curve(entry, points=2001)
    step = curve.x[1] - curve.x[0]
    smooth = 0
    for i in range(1, 2000):
        before, after = curve.derivative[i - 1], curve.derivative[i + 1]
        if abs(after - before) < 5 * step:  # no knot between
            secant = (curve.value[i + 1] - curve.value[i - 1]) / (2 * step)
            assert secant == pytest.approx(curve.derivative[i], abs=2 * step)
            smooth += 1
    assert smooth > 1900


def test_the_line_is_named_where_there_is_a_choice():
    named = {entry.name for entry in activations() if sample_curve(entry, points=3).line}
    assert named == {entry.name for entry in activations() if entry.kind is not Kind.ELEMENTWISE}


def test_the_bounds_show_every_knot():
    for entry in activations():
        curve = sample_curve(entry, points=3)
        if entry.kind is not Kind.COMPLEX:
            assert all(curve.x[0] < knot < curve.x[-1] for knot in entry.facts.knots)


@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        ("glu", 0.0, 0.5),
        ("maxout", -1.0, 0.0),
        ("softmax", 0.0, 1 / 3),
        ("concatenated_relu", 1.0, 1.0),
        ("complex_relu", -1.0, 0.0),
        ("mod_relu", 3.0, 2.0),
        ("mod_relu", -3.0, -2.0),
        ("phase_relu", -1.0, 0.0),
        ("phase_relu", 1.0, 1.0),
    ],
)
def test_values_on_the_lines(name, x, value):
    curve = sample_curve(get_activation(name), low=x, high=4.0, points=2)
    assert curve.value[0] == pytest.approx(value)


def test_the_phase_goes_once_round():
    curve = sample_curve(get_activation("phase_relu"), points=3)
    assert curve.x == pytest.approx((-math.pi, 0, math.pi))
