"""The loss grows instead of falling, or stops being a number.

What it detects
    Losses that are nan or infinite after finite ones, or from the first step on; or a loss whose
    last tenth is at least twice its first one, and above that of a constant answer, with a rising
    trend over the last half; or a loss that cannot be negative and falls below zero without end.

Why it matters
    What was learned is being lost; a nan never goes away.

What else it could be
    A curriculum, or a loss that gains terms later; losses of opposing networks are not judged.

Remedies, with safety
    Lower or warm up the rate, clip gradients, scale inputs and targets (changes training).

Options
    ``TIMES``: last over first loss; ``FEWEST``: buckets of the curve.

References:
    Goodfellow et al., "Deep Learning", 2016, section 8.2.4 (cliffs and exploding gradients).
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import GRADIENT_SYMPTOMS, UNIT_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import place_of
from relume.diagnosis.progress import is_negated
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.summary import falling_trend

TIMES = 2.0
FEWEST = 10
MOST_POINTS = 64

REMEDIES = (
    Advice("lower the learning rate, or warm it up", Safety.CHANGES_TRAINING),
    Advice("clip the gradient by its norm", Safety.CHANGES_TRAINING),
    Advice("scale inputs and targets", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where the loss is no number, or rises."""
    curve = reading.run.curve
    if not len(curve.losses):
        yield NotJudged(Code.DIVERGING, "the loss of each step is not on record")
        return
    loss = reading.loss
    if is_negated(reading) and loss is not None:
        yield _finding(
            f"{place_of(loss)} is never below 0, and its negative is minimised: it went "
            f"to {reading.late_loss:.3g}",
            1,
            {"early": reading.early_loss, "late": reading.late_loss, "steps": reading.steps},
        )
        return
    bad = np.flatnonzero(curve.nonfinite)
    if len(bad):
        first = int(bad[0]) * curve.bucket_steps + 1
        count = int(curve.nonfinite.sum())
        yield _finding(
            f"{count} losses are nan or infinite, the first at step {first}",
            first,
            {
                "nonfinite": count,
                "steps": reading.steps,
            },
        )
        return
    if reading.is_adversarial or len(reading.losses) < FEWEST:
        return
    early, late = reading.early_loss, reading.late_loss
    floor = reading.chance if math.isfinite(reading.chance) else early
    if early <= 0 or late < TIMES * early or late < floor or not _rises(reading):
        return
    low = int(np.argmin(reading.losses))
    first = int(reading.loss_steps[low])
    yield _finding(
        f"the loss rose from {early:.3g} to {late:.3g}; it was lowest at step {first}",
        first,
        {"early": early, "late": late, "constant": reading.chance},
        late / early / TIMES,
    )


def _rises(reading: Reading) -> bool:
    half = reading.losses[len(reading.losses) // 2 :]
    points = half[:: max(1, len(half) // MOST_POINTS)]
    return bool(falling_trend(-points[:, None])[0] < 0.01)


def _finding(
    message: str, first_step: int, evidence: dict[str, float], strength: float = 10.0
) -> Finding:
    return Finding(
        code=Code.DIVERGING,
        severity=Severity.ERROR,
        message=message,
        first_step=first_step,
        evidence=evidence,
        cause="updates that overshoot, or numbers out of range",
        strength=strength,
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.DIVERGING,
    "diverging",
    __doc__ or "",
    check,
    explains=(UNIT_SYMPTOMS | GRADIENT_SYMPTOMS)
    | {Code.NOT_DECREASING, Code.PLATEAU, Code.OSCILLATING, Code.CLASS_NEVER_PREDICTED},
)
