"""Whether the losses of a training repeat themselves: what a fixed order of the rows leaves."""

import math
from dataclasses import dataclass

import numpy as np

from relume.diagnosis.reading import Reading
from relume.runs.records import Sums

REPEATED = 0.55
"""A correlation of ranks at one lag from which on losses repeat; shuffled ones stay below 0.4."""
ERRORS = 5.0
SMOOTH = 0.5
"""A von Neumann ratio up to which more of the scatter is smooth than not; 1 of pure noise."""
LEAST_SIZE = 0.03
LEAST_PERIOD = 5
DEGREE = 5
FEWEST = 40


@dataclass(frozen=True, slots=True)
class Waves:
    """The course of losses that repeats, pass after pass.

    Args:
        steps: From one wave to the next.
        correlation: Of the ranks of the losses with those one wave later.
        size: Standard deviation about the course, as a share of the mean loss.
        is_smooth: Whether more than half of the scatter is smooth: the rows that follow one
            another resemble each other, and are not merely in the same order every time.
    """

    steps: int
    correlation: float
    size: float
    is_smooth: bool


def waves_of(reading: Reading) -> Waves | None:
    """Return the waves in the last two thirds of the losses; None where they do not repeat.

    Shuffled batches scatter independently about their course, a polynomial of degree ``DEGREE``.
    Rows in a fixed order give the same losses again after each pass over them: their ranks
    correlate, by more than ``ERRORS`` standard errors. Where the order is one of likeness too, the
    mean square of successive differences falls below twice the variance (von Neumann,
    "Distribution of the ratio of the mean square successive difference to the variance", 1941).
    A period of less than ``LEAST_PERIOD`` steps, as of a short last batch, does not count.
    """
    count = 2 * len(reading.losses) // 3
    late = reading.losses[-count:] if count else reading.losses
    if count < FEWEST or not np.isfinite(late).all() or not late.mean():
        return None
    place = np.linspace(-1, 1, count)
    rest = late - np.polynomial.Chebyshev.fit(place, late, DEGREE)(place)
    size = float(rest.std() / abs(late.mean()))
    if size < LEAST_SIZE:
        return None
    lag, correlation = _repeat(rest)
    is_sure = correlation * math.sqrt(count - lag) >= ERRORS
    if lag < LEAST_PERIOD or correlation < REPEATED or not is_sure:
        return None
    ratio = float((np.diff(rest) ** 2).mean() / (2 * rest.var()))
    return Waves(lag * reading.run.curve.bucket_steps, correlation, size, ratio <= SMOOTH)


def _repeat(values: Sums) -> tuple[int, float]:
    """Return the least lag at which ranks correlate nearly most, beyond the first drop below 0."""
    ranks = np.argsort(np.argsort(values)).astype(float)
    ranks -= ranks.mean()
    size = len(ranks)
    lags = np.arange(1, size // 2)
    products = np.array([(ranks[:-lag] * ranks[lag:]).mean() for lag in lags])
    correlations = products / (ranks**2).mean()
    below = np.flatnonzero(correlations < 0)
    beyond = correlations[below[0] :] if len(below) else correlations[:0]
    if not len(beyond) or beyond.max() <= 0:
        return 0, 0.0
    first = int(np.flatnonzero(beyond >= 0.9 * beyond.max())[0]) + int(below[0])
    return int(lags[first]), float(correlations[first])
