"""Moments of each feature of a tensor, as sums that add; on the device that the values lie on."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from relume.runs.facts import MOST_FEATURES, Spread

MOST_TRACKED = 1 << 16
"""Features that are followed; of wider inputs the first ones."""
MOST_ROWS = 4096
MOST_VALUES = 1 << 20
"""Of one look; more are thinned by a stride."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSums:
    """Count, mean, sum of squared deviations and range of the finite values of each feature.

    Two add by the parallel variance of Chan, Golub and LeVeque (1979), eq. 2.1:
    ``M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / (n_a + n_b)``.

    Args:
        count: Finite values, shape (features,), like all but the last.
        mean: Their mean; 0 where there is none.
        squares: Sum of their squared deviations from it.
        least: The least; inf where there is none.
        greatest: The greatest; -inf where there is none.
        nonfinite: How many values are nan or infinite, a scalar.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    least: Tensor
    greatest: Tensor
    nonfinite: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Return those of values of shape (positions, features); nothing waits for a device.

        Example:
            >>> sums = FeatureSums.of(torch.tensor([[1.0, 5.0], [3.0, float("nan")]]))
            >>> sums.mean.tolist(), sums.squares.tolist(), int(sums.nonfinite)
            ([2.0, 5.0], [2.0, 0.0], 1)
        """
        d = x.to(torch.float32 if x.device.type == "mps" else torch.float64)
        if x.is_cpu:
            total = d.sum(0)
            if math.isfinite(float(total.sum())):
                count = torch.full_like(total, len(d))
                mean = total / len(d)
                squares = (d - mean).square_().sum(0)
                return cls(count, mean, squares, d.amin(0), d.amax(0), d.new_zeros(()))
        is_finite = torch.isfinite(d)
        count = is_finite.sum(0).to(d.dtype)
        mean = torch.where(is_finite, d, 0.0).sum(0) / torch.where(count > 0, count, 1.0)
        squares = torch.where(is_finite, d - mean, 0.0).square_().sum(0)
        least = torch.where(is_finite, d, math.inf).amin(0)
        greatest = torch.where(is_finite, d, -math.inf).amax(0)
        return cls(count, mean, squares, least, greatest, (~is_finite).sum().to(d.dtype))

    def __add__(self, other: Self) -> Self:
        count = self.count + other.count
        share = other.count / torch.where(count > 0, count, 1.0)
        apart = other.mean - self.mean
        return type(self)(
            count,
            self.mean + apart * share,
            self.squares + other.squares + apart.square() * self.count * share,
            torch.where(other.least < self.least, other.least, self.least),
            torch.where(other.greatest > self.greatest, other.greatest, self.greatest),
            self.nonfinite + other.nonfinite,
        )

    def is_beside(self, other: Self) -> bool:
        """Whether it can be added to another: as many features, on the same device."""
        return self.mean.shape == other.mean.shape and self.mean.device == other.mean.device

    def means(self) -> tuple[float, ...]:
        """Return the mean of each of the first features; nan where it has no finite value."""
        known = self.count[:MOST_FEATURES] > 0
        return tuple(torch.where(known, self.mean[:MOST_FEATURES], math.nan).tolist())

    def deviations(self) -> tuple[float, ...]:
        """Return the standard deviation of each of the first features."""
        variance = self.squares[:MOST_FEATURES] / self.count[:MOST_FEATURES]
        return tuple(variance.sqrt().tolist())

    def constant_features(self) -> int:
        """Return how many features had one value only, in more than one row."""
        return int(((self.count > 1) & (self.least == self.greatest)).sum())

    def spread(self) -> Spread:
        """Return the spread of all values together."""
        count = float(self.count.sum())
        nonfinite = int(self.nonfinite)
        if not count:
            return Spread(nonfinite=nonfinite)
        mean = float((self.count * self.mean).sum()) / count
        within = float((self.squares + self.count * (self.mean - mean).square()).sum())
        return Spread(
            count=int(count),
            mean=mean,
            deviation=math.sqrt(within / count),
            least=float(self.least.amin()),
            greatest=float(self.greatest.amax()),
            nonfinite=nonfinite,
        )


def as_columns(x: Tensor, axis: int) -> Tensor:
    """Return values as (positions, features), thinned by strides to what one look may cost.

    Args:
        x: Rows first.
        axis: That of the features; 0 where there is none.
    """
    if axis == 0:
        return x[:: _stride(len(x), MOST_VALUES), None]
    x = x.narrow(axis, 0, min(x.shape[axis], MOST_TRACKED))
    each = x[0].numel()
    x = x[:: max(_stride(len(x), MOST_ROWS), _stride(len(x), max(1, MOST_VALUES // each)))]
    if x.numel() > MOST_VALUES and x.ndim > 2:
        beside = x.ndim - 1 if axis != x.ndim - 1 else x.ndim - 2
        stride = _stride(x.shape[beside], max(1, MOST_VALUES * x.shape[beside] // x.numel()))
        x = x[(*[slice(None)] * beside, slice(None, None, stride))]
    return x.movedim(axis, -1).reshape(-1, x.shape[axis])


def _stride(length: int, most: int) -> int:
    return -(-length // most)
