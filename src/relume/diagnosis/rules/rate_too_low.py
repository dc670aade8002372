"""The learning rate is too low, or the training too short for it.

What it detects
    A training that ended while it went on getting better, with more than a quarter of a constant
    answer's loss left, though its weights had hardly left their place: the median of their updates
    (as shares of their norm) times the steps is below .4, or below .6 where it got better fast. Or
    less than a fifth learned on a path below .4. Or a rate that fell below 1 % of what it was in
    the first quarter, for half of all steps or more, with more than a tenth left. Milder cases
    are left to "still improving".

Why it matters
    The training ends before it has begun.

What else it could be
    A small rate by choice, as for fine-tuning: where most was learned nothing is said.

Remedies, with safety
    Ten times the rate; Adam instead of plain SGD; more steps (changes training).

Options
    ``PATH``, ``STEEP_PATH``, ``NO_PATH``: lengths of a path; ``LEARNED``, ``NEARLY_ALL``, ``ALL``:
    what was learned; ``FADED``. Getting better is an evaluation loss that fell in each of the last
    two passes by ``FALL_PASS``, or ``STEEP_PASS``, or on a path below ``PATH`` in every pass of the
    last third, by ``FALL`` in all; where fewer than three were seen, a training loss with a falling
    trend that fell in the last third by ``FALL``, or ``STEEP``. Batch norm over
    at most ``FEW_ROWS`` rows makes training losses of their own, and is not judged.

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
from relume.diagnosis.norms import trained_norms
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

PATH, STEEP_PATH = 0.4, 0.6
NO_PATH = 0.01
LEARNED, NEARLY_ALL, ALL = 0.2, 0.75, 0.9
FALL, FALL_PASS = 0.08, 0.03
STEEP, STEEP_PASS = 0.1, 0.1
FADED = 0.5
FEWEST_STEPS = 40
FEWEST_PASSES = 3
FEW_ROWS = 4.0

REMEDIES = (
    Advice("try ten times the learning rate", Safety.CHANGES_TRAINING),
    Advice("use Adam, or momentum", Safety.CHANGES_TRAINING),
    Advice("train for more steps", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where small updates, or few of them, ended a training early."""
    path = reading.path
    if math.isnan(path) or reading.steps < FEWEST_STEPS or reading.is_adversarial:
        yield NotJudged(Code.RATE_TOO_LOW, "no update ratios of one training of 40 steps or more")
        return
    faded = _faded(reading)
    if reading.learned < ALL and faded >= FADED:
        yield _finding(
            reading,
            f"the learning rate is below 1 % of its greatest, {reading.rate:g}, on {faded:.0%} of "
            "the steps: the schedule ends the training early",
            {"faded": faded},
        )
    elif path < PATH and reading.learned < LEARNED and _falls_or_rests(reading):
        yield _finding(
            reading,
            f"the learning rate {reading.rate:g} is too low: updates are "
            f"{reading.usual_update:.1e} of the weights, and the loss went from "
            f"{reading.early_loss:.3g} to {reading.late_loss:.3g}",
            {},
        )
    elif path < STEEP_PATH and reading.learned < NEARLY_ALL and _is_cut_short(reading):
        yield _finding(
            reading,
            f"the training ended while the loss fell, at {reading.late_loss:.3g}, and the weights "
            f"had moved by {path:.0%} of their norm in all: more steps, or a rate above "
            f"{reading.rate:g}",
            {"fall": _fall(reading), "evaluation_fall": _evaluation_fall(reading)},
        )


def _finding(reading: Reading, message: str, evidence: dict[str, float]) -> Finding:
    return Finding(
        code=Code.RATE_TOO_LOW,
        severity=Severity.WARNING,
        message=message,
        first_step=1,
        evidence={
            "rate": reading.rate,
            "update_ratio": reading.usual_update,
            "path": reading.path,
            "early": reading.early_loss,
            "late": reading.late_loss,
            "learned": reading.learned,
            **evidence,
        },
        cause="updates that are small, or few, beside what is to be learned",
        strength=max(1.0, PATH / max(reading.path, 1e-12)),
        remedies=REMEDIES,
    )


def _falls_or_rests(reading: Reading) -> bool:
    return reading.early_loss > reading.late_loss or reading.path <= NO_PATH


def _faded(reading: Reading) -> float:
    """Return on which share of the steps the rate was below 1 % of what it was at first.

    The first quarter gives the scale, so that a rate that jumps later has not faded before.
    """
    rates = reading.run.curve.rates
    rates = rates[np.isfinite(rates)]
    first = rates[: max(1, len(rates) // 4)]
    return float((rates < 0.01 * first.max()).mean()) if len(rates) else 0.0


def _is_cut_short(reading: Reading) -> bool:
    """Whether it was getting better at the end, fast where the path is not that short."""
    rows = reading.inputs[0].rows / max(1, reading.inputs[0].batches) if reading.inputs else 0.0
    if trained_norms(reading) and rows <= FEW_ROWS:
        return False
    is_short = reading.path < PATH
    if len(reading.evaluation_scores) >= FEWEST_PASSES:
        if is_short and _fall_of_passes(reading) >= FALL:
            return True
        return _evaluation_fall(reading) >= (FALL_PASS if is_short else STEEP_PASS)
    fall = max(_fall(reading), _evaluation_fall(reading))
    return fall >= (FALL if is_short else STEEP)


def _evaluation_fall(reading: Reading) -> float:
    """Return by which share each of the last two passes was at least better than the one before.

    Of two passes in all there is one such step; 0 where one of them was no better.
    """
    losses = [score.loss for score in reading.evaluation_scores if score.loss > 0][-3:]
    falls = [1 - after / before for before, after in pairwise(losses)]
    return max(0.0, min(falls, default=0.0))


def _fall_of_passes(reading: Reading) -> float:
    """Return by which share the evaluation loss fell in the last third; 0 if not in every pass.

    However often it is evaluated: passes that lie close together differ little each.
    """
    since = reading.steps * 2 / 3
    losses = [score.loss for score in reading.evaluation_scores if score.step >= since]
    if len(losses) < FEWEST_PASSES or not all(b < a for a, b in pairwise(losses)):
        return 0.0
    return 1 - losses[-1] / losses[0] if losses[0] > 0 else 0.0


def _fall(reading: Reading) -> float:
    """Return by which share the loss fell in the last third, if it has a falling trend there."""
    if not reading.is_falling_late:
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
