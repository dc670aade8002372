"""Whether a treatment helped: treated against untreated, pair by pair."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relume.errors import DataError
from relume.runs.wording import count, short


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a treatment gained, by how many pairs, and whether it was kept.

    Args:
        metric: What was measured.
        pairs_of: What the pairs are: ``row``, ``seed``, ``window``.
        n: How many pairs.
        untreated: Mean without the treatment.
        treated: Mean with it.
        gain: Mean of the differences, so signed that above 0 is better.
        interval: Of the gain (95 %, paired, by Student's t).
        is_kept: Whether the change stays.
    """

    metric: str
    pairs_of: str
    n: int
    untreated: float
    treated: float
    gain: float
    interval: tuple[float, float]
    is_kept: bool

    @property
    def is_better(self) -> bool:
        """Whether all of the interval lies above 0: only then is anything said to be repaired."""
        return self.interval[0] > 0

    @property
    def is_worse(self) -> bool:
        """Whether all of the interval lies below 0, or the treated is no number."""
        return self.interval[1] < 0 or math.isnan(self.gain)

    @property
    def sentence(self) -> str:
        """What happened, for a person, with the numbers."""
        low, high = self.interval
        if math.isnan(self.gain):
            found = "is not a number"
        elif self.is_better:
            found = "is better"
        elif self.is_worse:
            found = "is worse"
        else:
            found = "shows no difference beyond chance"
        return (
            f"{self.metric} {found}: {short(self.untreated)} → {short(self.treated)}, gain "
            f"{short(self.gain)} (95 % interval {short(low)} to {short(high)}, "
            f"{count(self.n, self.pairs_of)}); {'kept' if self.is_kept else 'undone'}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; numbers that are not finite as None."""
        numbers = {
            "untreated": self.untreated,
            "treated": self.treated,
            "gain": self.gain,
            "low": self.interval[0],
            "high": self.interval[1],
        }
        plain = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        about = {"metric": self.metric, "pairs_of": self.pairs_of, "n": self.n}
        return about | plain | {"is_kept": self.is_kept, "is_better": self.is_better}


def judge(
    untreated: Sequence[float],
    treated: Sequence[float],
    *,
    metric: str,
    higher_is_better: bool,
    pairs_of: str = "row",
    keep_equals: bool = True,
) -> Verdict:
    """Return the verdict about values measured in pairs.

    Args:
        untreated: One value a pair.
        treated: The value of the same pair with the treatment.
        metric: What the values are.
        higher_is_better: Whether a high value is a good one.
        pairs_of: What the pairs are.
        keep_equals: Whether a change is kept that is neither better nor worse beyond chance, if
            its mean is not worse; without, only a better one is.

    Raises:
        DataError: The values are not pairs, or there are none.

    Example:
        >>> found = judge([0, 0, 1, 0], [1, 1, 1, 1], metric="accuracy", higher_is_better=True)
        >>> found.gain, found.is_kept, found.is_better
        (0.75, True, False)
    """
    if not len(untreated) == len(treated) > 0:
        raise DataError(f"{len(treated)} treated and {len(untreated)} untreated values: no pairs")
    before, after = (np.asarray(values, np.float64) for values in (untreated, treated))
    with np.errstate(invalid="ignore"):
        gains = (after - before) if higher_is_better else (before - after)
    if not np.isfinite(before).all() and np.isfinite(after).all():
        gains = np.full(len(before), math.inf)  # from no number to numbers
    gain = float(gains.mean())
    interval = _interval(gains)
    is_better = interval[0] > 0
    is_equal = keep_equals and not interval[1] < 0 and gain >= 0
    return Verdict(
        metric=metric,
        pairs_of=pairs_of,
        n=len(before),
        untreated=float(before.mean()),
        treated=float(after.mean()),
        gain=gain,
        interval=interval,
        is_kept=is_better or is_equal,
    )


def _interval(gains: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Return the interval of the mean (95 %), by Student's t."""
    from scipy.stats import t

    n, mean = len(gains), float(gains.mean())
    if not math.isfinite(mean):
        return (mean, mean)
    if n < 2:
        return (-math.inf, math.inf)
    half = float(t.ppf(0.975, n - 1)) * float(gains.std(ddof=1)) / math.sqrt(n)
    return (mean - half, mean + half)
