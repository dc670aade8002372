import numpy as np
import pytest

from relume.training.data.split import apportion, split_rows

SHARES = (0.6, 0.2, 0.2)


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    groups = np.zeros(50, np.int64)
    first, again, other = (split_rows(groups, SHARES, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_rows_are_drawn_evenly():
    groups = np.zeros(100, np.int64)
    counts = np.zeros(100)
    for seed in range(500):
        counts[split_rows(groups, SHARES, seed)[2]] += 1
    # 500 draws of 0.2: mean 100, deviation 8.9; five deviations for the extremes of 100 rows.
    assert abs(counts - 100).max() < 45


def test_many_small_classes_fill_the_parts_as_asked():
    groups = np.repeat(np.arange(200), 4)
    sizes = [len(part) for part in split_rows(groups, SHARES, 0)]
    assert sizes == [400, 200, 200], "of four rows each part gets at least one"
    groups = np.repeat(np.arange(200), 7)
    sizes = [len(part) for part in split_rows(groups, SHARES, 0)]
    np.testing.assert_allclose(sizes, [840, 280, 280], atol=1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(10, [6, 2, 2]), (3, [1, 1, 1]), (4, [2, 1, 1]), (2, [1, 1, 0]), (0, [0] * 3)],
)
def test_apportion(rows, expected):
    assert apportion(rows, SHARES, [0.0] * 3) == expected


def test_a_tiny_share_still_gets_a_row():
    assert [len(p) for p in split_rows(np.zeros(20, np.int64), (0.98, 0.01, 0.01), 0)] == [18, 1, 1]
