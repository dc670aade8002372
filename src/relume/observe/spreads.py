"""What a tensor's values are like, kept where the tensor lies until it is asked for."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relume.runs.facts import Spread

MOST_VALUES = 1 << 18
"""Values of a tensor that are looked at: of more, so many at most, evenly spaced."""

MOST_IN_A_ROW = 4096
"""Rows, and numbers in a row, beyond which rows are not compared."""

_COLUMNS = 256  # hashed at once: they take eight bytes each


@torch.no_grad()
def spread_of(values: Tensor) -> Tensor:
    """Return count, mean, deviation, least, greatest and non-finite count, float32 of shape (6,).

    The result lies where the values do; ``to_spread`` reads it.
    """
    flat = values.detach().reshape(-1)
    flat = flat[:: max(1, -(-flat.numel() // MOST_VALUES))].float()
    finite = flat.isfinite()
    count = finite.sum()
    mean = torch.where(finite, flat, 0.0).sum() / count
    square = torch.where(finite, flat - mean, 0.0).square().sum() / count
    least = torch.where(finite, flat, math.inf).amin() if len(flat) else mean
    greatest = torch.where(finite, flat, -math.inf).amax() if len(flat) else mean
    return torch.stack(
        [count.float(), mean, square.sqrt(), least, greatest, (len(flat) - count).float()]
    )


def to_spread(numbers: list[float]) -> Spread:
    """Return the six numbers of ``spread_of`` as a fact keeps them."""
    count, mean, deviation, least, greatest, nonfinite = numbers
    if not count:
        return Spread(nonfinite=int(nonfinite))
    return Spread(
        count=int(count),
        mean=mean,
        deviation=deviation,
        least=least,
        greatest=greatest,
        nonfinite=int(nonfinite),
    )


@torch.no_grad()
def row_hashes(parts: list[Tensor]) -> Tensor | None:
    """Return a hash of each row of some matrices side by side, int64 of shape (rows,).

    Equal rows have equal hashes, wherever they stand: sums of integers do not depend on order.

    Args:
        parts: Each of shape (rows, ...), of one device.

    Returns:
        The hashes; None where the rows are too many or too long.
    """
    rows = [part.detach().reshape(len(part), -1) for part in parts]
    if len(rows[0]) > MOST_IN_A_ROW or sum(part.shape[1] for part in rows) > MOST_IN_A_ROW:
        return None
    generator = np.random.default_rng(0)
    total = torch.zeros(len(rows[0]), dtype=torch.int64, device=rows[0].device)
    for part in rows:
        for columns in torch.split(part, _COLUMNS, dim=1):
            bits = _bits(columns)
            factors = generator.integers(1 << 62, size=bits.shape[1], dtype=np.int64) * 2 + 1
            total += (bits * torch.from_numpy(factors).to(bits.device)).sum(1)
    return total


def _bits(values: Tensor) -> Tensor:
    """Return the bits of floats as integers; those of -0 are those of 0."""
    if values.dtype == torch.float64:
        return (values + 0.0).view(torch.int64)
    return (values.float() + 0.0).contiguous().view(torch.int32).long()


def repeated(hashes: NDArray[np.int64]) -> int:
    """Return how many of some hashes equal another one.

    Example:
        >>> repeated(np.array([4, 7, 4, 4, 9, 7]))
        5
    """
    _, counts = np.unique(hashes, return_counts=True)
    return int(counts[counts > 1].sum())
