from datetime import datetime, time, timedelta

import numpy as np
import polars as pl
import pytest

from relume.training.data.cells import Kind, Reading
from relume.training.data.encoding import (
    FARTHEST,
    MOST_LEVELS,
    CategoryColumn,
    MomentColumn,
    NumberColumn,
    Scaling,
    fit_pixels,
    least_rows,
    sorted_levels,
)


def encoded(column, values, dtype=None):
    cells = pl.Series("x", values, dtype=dtype)
    out = np.zeros((len(cells), len(column.features)), np.float32)
    column.encode(cells, out)
    return out


def numbers(values):
    return pl.Series("x", values, dtype=pl.Float64)


def texts(values):
    return pl.Series("x", values, dtype=pl.String)


def test_a_number_is_filled_with_the_median_then_standardised():
    column = NumberColumn.fit(numbers([1.0, 2.0, None, 9.0]))
    filled = np.array([1.0, 2.0, 2.0, 9.0])
    assert column.features == ("x", "x is missing")
    expected = np.stack([(filled - filled.mean()) / filled.std(), [0, 0, 1, 0]], axis=1)
    np.testing.assert_allclose(encoded(column, [1.0, 2.0, None, 9.0]), expected, rtol=1e-6)


def test_a_number_that_misses_nothing_in_training_has_no_indicator():
    column = NumberColumn.fit(numbers([1.0, 2.0, 9.0]))
    assert column.features == ("x",)
    assert encoded(column, [None], pl.Float64) == encoded(column, [2.0])


def test_a_number_that_does_not_vary_in_training_gives_zeros_for_ever():
    column = NumberColumn.fit(numbers([5.0, None, 5.0]))
    np.testing.assert_array_equal(encoded(column, [5.0, None, 7.0]), [[0, 0], [0, 1], [0, 0]])


@pytest.mark.parametrize("values", [[0.1 + 0.2, 0.3], [1e15, 1e15 + 0.125], [1 / 3] * 7])
def test_rounding_errors_are_no_spread(values):
    assert Scaling.fit(np.array(values)).scale == 0


@pytest.mark.parametrize("size", [1e-310, 1e-300, 1e-160, 1.0, 1e160, 1.7e308])
def test_no_size_of_numbers_overflows(size):
    values = np.array([-1.0, 0.25, 1.0]) * size
    column = NumberColumn.fit(numbers(values))
    expected = (values / size - 1 / 12) / np.std([-1.0, 0.25, 1.0])
    np.testing.assert_allclose(encoded(column, values)[:, 0], expected, rtol=1e-6)


def test_far_away_numbers_are_kept_finite():
    column = NumberColumn.fit(numbers([0.0, 1e-300, 2e-300]))
    np.testing.assert_array_equal(encoded(column, [1.7e308, -1.7e308]), [[FARTHEST], [-FARTHEST]])


def test_no_training_row_reaches_the_bound():
    values = np.zeros(1000)
    values[0] = 1.0
    assert Scaling.fit(values).apply(values).max() == pytest.approx(np.sqrt(999))


def test_large_offsets_keep_their_precision():
    values = 1.7e9 + np.arange(100.0)
    z = Scaling.fit(values).apply(values)
    np.testing.assert_allclose(z, (np.arange(100) - 49.5) / np.arange(100).std(), rtol=1e-9)


def test_levels_missing_and_other_have_a_feature_each():
    column = CategoryColumn.fit(texts(["b", "a", "b", "a", None, "rare"]))
    assert column.features == ("x=a", "x=b", "x is missing", "x is other")
    np.testing.assert_array_equal(
        encoded(column, ["a", "b", None, "rare", "new"], pl.String),
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]],
    )


def test_what_training_did_not_have_gives_zeros():
    column = CategoryColumn.fit(texts(["b", "a", "b", "a"]))
    assert column.features == ("x=a", "x=b")
    np.testing.assert_array_equal(encoded(column, [None, "new"], pl.String), np.zeros((2, 2)))


def test_the_most_frequent_levels_are_kept():
    counts = {f"level {i:03}": 200 - i for i in range(100)}
    column = CategoryColumn.fit(texts([name for name, n in counts.items() for _ in range(n)]))
    assert column.levels == tuple(list(counts)[:MOST_LEVELS])
    assert column.other


def test_a_level_needs_one_row_in_a_thousand():
    cells = texts(["a"] * 9_985 + ["b"] * 9 + ["c"] * 6 + ["d"] * 5_000)
    assert least_rows(15_000) == 15
    assert CategoryColumn.fit(cells).levels == ("a", "d")
    assert CategoryColumn.fit(texts(["a"] * 9_985 + ["b"] * 15)).levels == ("a", "b")


def test_levels_are_in_order_whatever_the_order_of_rows():
    assert sorted_levels(["b", "10", "-1", "a", "9"]) == ("-1", "9", "10", "a", "b")
    names = ["10", "9", "9", "10", "b", "b"]
    assert CategoryColumn.fit(texts(names)) == CategoryColumn.fit(texts(names[::-1]))


def test_moments_become_standardised_parts():
    start = datetime(2024, 1, 1, 6)
    stamps = pl.Series("x", [start + timedelta(hours=31 * i) for i in range(50)])
    column = MomentColumn.fit(stamps, Reading("x", Kind.DATETIME, None))
    parts = ("year", "month", "day of week", "day of year", "elapsed days", "time of day")
    assert column.features == tuple(f"x {part}" for part in parts)
    out = encoded(column, stamps)
    elapsed = np.arange(50) * 31 / 24
    np.testing.assert_allclose(out[:, 4], (elapsed - elapsed.mean()) / elapsed.std(), atol=1e-5)
    weekday = np.array([stamp.isoweekday() for stamp in stamps])
    np.testing.assert_allclose(out[:, 2], (weekday - weekday.mean()) / weekday.std(), atol=1e-5)
    np.testing.assert_array_equal(out[:, 0], 0)


def test_times_of_day_and_gaps():
    cells = pl.Series("x", [time(6), None, time(18), time(12)])
    column = MomentColumn.fit(cells, Reading("x", Kind.TIME, None))
    assert column.features == ("x time of day", "x is missing")
    out = encoded(column, cells)
    np.testing.assert_allclose(out, [[-np.sqrt(2), 0], [0, 1], [np.sqrt(2), 0], [0, 0]], atol=1e-6)


def test_pixels_share_mean_and_deviation():
    x = np.random.default_rng(0).integers(0, 16, (50, 6)).astype(float)
    x[:, 0] = 0
    frame = pl.DataFrame({f"p{i}": x[:, i] for i in range(6)})
    for at, column in enumerate(fit_pixels(frame)):
        expected = (x[:, at] - x.mean()) / x.std()
        np.testing.assert_allclose(encoded(column, x[:, at])[:, 0], expected, rtol=1e-5)
