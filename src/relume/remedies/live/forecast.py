"""What the loss would have been without a treatment, and whether it is better with it.

The training goes on only once, so the untreated course is not measured: it is extrapolated. The
loss of the blocks before is taken as a power of the step, as learning curves are, which is a line
of log loss on log step; where losses are not all above zero, as a line on log step. The interval of
the difference holds three uncertainties: of the line, of its extension to the steps judged, and of
the treated losses. What it does not hold: that the untreated training would have left its course,
for example where its schedule lowers the rate.
"""

import math
from dataclasses import dataclass

import numpy as np

from relume.remedies.live.course import Numbers
from relume.remedies.verdict import Verdict
from relume.runs.wording import count, short

FEWEST = 5
"""Blocks that tell a trend."""

LOSS = "training loss"


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a treated training stands beside the untreated one.

    Args:
        verdict: With the untreated loss as far as it is known.
        source: Where that is from.
    """

    verdict: Verdict
    source: str


def judge_course(
    before: tuple[Numbers, Numbers], after: tuple[Numbers, Numbers], *, confidence: float
) -> Judgement:
    """Judge the losses after a treatment by the trend of those before it.

    Where there is no trend to be told (fewer than five blocks, or losses that were no numbers), the
    losses before are themselves the measure. The verdict is "kept" only where the whole interval
    lies above 0.

    Args:
        before: Steps and losses of blocks without the treatment.
        after: Steps and losses of blocks with it, at least one.
        confidence: Of the interval, in (0, 1).

    Example:
        >>> steps = np.arange(5.0, 205, 10)
        >>> stuck = 2.3 + 0.01 * np.cos(steps)
        >>> better = judge_course((steps, stuck), (steps[-5:] + 100, 0.4 * stuck[:5]),
        ...     confidence=0.95).verdict
        >>> better.is_kept, round(better.untreated, 1), round(better.treated, 2)
        (True, 2.3, 0.92)
    """
    steps, losses = before
    known, m = np.isfinite(losses), len(after[1])
    if not np.isfinite(after[1]).all():
        return Judgement(_verdict(math.nan, math.nan, (math.nan, math.nan), m), "")
    if len(losses) and not known[-FEWEST:].any():
        return _from_no_number(after[1])
    if known[-FEWEST:].all() and len(known) >= FEWEST:
        return Judgement(_by_trend((steps, losses), after, confidence), "by its trend")
    reason = f"as before it, for no trend can be told from {count(int(known.sum()), 'block')}"
    return Judgement(_by_level(losses[known], after[1], confidence), reason)


def is_clearly_worse(
    before: tuple[Numbers, Numbers], after: tuple[Numbers, Numbers], *, confidence: float
) -> bool:
    """Whether losses are beyond chance above both the trend of those before and their level.

    Args:
        before: Steps and losses of blocks without the treatment.
        after: Steps and losses of blocks with it, at least one.
        confidence: Of both intervals, in (0, 1).

    Example:
        >>> steps = np.arange(5.0, 205, 10)
        >>> falling = 50 / steps + 0.01 * np.cos(steps)
        >>> [
        ...     is_clearly_worse((steps, falling), (steps[-5:] + 50, later), confidence=0.95)
        ...     for later in (falling[-5:], 20 * falling[-5:])
        ... ]
        [False, True]
    """
    known = before[1][np.isfinite(before[1])]
    return (
        judge_course(before, after, confidence=confidence).verdict.is_worse
        and _by_level(known, after[1], confidence).is_worse
    )


def judge_measured(untreated: Numbers, treated: Numbers, *, confidence: float) -> Judgement:
    """Judge by losses measured without a treatment and with it, for as many steps from one state.

    Args:
        untreated: Losses of blocks.
        treated: Likewise.
        confidence: Of the interval (Welch's), in (0, 1).
    """
    if not np.isfinite(untreated).all():
        return _from_no_number(treated)
    return Judgement(_by_level(untreated, treated, confidence), "measured from the same state")


def sentence_of(judgement: Judgement, done: str) -> str:
    """Return what was found and done, with the numbers.

    Args:
        judgement: What was found.
        done: What was done: ``kept`` or ``undone``.
    """
    verdict = judgement.verdict
    if math.isnan(verdict.treated):
        return f"{done}: the {LOSS} was no number with it"
    if math.isinf(verdict.gain):
        return f"{done}: {LOSS} {short(verdict.treated)}, and {judgement.source}"
    low, high = verdict.interval
    numbers = f"gain {short(verdict.gain)}, {short(low)} to {short(high)}"
    beside = f"{LOSS} {short(verdict.treated)}, untreated {short(verdict.untreated)}"
    return f"{done}: {beside} ({judgement.source}); {numbers}"


def _from_no_number(treated: Numbers) -> Judgement:
    verdict = Verdict(
        metric=LOSS,
        pairs_of="block",
        n=len(treated),
        untreated=math.nan,
        treated=float(treated.mean()),
        gain=math.inf,
        interval=(math.inf, math.inf),
        is_kept=True,
    )
    return Judgement(verdict, "untreated it is no number")


def _by_level(losses: Numbers, treated: Numbers, confidence: float) -> Verdict:
    """Return the verdict by the losses before as they were (Welch's interval)."""
    n, m = len(losses), len(treated)
    untreated, mean = float(losses.mean()) if n else math.nan, float(treated.mean())
    gain = untreated - mean
    if n < 2 or m < 2:
        return _verdict(untreated, mean, (-math.inf, math.inf), m)
    parts = (losses.var(ddof=1) / n, treated.var(ddof=1) / m)
    half = _quantile(confidence, min(n, m) - 1) * math.sqrt(sum(parts))
    return _verdict(untreated, mean, (gain - half, gain + half), m)


def _by_trend(
    before: tuple[Numbers, Numbers], after: tuple[Numbers, Numbers], confidence: float
) -> Verdict:
    """Return the verdict by both lines through the losses before, extended."""
    is_power = bool((before[1] > 0).all() and (after[1] > 0).all())
    y, treated = (np.log(part) if is_power else part for part in (before[1], after[1]))
    mean, m = float(treated.mean()), len(treated)
    own = float(treated.var(ddof=1)) if m > 1 else 0.0
    lines = [
        _extended(x, y, later, own)
        for x, later in ((np.log(before[0]), np.log(after[0])), (before[0], after[0]))
    ]
    quantile = _quantile(confidence, len(y) - 2)
    low = min(expected - quantile * error for expected, error in lines) - mean
    high = max(expected + quantile * error for expected, error in lines) - mean
    gain = sum(expected for expected, _ in lines) / len(lines) - mean
    if not is_power:
        return _verdict(mean + gain, mean, (low, high), m)
    base = math.exp(mean)
    return _verdict(base + _times(mean, gain), base, (_times(mean, low), _times(mean, high)), m)


def _extended(x: Numbers, y: Numbers, later: Numbers, own: float) -> tuple[float, float]:
    """Return the mean of a line at later places, and the standard error of a difference to it."""
    centre, n, m = float(x.mean()), len(x), len(later)
    spread = float(((x - centre) ** 2).sum())
    slope = float(((x - centre) * y).sum()) / spread
    residual = float(((y - y.mean() - slope * (x - centre)) ** 2).sum()) / (n - 2)
    far = float(later.mean()) - centre
    error = residual * (1 / n + far**2 / spread) + max(residual, own) / m
    return float(y.mean()) + slope * far, math.sqrt(error)


def _times(mean: float, gain: float) -> float:
    """Return how far a loss lies below one that is so much greater in logarithms."""
    return math.exp(mean) * math.expm1(min(gain, 500.0))


def _quantile(confidence: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, freedom))


def _verdict(untreated: float, treated: float, interval: tuple[float, float], n: int) -> Verdict:
    return Verdict(
        metric=LOSS,
        pairs_of="block",
        n=n,
        untreated=untreated,
        treated=treated,
        gain=untreated - treated,
        interval=interval,
        is_kept=interval[0] > 0,
    )
