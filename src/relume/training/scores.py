"""Scores with intervals: one bootstrap, paired across models, for every metric."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Metric = Callable[[NDArray[np.generic], NDArray[np.generic], Floats], Floats]

CONFIDENCE = 0.95
RESAMPLES = 2000
_CELLS = 1 << 24  # weights held at once: 128 MB


@dataclass(frozen=True, slots=True)
class Score:
    """A score with its bootstrap percentile interval."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The score of a rival on the same rows, and by how much the model exceeds it."""

    name: str
    score: Score
    difference: Score  # model minus rival, resampled in pairs


def accuracy(y: NDArray[np.generic], predicted: NDArray[np.generic], weights: Floats) -> Floats:
    """Share of rows predicted right, under each row of ``weights`` of shape (resamples, rows)."""
    right = (y == predicted).astype(np.float64)
    return np.asarray(weights @ right / weights.sum(axis=1))


def balanced_accuracy(
    y: NDArray[np.generic], predicted: NDArray[np.generic], weights: Floats
) -> Floats:
    """Mean over classes of the share of their rows predicted right.

    A class that a resample does not contain is left out of its mean.
    """
    right = (y == predicted).astype(np.float64)
    members = (y[:, None] == np.unique(y)[None, :]).astype(np.float64)
    counts = weights @ members
    with np.errstate(invalid="ignore"):
        shares = (weights @ (members * right[:, None])) / counts
    return np.asarray(np.nanmean(shares, axis=1))


def r2(y: NDArray[np.generic], predicted: NDArray[np.generic], weights: Floats) -> Floats:
    """Coefficient of determination, 1 - sum (y - p)^2 / sum (y - mean y)^2."""
    truth = y.astype(np.float64)
    total = weights.sum(axis=1)
    mean = weights @ truth / total
    # Shifted by the plain mean: a variance by sums of squares would lose its digits.
    shifted = truth - truth.mean()
    spread = weights @ shifted**2 - total * (mean - truth.mean()) ** 2
    error = weights @ (truth - predicted.astype(np.float64)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - error / spread)


def variance_rebuilt(
    y: NDArray[np.generic], predicted: NDArray[np.generic], weights: Floats
) -> Floats:
    """R2 of all columns together, 1 - sum |y - p|^2 / sum |y - mean y|^2, for (rows, columns)."""
    middle = y.mean(axis=0, dtype=np.float64)
    shifted = y.astype(np.float64) - middle
    total = weights.sum(axis=1)
    mean = weights @ shifted / total[:, None]
    spread = weights @ (shifted**2).sum(axis=1) - total * (mean**2).sum(axis=1)
    gaps = y.astype(np.float64) - predicted.astype(np.float64)
    error = weights @ (gaps**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - error / spread)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "balanced accuracy": balanced_accuracy,
    "r2": r2,
    "variance rebuilt": variance_rebuilt,
}


def score_against(
    metric: Metric,
    y: NDArray[np.generic],
    predicted: NDArray[np.generic],
    rivals: Sequence[tuple[str, NDArray[np.generic]]] = (),
    *,
    seed: int = 0,
) -> tuple[Score, tuple[Comparison, ...]]:
    """Score predictions, and rivals on the same rows and the same resamples.

    Args:
        metric: One of ``METRICS``.
        y: True values, shape (rows,); (rows, columns) for ``variance rebuilt``.
        predicted: Predictions, of the same shape.
        rivals: Names and their predictions, each of the same shape.
        seed: Of the resampling.

    Returns:
        The score and one comparison per rival, with percentile intervals.

    Cost: 2,000 resamples x rows multiplications per prediction, in blocks of bounded memory.

    References:
        Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    everyone = [predicted, *(rival for _, rival in rivals)]
    once = np.ones((1, len(y)))
    values = [float(metric(y, guess, once)[0]) for guess in everyone]
    draws = _resampled(metric, y, everyone, seed)
    score = Score(values[0], _interval(draws[0]))
    comparisons = tuple(
        Comparison(
            name,
            Score(value, _interval(draw)),
            Score(values[0] - value, _interval(draws[0] - draw)),
        )
        for (name, _), value, draw in zip(rivals, values[1:], draws[1:], strict=True)
    )
    return score, comparisons


def _resampled(
    metric: Metric,
    y: NDArray[np.generic],
    everyone: Sequence[NDArray[np.generic]],
    seed: int,
) -> Floats:
    rng = np.random.default_rng(seed)
    rows = len(y)
    block = max(1, min(RESAMPLES, _CELLS // rows))
    blocks = []
    for start in range(0, RESAMPLES, block):
        count = min(block, RESAMPLES - start)
        drawn = (rng.integers(0, rows, rows) for _ in range(count))
        weights = np.stack([np.bincount(draw, minlength=rows) for draw in drawn]).astype(np.float64)
        blocks.append([metric(y, guess, weights) for guess in everyone])
    return np.concatenate(blocks, axis=1)


def _interval(draws: Floats) -> tuple[float, float]:
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return (float("nan"), float("nan"))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(finite, [tail, 100 - tail])
    return (float(low), float(high))
