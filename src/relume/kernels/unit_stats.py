"""Per-unit statistics of one tensor, by torch operations on the tensor's own device.

All positions of a unit (batch rows, pixels, time steps) are reduced; the unit axis is kept. Counts
are exact. The comparison is written into a float buffer because summing booleans is several times
slower on a CPU.
"""

import torch
from torch import Tensor

EXACT_IN_FLOAT32 = 1 << 24
"""Integers up to here are exact in float32, so counts are summed in it below this size."""


def count_above(z: Tensor, threshold: float, axis: int) -> Tensor:
    """Count the values of each unit that lie above a threshold; nan lies above nothing.

    Args:
        z: Real tensor of any floating type.
        threshold: Values strictly greater count.
        axis: The unit axis.

    Returns:
        float64 of shape (units,), whole numbers.

    Cost: two passes over ``z``.
    """
    return _count(torch.gt(z, threshold, out=_buffer(z)), axis)


def count_nonzero(a: Tensor, axis: int) -> Tensor:
    """Count the values of each unit that are not zero; nan counts.

    Returns:
        float64 of shape (units,), whole numbers.
    """
    real = _real(a)
    return _count(torch.ne(real, 0, out=_buffer(real)), axis)


def count_outside(a: Tensor, low: float, high: float, axis: int) -> Tensor:
    """Count the values of each unit that lie at or beyond one of two bounds; nan does not.

    Args:
        a: Real tensor of any floating type.
        low: Values up to here count.
        high: Values from here on count; greater than ``low``.
        axis: The unit axis.

    Returns:
        float64 of shape (units,), whole numbers.
    """
    beyond = torch.ge(a, high, out=_buffer(a))
    return _count(torch.le(a, low, out=_buffer(a)).add_(beyond), axis)


def sums(a: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Sum the values and the squared values of each unit.

    Returns:
        Two float64 tensors of shape (units,); sums are accumulated in float32 at least.
    """
    real = _real(a)
    return _reduce(real, axis), _reduce(real * real, axis)


def absolute_sum(gradient: Tensor, axis: int) -> Tensor:
    """Sum the magnitudes of each unit's values.

    Returns:
        float64 of shape (units,).
    """
    return _reduce(_real(gradient).abs(), axis)


def _count(mask: Tensor, axis: int) -> Tensor:
    exact = mask.numel() < EXACT_IN_FLOAT32
    return _reduce(mask if exact else mask.double(), axis)


def _reduce(values: Tensor, axis: int) -> Tensor:
    others = [other for other in range(values.ndim) if other != axis % values.ndim]
    return (values.sum(others) if others else values).to(torch.float64)


def _buffer(values: Tensor) -> Tensor:
    return torch.empty_like(values, dtype=torch.float32)


def _real(values: Tensor) -> Tensor:
    """Complex values by their modulus, half types in float32."""
    if values.is_complex():
        return values.abs()
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values
