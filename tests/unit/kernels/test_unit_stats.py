import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.kernels import unit_stats

SHAPES = [((7,), 0), ((5, 3), 1), ((5, 3), -1), ((4, 6, 3), 2), ((4, 3, 5, 2), 1)]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def by_unit(array, axis):
    """Bring the unit axis first and flatten the rest: (units, positions), in float64."""
    return np.moveaxis(np.asarray(array, np.float64), axis, 0).reshape(array.shape[axis], -1)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_statistic_against_numpy(shape, axis, dtype):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    values[values.abs() < 0.3] = 0.0
    plain = by_unit(values.double().numpy(), axis)
    assert unit_stats.count_above(values, 0.0, axis).tolist() == (plain > 0).sum(1).tolist()
    assert unit_stats.count_above(values, -1.0, axis).tolist() == (plain > -1).sum(1).tolist()
    assert unit_stats.count_nonzero(values, axis).tolist() == (plain != 0).sum(1).tolist()
    total, square = unit_stats.sums(values, axis)
    tolerance = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(total.numpy(), plain.sum(1), **tolerance)
    np.testing.assert_allclose(square.numpy(), (plain**2).sum(1), **tolerance)
    gradient = unit_stats.absolute_sum(values, axis)
    np.testing.assert_allclose(gradient.numpy(), np.abs(plain).sum(1), **tolerance)


def test_strided_and_channels_last_tensors():
    base = torch.randn(4, 6, 5, 7, generator=torch.Generator().manual_seed(1))
    for values in (base.to(memory_format=torch.channels_last), base[:, ::2], base.transpose(0, 1)):
        plain = by_unit(values.numpy(), 1)
        assert unit_stats.count_above(values, 0.0, 1).tolist() == (plain > 0).sum(1).tolist()


def test_not_a_number_fires_nowhere_and_infinity_does():
    values = torch.tensor([[float("nan"), float("inf"), float("-inf"), -0.0]])
    assert unit_stats.count_above(values, 0.0, 1).tolist() == [0, 1, 0, 0]
    assert unit_stats.count_nonzero(values, 1).tolist() == [1, 1, 1, 0]


def test_complex_values_count_by_their_modulus():
    values = torch.tensor([[3 + 4j, 0j], [0j, 1j]])
    assert unit_stats.count_nonzero(values, 1).tolist() == [1, 1]
    assert unit_stats.sums(values, 1)[1].tolist() == [25.0, 1.0]


def test_counts_beyond_float32_are_exact():
    positions = unit_stats.EXACT_IN_FLOAT32 + 3
    values = torch.ones(positions, 1)
    assert unit_stats.count_above(values, 0.0, 1).tolist() == [positions]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(width=32), min_size=1, max_size=30))
def test_splitting_the_rows_changes_no_count(values):
    column = torch.tensor(values, dtype=torch.float32)[:, None]
    half = len(values) // 2
    parts = [unit_stats.count_above(part, 0.0, 1) for part in (column[:half], column[half:])]
    assert (parts[0] + parts[1]).tolist() == unit_stats.count_above(column, 0.0, 1).tolist()
