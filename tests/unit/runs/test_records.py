import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.runs.records import (
    NEVER,
    LayerWindow,
    Lifetimes,
    Moments,
    UnitActivity,
    Window,
)

UNITS = 3
counts = st.lists(st.integers(0, 2**40), min_size=UNITS, max_size=UNITS).map(
    lambda values: np.array(values, np.int64)
)
# Integers as floats: sums are exact, so that associativity can be asked for exactly.
sums = counts.map(lambda values: values.astype(np.float64))
activities = st.builds(
    UnitActivity,
    st.integers(0, 1000),
    st.integers(0, 1000),
    counts,
    sums,
    sums,
    st.integers(0, 1000),
    sums,
)
numbers = st.integers(-(2**30), 2**30).map(float)
moments = st.one_of(
    st.just(Moments()),
    st.lists(numbers, min_size=1, max_size=4).map(
        lambda values: sum(map(Moments.of, values), Moments())
    ),
)
layer_windows = st.builds(LayerWindow, activities, moments, moments, moments)
windows = st.builds(
    lambda first, length, armed, loss, lr, layers: Window(
        first, first + length, armed, loss, lr, tuple(layers)
    ),
    st.integers(1, 1000),
    st.integers(0, 1000),
    st.integers(0, 50),
    moments,
    numbers,
    st.lists(layer_windows, min_size=2, max_size=2),
)


def same(a, b):
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "__dataclass_fields__") and not isinstance(a, Moments):
        return all(same(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    return a == b


@pytest.mark.parametrize("values", [activities, moments, layer_windows, windows])
def test_statistics_add_in_any_grouping(values):
    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(values, values, values)
    def check(a, b, c):
        assert same((a + b) + c, a + (b + c))

    check()


@pytest.mark.parametrize("values", [activities, moments, layer_windows])
def test_statistics_add_in_any_order(values):
    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(values, values)
    def check(a, b):
        assert same(a + b, b + a)

    check()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(activities)
def test_zero_is_the_identity(activity):
    assert same(activity + UnitActivity.zero(UNITS), activity)
    assert same(UnitActivity.zero(UNITS) + activity, activity)


def test_windows_take_the_rate_of_the_later_one():
    early = Window(1, 10, 1, Moments.of(2.0), 0.1, ())
    late = Window(11, 20, 2, Moments.of(4.0), 0.2, ())
    for merged in (early + late, late + early):
        assert (merged.first_step, merged.last_step, merged.armed_steps) == (1, 20, 3)
        assert merged.learning_rate == 0.2
        assert merged.loss.mean == 3.0


def test_rates_and_means_are_shares_of_positions():
    activity = UnitActivity(
        2, 8, np.array([0, 4, 8]), np.array([0.0, 4.0, 16.0]), np.zeros(3), 4, np.array([0.0, 2, 4])
    )
    assert activity.firing_rate.tolist() == [0.0, 0.5, 1.0]
    assert activity.mean.tolist() == [0.0, 0.5, 2.0]
    assert activity.units == 3
    assert np.isnan(UnitActivity.zero(3).firing_rate).all()


def test_moments_against_numpy():
    values = np.random.default_rng(0).normal(size=50)
    total = sum(map(Moments.of, values), Moments())
    assert total.mean == pytest.approx(values.mean())
    assert (total.least, total.greatest) == (values.min(), values.max())
    assert math.isnan(Moments().mean)


def test_lifetimes_follow_a_unit_by_unit_replay():
    rng = np.random.default_rng(1)
    fired = rng.random((40, 6)) < np.array([0.0, 0.05, 0.2, 0.5, 0.9, 1.0])
    lives = Lifetimes.unseen(6)
    for step, row in enumerate(fired, start=1):
        lives = lives.after(step * 10, row.astype(np.int64) * 3, rows=7)
    for unit in range(6):
        steps = [10 * (i + 1) for i in range(40) if fired[i, unit]]
        last = steps[-1] if steps else NEVER
        silent = [10 * (i + 1) for i in range(40) if 10 * (i + 1) > last]
        assert lives.last_fired[unit] == last
        assert lives.first_silent[unit] == (silent[0] if silent else NEVER)
        assert lives.silent_rows[unit] == 7 * len(silent)
