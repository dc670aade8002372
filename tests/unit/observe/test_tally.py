"""The running sums of one site, and the lifetimes of its units."""

import numpy as np
import torch

from relume.observe.rectifiers import RELU, TANH, Reading, Silence, Source
from relume.observe.tally import LazyLifetimes, Tally
from relume.observe.unobserved import MOST_KINDS, Unobserved
from relume.runs.records import NEVER, Layer, Lifetimes

UNITS = 4


def tally(*, saturates=False, axis=1):
    layer = Layer("act", "relu", UNITS, can_die=not saturates, saturates=saturates)
    return Tally(layer, axis, (), "cpu")


def test_outputs_above():
    site, a = tally(), torch.tensor([[0.0, 1, 2, 0], [0, 0, 3, 0]])
    site.add_output(a, RELU, 2)
    site.add_gradient(-a)
    window = site.end_window(1).activity
    assert window.fired.tolist() == [0, 1, 2, 0]
    assert window.total.tolist() == [0, 1, 5, 0]
    assert window.total_square.tolist() == [0, 1, 13, 0]
    assert window.absolute_gradient.tolist() == [0, 1, 5, 0]
    assert (window.rows, window.positions, window.gradient_positions) == (2, 2, 2)
    again = site.end_window(2).activity
    assert (again.rows, again.positions, again.total.sum()) == (0, 0, 0)


def test_inputs_are_read_before_they_are_overwritten():
    site, z = tally(), torch.tensor([[-4.0, -2.0, 1.0, 5.0]])
    reading = Reading("hardswish", Silence.DEAD, Source.INPUT, low=-3.0)
    site.add_input(z, reading)
    site.add_output(torch.nn.functional.hardswish(z, inplace=True), reading, 1)
    assert site.end_window(1).activity.fired.tolist() == [0, 1, 1, 1]


def test_saturated_units_are_those_at_their_bounds():
    site = tally(saturates=True)
    z = torch.linspace(-4, 4, 12, dtype=torch.float64).view(3, UNITS)
    site.add_output(z.tanh(), TANH, 3)
    expected = (1 - np.tanh(z.numpy()) ** 2 > 0.01).sum(0)
    assert site.end_window(1).activity.fired.tolist() == expected.tolist()


def test_rows_that_were_counted_count_once():
    site, a = tally(), torch.ones(3, UNITS)
    site.add_output(a, RELU, 3)
    site.add_output(a, RELU, None)
    window = site.end_window(1).activity
    assert (window.rows, window.positions) == (3, 6)


def test_fits():
    site = tally(axis=2)
    assert site.fits(torch.ones(1, 2, UNITS))
    assert not site.fits(torch.ones(1, UNITS))
    assert not site.fits(torch.ones(1, UNITS, 2))


def step(site, number, *fired):
    site.add_output(torch.tensor([fired], dtype=torch.float32), RELU, 1)
    fell = site.end_step(number)
    return None if fell is None else fell.tolist()


def test_units_that_fall_silent_are_told_once():
    site = tally()
    site.add_output(torch.ones(4, UNITS), RELU, 4)
    assert site.end_step(1) is None
    assert step(site, 2, 1, 0, 1, 0) == [1, 3]
    assert step(site, 3, 1, 0, 1, 0) is None
    assert site.end_step(4) is None  # nothing was seen in it
    site.end_window(4)
    assert step(site, 5, 0, 1, 1, 0) is None  # it fired once in the step before: not suddenly
    life = site.lifetimes.value()
    assert life.last_fired.tolist() == [3, 5, 5, 1]
    assert life.first_silent.tolist() == [5, NEVER, NEVER, 2]


def test_lazy_lifetimes_equal_eager_ones():
    generator = np.random.default_rng(0)
    lazy, eager = LazyLifetimes(UNITS), Lifetimes.unseen(UNITS)
    for number in range(1, 60):
        fired = (generator.random(UNITS) < 0.8).astype(float)
        lazy.note(number, fired, 2)
        eager = eager.after(number, fired, 2)
        assert lazy.value().last_fired.tolist() == eager.last_fired.tolist()
        assert lazy.value().first_silent.tolist() == eager.first_silent.tolist()


def test_the_unobserved_are_counted_by_kind_and_bounded():
    unobserved = Unobserved()
    for _ in range(3):
        unobserved.note("relu of torch.func", "a.py:1")
    unobserved.note("relu of torch.func", None)
    assert unobserved.counts == {("relu of torch.func", "a.py:1"): 3, ("relu of torch.func", ""): 1}
    for number in range(2 * MOST_KINDS):
        unobserved.note("x", str(number))
    assert len(unobserved.counts) == MOST_KINDS
