"""Finds test rows that also stand in the training part."""

import hashlib
from typing import Any

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


def array_hashes(
    values: NDArray[Any], rows: NDArray[np.int64], y: NDArray[np.generic]
) -> NDArray[np.uint64]:
    """Return a 64-bit hash of some rows of an array and their targets, equal for equal ones.

    Args:
        values: (any number of rows, ...), contiguous.
        rows: Which of them.
        y: (rows,), the target of each of these.

    Example:
        >>> values = np.array([[1.0], [1.0], [2.0]])
        >>> hashes = array_hashes(values, np.arange(3), np.array([0, 0, 0]))
        >>> (hashes == hashes[0]).tolist()
        [True, True, False]
    """
    digests = (
        hashlib.blake2b(values[row].tobytes() + truth.tobytes(), digest_size=8).digest()
        for row, truth in zip(rows, y, strict=True)
    )
    return np.frombuffer(b"".join(digests), np.uint64)


def count_repeats(train: NDArray[np.uint64], test: NDArray[np.uint64]) -> int:
    """Return how many test rows equal a training row.

    A chance equality of two different rows is expected once in 2**64 / (train * test) tables.
    """
    return int(np.isin(test, train).sum())
