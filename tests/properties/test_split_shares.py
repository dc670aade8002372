"""Splits are disjoint, complete and as even as whole rows allow."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.training.data.split import split_rows

SIZES = st.lists(st.integers(3, 40), min_size=1, max_size=12)
FRACTIONS = st.tuples(st.floats(0.05, 0.45), st.floats(0.05, 0.45))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(sizes=SIZES, fractions=FRACTIONS, seed=st.integers(0, 2**32))
def test_every_row_in_one_part_and_every_class_shared_out_alike(sizes, fractions, seed):
    shares = (1 - sum(fractions), *fractions)
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = split_rows(groups, shares, seed)
    together = np.concatenate(parts)
    assert sorted(together) == list(range(len(groups)))
    for part in parts:
        assert (np.diff(part) > 0).all()
    counts = np.array([np.bincount(groups[part], minlength=len(sizes)) for part in parts])
    assert (counts >= 1).all()
    ideal = np.outer(shares, sizes)
    enough = (ideal >= 1).all(axis=0)  # where no part had to be given a row that it was not owed
    assert (abs(counts - ideal)[:, enough] <= 1 + 1e-9).all()
    assert (abs(counts - ideal) <= 2 + 1e-9).all()


@settings(deadline=None, derandomize=True, max_examples=100)
@given(rows=st.integers(10, 5000), fractions=FRACTIONS, seed=st.integers(0, 100))
def test_one_group_is_shared_within_one_row(rows, fractions, seed):
    shares = (1 - sum(fractions), *fractions)
    sizes = np.array([len(part) for part in split_rows(np.zeros(rows, np.int64), shares, seed)])
    assert sizes.sum() == rows
    wanted = rows * np.array(shares)
    if wanted.min() >= 1:
        assert (abs(sizes - wanted) <= 1 + 1e-9).all()
