"""Rows of tensors as 64-bit numbers that are equal for bitwise equal rows."""

import random
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Hashes = NDArray[np.int64]
MOST_WORDS = 1 << 15
"""Of 8 bytes, of one look: rows beyond are left out by a stride. About 40 us."""

_SHIFT = 29
_WORDS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}


def row_hashes(tensors: Sequence[tuple[int, Tensor]], first: int, stride: int) -> Tensor:
    """Return a number for every ``stride``-th row of tensors that belong together.

    The words w of a row are summed, ``h = sum m_i (w_i + (w_i >> 29)) mod 2^64``, with fixed odd
    numbers m: multilinear hashing (Lemire and Kaser 2014). The shift lets the upper bits, where
    floats differ, count for the lower ones: for two rows of numbers that differ, the odds of the
    same hash are about 2^-40.

    Args:
        tensors: Rows first, each beside the seed of its numbers: of its name.
        first: The first row.
        stride: Every how many rows.

    Returns:
        Shape (rows,), int64, on the device of the tensors.

    Example:
        >>> x = torch.tensor([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]])
        >>> a, b, c = row_hashes([(0, x)], 0, 1).tolist()
        >>> a == c, a == b
        (True, False)
    """
    total: Tensor | None = None
    for seed, x in tensors:
        words = words_of(x.detach()[first::stride])
        mixed = (words >> _SHIFT).add_(words)
        part = mixed.mul_(_multipliers(seed, words.shape[1], words.device)).sum(1)
        total = part if total is None else total + part
    if total is None:
        raise ValueError("there is no tensor")
    return total


def words_of(x: Tensor) -> Tensor:
    """Return the bytes of each row as int64 words, shape (rows, words)."""
    if x.dtype is torch.bool:
        x = x.to(torch.uint8)
    x = x.reshape(len(x), -1).contiguous()
    width = x.shape[1] * x.element_size()
    size = next(size for size in _WORDS if width % size == 0 and size >= x.element_size())
    return x.view(_WORDS[size]).to(torch.int64)


@lru_cache(maxsize=32)
def _multipliers(seed: int, words: int, device: torch.device) -> Tensor:
    generator = random.Random(seed)  # noqa: S311
    numbers = np.frombuffer(generator.randbytes(8 * words), dtype=np.int64) | 1
    return torch.from_numpy(numbers.copy()).to(device)


class HashSet:
    """Distinct hashes, sorted, 8 bytes each, and no more than so many.

    Args:
        most: How many are kept; what comes later is left out.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: Hashes = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._values)

    def has(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Return which of some hashes are in it.

        Example:
            >>> known = HashSet(3)
            >>> known.add(np.array([5, 2, 5]))
            >>> known.has(np.array([2, 3])).tolist(), len(known)
            ([True, False], 2)
        """
        if not len(self._values):
            return np.zeros(len(hashes), np.bool_)
        at = np.searchsorted(self._values, hashes)
        found: NDArray[np.bool_] = self._values[np.minimum(at, len(self) - 1)] == hashes
        return found

    def add(self, hashes: Hashes) -> None:
        """Take in those that are new."""
        new = np.unique(hashes)
        new = new[~self.has(new)][: self.most - len(self)]
        if len(new):
            self._values = np.insert(self._values, np.searchsorted(self._values, new), new)

    def count_in(self, hashes: Hashes) -> int:
        """Return how many of its own are among some hashes."""
        return int(np.isin(self._values, hashes).sum())

    def clear(self) -> None:
        """Forget all."""
        self._values = np.empty(0, np.int64)
