"""Splits rows into parts, each group shared out alike."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def split_rows(
    groups: NDArray[np.int64], shares: tuple[float, ...], seed: int
) -> list[NDArray[np.int64]]:
    """Share out rows at random, every group (class) as evenly as its size allows.

    Of a group of n rows a part gets its share of n, rounded down or up so that all rows are used;
    a group of at least as many rows as there are parts has a row in each.

    Args:
        groups: (rows,) the group of each row, counted from 0; all zeros for one group.
        shares: How much each part gets; they add up to 1.
        seed: Of the shuffle.

    Returns:
        The sorted row numbers of each part; disjoint, and all rows together.

    Example:
        >>> [len(part) for part in split_rows(np.zeros(10, np.int64), (0.6, 0.2, 0.2), seed=0)]
        [6, 2, 2]
    """
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    starts = np.searchsorted(groups[order], np.arange(groups.max(initial=-1) + 2))
    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    owed = [0.0] * len(shares)
    for start, stop in pairwise(starts):
        counts = apportion(int(stop - start), shares, owed)
        owed = [
            debt + (stop - start) * share - count
            for debt, share, count in zip(owed, shares, counts, strict=True)
        ]
        cuts = start + np.cumsum(counts)
        for part, rows in zip(parts, np.split(order[start:stop], cuts[:-1] - start), strict=True):
            part.append(rows)
    return [np.sort(np.concatenate(part)).astype(np.int64) for part in parts]


def apportion(rows: int, shares: tuple[float, ...], owed: list[float]) -> list[int]:
    """Share out a number of rows, then give empty parts one.

    Each part gets its share rounded down, and those that are owed most one row more.

    Args:
        rows: How many there are.
        shares: How much each part gets; they add up to 1.
        owed: How many rows each part got too few before.

    Example:
        >>> apportion(13, (0.6, 0.2, 0.2), [0, 0, 0]), apportion(3, (0.8, 0.1, 0.1), [0, 0, 0])
        ([8, 3, 2], [1, 1, 1])
    """
    ideal = [rows * share for share in shares]
    counts = [int(one) for one in ideal]
    by_debt = sorted(range(len(shares)), key=lambda at: counts[at] - ideal[at] - owed[at])
    for at in by_debt[: rows - sum(counts)]:
        counts[at] += 1
    for at, count in enumerate(counts):
        if count == 0 and max(counts) > 1:
            counts[counts.index(max(counts))] -= 1
            counts[at] += 1
    return counts
