"""Finds test rows that also stand in the training part."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


def row_hashes(cells: pl.DataFrame, y: NDArray[np.generic]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each row's cells and targets, equal for equal rows.

    Example:
        >>> hashes = row_hashes(pl.DataFrame({"a": ["x", "y", "x"]}), np.array([0, 0, 0]))
        >>> (hashes == hashes[0]).tolist()
        [True, False, True]
    """
    targets = {f"y{at}": column for at, column in enumerate(np.atleast_2d(y.T))}
    both = pl.DataFrame({"cells": cells.hash_rows(seed=0), **targets})
    return both.hash_rows(seed=0).to_numpy()


def count_repeats(train: NDArray[np.uint64], test: NDArray[np.uint64]) -> int:
    """Return how many test rows equal a training row.

    A chance equality of two different rows is expected once in 2**64 / (train * test) tables.
    """
    return int(np.isin(test, train).sum())
