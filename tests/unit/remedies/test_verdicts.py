"""Verdicts against scipy's own paired interval, and what is said of them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relume.errors import DataError
from relume.remedies.verdict import judge

values = st.lists(
    st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=2, max_size=30
).filter(lambda pairs: len({round(a - b, 6) for a, b in pairs}) > 1)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(values, st.booleans())
def test_the_interval_is_that_of_a_paired_t_test(pairs, higher):
    before, after = zip(*pairs, strict=True)
    found = judge(before, after, metric="x", higher_is_better=higher)
    sign = 1 if higher else -1
    expected = stats.ttest_rel(np.array(after) * sign, np.array(before) * sign)
    low, high = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((low, high), rel=1e-6, abs=1e-6)
    assert low <= found.gain + 1e-9
    assert found.gain - 1e-9 <= high


def test_what_is_better_is_kept_and_said_with_its_numbers():
    found = judge([0.0] * 50 + [1.0] * 50, [1.0] * 100, metric="accuracy", higher_is_better=True)
    assert found.is_better
    assert found.sentence == (
        "accuracy is better: 0.5 → 1, gain 0.5 (95 % interval 0.4 to 0.6, 100 rows); kept"
    )


def test_a_lower_loss_is_a_gain():
    assert judge([2.0, 2.1], [1.0, 1.2], metric="loss", higher_is_better=False).gain > 0


def test_chance_is_not_called_better():
    found = judge([0, 1, 0, 1], [1, 0, 0, 1], metric="accuracy", higher_is_better=True)
    assert "no difference beyond chance" in found.sentence
    assert found.is_kept
    strict = judge([0, 1, 0, 1], [1, 0, 0, 1], metric="a", higher_is_better=True, keep_equals=False)
    assert not strict.is_kept


def test_one_pair_proves_nothing():
    found = judge([0.0], [1.0], metric="score", higher_is_better=True, pairs_of="seed")
    assert not found.is_better
    assert found.to_json()["low"] is None
    assert "1 seed" in found.sentence


def test_what_is_worse_or_no_number_is_undone():
    worse = judge([1.0, 1.1, 1.2], [2.0, 2.2, 2.3], metric="loss", higher_is_better=False)
    broken = judge([1.0, 1.1], [math.nan, 1.0], metric="loss", higher_is_better=False)
    for each in (worse, broken):
        assert each.is_worse
        assert not each.is_kept
        assert each.sentence.endswith("undone")
        json.dumps(each.to_json(), allow_nan=False)


def test_numbers_where_there_were_none_are_a_gain():
    assert judge([math.nan, 1.0], [1.0, 1.0], metric="loss", higher_is_better=False).is_better


def test_values_that_are_no_pairs_are_refused():
    with pytest.raises(DataError, match="3 treated and 2 untreated"):
        judge([1, 2], [1, 2, 3], metric="x", higher_is_better=True)
