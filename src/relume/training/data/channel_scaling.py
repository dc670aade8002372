"""One mean and one deviation a channel, learnt from some of the rows, and how values are scaled."""

import numpy as np
from numpy.typing import NDArray

from relume.training.data.encoding import FARTHEST

BLOCK = 1024
"""Rows that are worked on at once."""

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""The means and the deviations, one a channel."""


def channel_moments(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    present: NDArray[np.bool_] | None = None,
) -> Moments:
    """Return mean and deviation (ddof 0) a channel in float64: mean first, squares about it then.

    Args:
        values: (rows, channels, ...), of at least one number a channel.
        rows: Which of the rows count; no other is looked at.
        present: (rows, ...), false where a value does not count; None: all do.

    Cost: two passes in blocks of 1,024 rows.

    Example:
        >>> values = np.array([[[1, 9]], [[3, 9]]], np.float32)
        >>> channel_moments(values, np.arange(2), np.array([[True, False], [True, False]]))
        ((2.0,), (1.0,))
    """
    channels, *places = values.shape[1:]
    about = (slice(None), *([None] * len(places)))
    others = (0, *range(2, values.ndim))
    total, squares = np.zeros(channels), np.zeros(channels)
    count = len(rows) * int(np.prod(places)) if present is None else int(present[rows].sum())
    for start in range(0, len(rows), BLOCK):
        chosen = rows[start : start + BLOCK]
        total += values[chosen].sum(axis=others, dtype=np.float64, where=_where(present, chosen))
    means = total / count
    for start in range(0, len(rows), BLOCK):
        chosen = rows[start : start + BLOCK]
        block = (values[chosen].astype(np.float64) - means[about]) ** 2
        squares += block.sum(axis=others, where=_where(present, chosen))
    return tuple(means.tolist()), deviations(means, squares / count)


def deviations(means: NDArray[np.float64], variances: NDArray[np.float64]) -> tuple[float, ...]:
    """Return square roots; 0 for what is but the rounded mean of equal values.

    Example:
        >>> deviations(np.array([0.0, 1.0]), np.array([4.0, 1e-32]))
        (2.0, 0.0)
    """
    scales = np.sqrt(variances)
    scales[scales <= 8 * np.finfo(np.float64).eps * np.abs(means)] = 0.0
    return tuple(scales.tolist())


def scaled(values: NDArray[np.generic], mean: float, scale: float) -> NDArray[np.float32]:
    """Return ``(value - mean) / scale``, kept within ``FARTHEST``; 0 where scale is 0.

    Example:
        >>> scaled(np.array([1.0, 1e30]), 2.0, 0.5).tolist()
        [-2.0, 1000000.0]
    """
    if scale == 0:
        return np.zeros(values.shape, np.float32)
    with np.errstate(over="ignore"):
        standard = (values.astype(np.float64) - mean) / scale
    return standard.clip(-FARTHEST, FARTHEST).astype(np.float32)


def _where(present: NDArray[np.bool_] | None, rows: NDArray[np.int64]) -> NDArray[np.bool_] | bool:
    return True if present is None else present[rows][:, None]
