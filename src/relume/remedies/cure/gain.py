"""What a cure gains over untreated runs of equal length, with an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from relume.remedies.cure.score import ScoreChoice

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of treated over untreated runs on fresh seeds, seed by seed.

    Args:
        treated: Scores.
        untreated: Scores of the same seeds.
        gain: In the score; or, ``of_finished``, in the share of runs that end with a number.
        low: End of the 95 % interval; nan where it is not known.
        high: Its other end.
        of_finished: Whether it is the share of runs that end with a number.
    """

    treated: tuple[float, ...]
    untreated: tuple[float, ...]
    gain: float
    low: float
    high: float
    of_finished: bool = False

    @property
    def is_proven(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low > 0

    @property
    def is_harm(self) -> bool:
        """Whether the interval lies below 0."""
        return self.high < 0


def measure_gain(
    treated: Sequence[float],
    untreated: Sequence[float],
    choice: ScoreChoice,
    confidence: float = CONFIDENCE,
) -> Gain:
    """Return the gain, the better direction positive.

    With finite scores it is the mean difference of pairs, and the interval is Student's. Where
    runs end without a number, such scores cannot be averaged, and the share of runs that end with
    one counts instead, with Newcombe's interval.

    Args:
        treated: Scores on fresh seeds.
        untreated: Scores on the same seeds.
        choice: The score.
        confidence: Of the interval, in (0, 1).

    Example:
        >>> accuracy = ScoreChoice("accuracy", False, "")
        >>> gain = measure_gain([0.9, 0.92, 0.94], [0.5, 0.52, 0.54], accuracy)
        >>> round(gain.gain, 3), gain.is_proven
        (0.4, True)
        >>> measure_gain([0.9] * 3, [float("nan")] * 3, accuracy).of_finished
        True

    References:
        Newcombe 1998, "Interval estimation for the difference between independent proportions",
        method 10.
    """
    pairs = tuple(map(float, treated)), tuple(map(float, untreated))
    finished = [sum(map(math.isfinite, each)) for each in pairs]
    n = len(pairs[0])
    if finished[0] < n or finished[1] < n:
        gain, low, high = newcombe(finished[0], n, finished[1], n, confidence)
        return Gain(*pairs, gain, low, high, of_finished=True)
    differences = [choice.gain(a, b) for a, b in zip(*pairs, strict=True)]
    return Gain(*pairs, *student(differences, confidence))


def student(
    differences: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """Return the mean and its interval; without one from fewer than two differences."""
    n = len(differences)
    mean = sum(differences) / n if n else math.nan
    if n < 2:
        return mean, math.nan, math.nan
    from scipy.stats import t

    variance = sum((each - mean) ** 2 for each in differences) / (n - 1)
    half = float(t.ppf(0.5 + confidence / 2, n - 1)) * math.sqrt(variance / n)
    return mean, mean - half, mean + half


def newcombe(
    first: int, of_first: int, second: int, of_second: int, confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """Return the difference of two shares and its interval.

    Example:
        >>> [round(each, 2) for each in newcombe(56, 70, 48, 80)]  # Newcombe's example (a)
        [0.2, 0.05, 0.33]
    """
    one, other = first / of_first, second / of_second
    low_one, high_one = wilson(first, of_first, confidence)
    low_other, high_other = wilson(second, of_second, confidence)
    below = math.hypot(one - low_one, high_other - other)
    above = math.hypot(high_one - one, other - low_other)
    return one - other, one - other - below, one - other + above


def wilson(count: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of a share.

    Example:
        >>> [round(each, 3) for each in wilson(0, 10)]
        [0.0, 0.278]
    """
    normal = NormalDist().inv_cdf(0.5 + confidence / 2)
    square = normal**2
    middle = (2 * count + square) / (2 * (n + square))
    half = normal * math.sqrt(square + 4 * count * (1 - count / n)) / (2 * (n + square))
    return middle - half, middle + half
