"""Moments of features against numpy in float64, over batches put together."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.observe.feature_sums import MOST_VALUES, FeatureSums, as_columns
from relume.runs.facts import MOST_FEATURES


def summed(batches):
    whole = FeatureSums.of(batches[0])
    for batch in batches[1:]:
        whole = whole + FeatureSums.of(batch)
    return whole


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    features=st.integers(1, 6),
    offset=st.sampled_from([0.0, 1e6, -3.0]),
    seed=st.integers(0, 1000),
    share=st.sampled_from([0.0, 0.2, 0.9]),
)
def test_the_sums_of_batches_are_those_of_all_rows(sizes, features, offset, seed, share):
    rng = np.random.default_rng(seed)
    batches = [rng.normal(offset, 2.0, (size, features)) for size in sizes]
    for batch in batches:
        batch[rng.random(batch.shape) < share] = rng.choice([np.nan, np.inf, -np.inf])
    sums = summed([torch.from_numpy(batch) for batch in batches])
    whole = np.concatenate(batches)
    known = [column[np.isfinite(column)] for column in whole.T]
    np.testing.assert_array_equal(sums.count.numpy(), [len(values) for values in known])
    means = [values.mean() if len(values) else np.nan for values in known]
    spreads = [values.std() if len(values) else np.nan for values in known]
    np.testing.assert_allclose(sums.means(), means, rtol=1e-12)
    np.testing.assert_allclose(sums.deviations(), spreads, rtol=1e-6, atol=1e-9)
    values = np.concatenate(known)
    assert int(sums.nonfinite) == whole.size - len(values)
    if len(values):
        spread = sums.spread()
        assert spread.count == len(values)
        assert (spread.least, spread.greatest) == (values.min(), values.max())
        assert spread.mean == pytest.approx(values.mean())
        assert spread.deviation == pytest.approx(values.std(), rel=1e-6, abs=1e-9)


def test_nothing_finite_is_nan_and_counted():
    spread = FeatureSums.of(torch.full((3, 2), math.nan)).spread()
    assert (spread.count, spread.nonfinite) == (0, 6)
    assert math.isnan(spread.mean)
    assert math.isnan(spread.least)


def test_a_feature_is_constant_if_it_never_changes_in_any_batch():
    a = torch.tensor([[1.0, 2.0, 5.0, math.nan], [1.0, 2.0, 6.0, math.nan]])
    b = torch.tensor([[1.0, 3.0, 5.0, math.nan], [1.0, 3.0, 5.0, math.nan]])
    assert FeatureSums.of(a).constant_features() == 2
    assert summed([a, b]).constant_features() == 1
    assert FeatureSums.of(a[:1]).constant_features() == 0  # of one row nothing is known


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.uint8])
def test_other_types_are_summed_in_double(dtype):
    x = torch.arange(200).remainder(100).reshape(100, 2).to(dtype)
    sums = FeatureSums.of(x)
    assert sums.mean.dtype is torch.float64
    np.testing.assert_allclose(sums.means(), x.double().numpy().mean(0))


@pytest.mark.parametrize(
    ("shape", "axis", "features"),
    [
        ((6, 3), 1, 3),
        ((6, 4, 3), 2, 3),
        ((6, 5, 4, 3), 1, 5),
        ((7,), 0, 1),
        ((2, 3, 4, 5, 6), 1, 3),
    ],
)
def test_columns_hold_each_value_under_its_feature(shape, axis, features):
    x = torch.randn(*shape)
    columns = as_columns(x, axis)
    assert columns.shape == (x.numel() // features, features)
    for feature in range(features):
        wanted = x.select(axis, feature) if axis else x
        torch.testing.assert_close(columns[:, feature].sort()[0], wanted.flatten().sort()[0])


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((40_000, 30), 1), ((9_000, 2), 1), ((3, 3, 1000, 1000), 1), ((2, 400_000, 3), 2),
     ((4, 300_000), 1), ((3_000_000,), 0), ((2, 3, 1_000_000), 1)],
)  # fmt: skip
def test_a_look_is_bounded(shape, axis):
    x = torch.zeros(1).expand(shape)
    columns = as_columns(x, axis)
    assert 0 < columns.numel() <= MOST_VALUES
    assert len(columns) * 40 > MOST_VALUES / columns.shape[1] or len(columns) >= min(shape[0], 2)


def test_no_more_features_are_told_than_the_file_keeps():
    sums = FeatureSums.of(torch.randn(4, MOST_FEATURES + 9))
    assert len(sums.means()) == len(sums.deviations()) == MOST_FEATURES
    assert len(sums.mean) == MOST_FEATURES + 9
