"""The learning rate is too low, or the training too short for it.

What it detects
    A loss that fell, at a median update below 1e-3 of the weights, while less than a fifth of a
    constant answer's loss was learned away; a loss that still fell by 30 % in its last third, or an
    evaluation loss that fell by 7 % in each of its last two passes, with less than three quarters
    learned; or a rate that lay below 1 % of its greatest on half of all steps while less than .7
    was learned. Milder cases are left to "still improving".

Why it matters
    The training ends before it has begun.

What else it could be
    A small rate by choice, as for fine-tuning: where most was learned nothing is said.

Remedies, with safety
    Ten times the rate; Adam instead of plain SGD; more steps (changes training).

Options
    ``UPDATE``, ``STEEP_UPDATE``, ``LEARNED``, ``LEARNED_WELL``, ``NEARLY_ALL``, ``STEEP``,
    ``STEEP_PASS``,
    ``FADED``.

References:
    Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012,
    section 3.1.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from relume.diagnosis.codes import CURVE_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

UPDATE, STEEP_UPDATE = 1e-3, 5e-3
LEARNED, LEARNED_WELL, NEARLY_ALL = 0.2, 0.7, 0.75
STEEP, STEEP_PASS = 0.3, 0.07
FADED = 0.5
FEWEST_STEPS = 40

REMEDIES = (
    Advice("try ten times the learning rate", Safety.CHANGES_TRAINING),
    Advice("use Adam, or momentum", Safety.CHANGES_TRAINING),
    Advice("train for more steps", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where small updates, or few of them, ended a training early."""
    update = reading.usual_update
    if math.isnan(update) or reading.steps < FEWEST_STEPS or reading.is_adversarial:
        yield NotJudged(Code.RATE_TOO_LOW, "no update ratios of one training of 40 steps or more")
        return
    faded = _faded(reading)
    if reading.learned < LEARNED_WELL and faded >= FADED:
        yield _finding(
            reading,
            f"the learning rate is below 1 % of its greatest, {reading.rate:g}, on {faded:.0%} of "
            "the steps: the schedule ends the training early",
            {"faded": faded},
        )
    elif update < UPDATE and reading.learned < LEARNED and _falls_or_rests(reading):
        yield _finding(
            reading,
            f"the learning rate {reading.rate:g} is too low: updates are {update:.1e} of the "
            f"weights, and the loss went from {reading.early_loss:.3g} to {reading.late_loss:.3g}",
            {},
        )
    elif update < STEEP_UPDATE and reading.learned < NEARLY_ALL and _is_cut_short(reading):
        yield _finding(
            reading,
            f"the training ended while the loss fell steeply, at {reading.late_loss:.3g}: "
            f"more steps, or a rate above {reading.rate:g}",
            {"fall": _fall(reading), "evaluation_fall": _evaluation_fall(reading)},
        )


def _finding(reading: Reading, message: str, evidence: dict[str, float]) -> Finding:
    update = reading.usual_update
    return Finding(
        code=Code.RATE_TOO_LOW,
        severity=Severity.WARNING,
        message=message,
        first_step=1,
        evidence={
            "rate": reading.rate,
            "update_ratio": update,
            "early": reading.early_loss,
            "late": reading.late_loss,
            "learned": reading.learned,
            **evidence,
        },
        cause="updates that are small, or few, beside what is to be learned",
        strength=UPDATE / max(update, 1e-12),
        remedies=REMEDIES,
    )


def _falls_or_rests(reading: Reading) -> bool:
    is_falling = reading.early_loss > reading.late_loss
    return is_falling or reading.usual_update <= UPDATE / 100


def _faded(reading: Reading) -> float:
    """Return on which share of the steps the rate was below 1 % of its greatest."""
    rates = reading.run.curve.rates
    rates = rates[np.isfinite(rates)]
    return float((rates < 0.01 * rates.max()).mean()) if len(rates) else 0.0


def _is_cut_short(reading: Reading) -> bool:
    return _fall(reading) >= STEEP or _evaluation_fall(reading) >= STEEP_PASS


def _evaluation_fall(reading: Reading) -> float:
    """Return by which share each of the last two passes was at least better than the one before.

    Of two passes in all there is one such step; 0 where one of them was no better.
    """
    losses = [score.loss for score in reading.evaluation_scores if score.loss > 0][-3:]
    falls = [1 - after / before for before, after in pairwise(losses)]
    return max(0.0, min(falls, default=0.0))


def _fall(reading: Reading) -> float:
    """Return by which share the loss fell in the last third, if it has a falling trend there."""
    if len(reading.losses) < FEWEST_STEPS or not reading.is_falling_late:
        return 0.0
    third = len(reading.losses) // 3
    before = float(reading.losses[-third : -third + max(1, third // 4)].mean())
    return 1 - reading.late_loss / before if before > 0 else 0.0


RULE = Rule(
    Code.RATE_TOO_LOW,
    "rate-too-low",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS | {Code.UPDATE_RATIO},
)
