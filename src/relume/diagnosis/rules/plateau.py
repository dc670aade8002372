"""The loss fell at first, and then stood still far from what could be learned.

What it detects
    A loss that fell by at least 5 %, or to below 90 % of a constant answer's, without any falling
    trend over its last half, that ended above 70 % of a constant answer's. Or an evaluation loss
    that in no pass went below 90 % of that, over at least five, and does not fall in the later
    half of them, whatever the training loss does. Or weights that a decay of at least 0.05 brought
    below three quarters of their norm, with less than nine tenths of that loss learned away.

Why it matters
    The training is stuck: further steps of the same kind change nothing.

What else it could be
    The best that the inputs allow: noisy targets. A plateau that ends is not reported.

Remedies, with safety
    Look for dead units and vanishing gradients; another rate, or a schedule; a larger network
    (advice).

Options
    ``FALL``, ``OF_CHANCE``, ``LITTLE``, ``FEWEST_PASSES``; ``HELD``, with the
    decay and the shrinking of ``relume.diagnosis.progress``.

References:
    Dauphin et al., "Identifying and attacking the saddle point problem", NeurIPS 2014.
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import DECAYED_NORM, is_decayed
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.summary import falling_trend

FALL = 0.05
OF_CHANCE = 0.7
FEWEST_STEPS = 100
LITTLE = 0.9
FEWEST_PASSES = 5
HELD = 0.9

REMEDIES = (
    Advice("try another learning rate, or let it fall"),
    Advice("look for dead units and vanishing gradients"),
    Advice("try a larger network: it may be all that this one can do"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where the loss stood still too early."""
    chance = reading.chance
    if _is_held_by_decay(reading):
        yield _held_by_decay(reading)
        return
    if reading.is_adversarial or not 0 < chance < math.inf or reading.steps < FEWEST_STEPS:
        yield NotJudged(Code.PLATEAU, "no loss of a known scale, or too few steps")
        return
    early, late = reading.early_loss, reading.late_loss
    has_fallen = early - late > max(2 * reading.noise, FALL * abs(early)) or late < LITTLE * chance
    if not has_fallen or late < OF_CHANCE * chance or reading.is_falling_late:
        yield from _on_evaluation(reading)
        return
    yield Finding(
        code=Code.PLATEAU,
        severity=Severity.WARNING,
        message=f"the loss has stood at {late:.3g} for half of the training; "
        f"a constant answer has {chance:.3g}",
        first_step=reading.steps // 2,
        evidence={"early": early, "late": late, "constant": chance, "noise": reading.noise},
        strength=late / chance / OF_CHANCE,
        remedies=REMEDIES,
    )


def _on_evaluation(reading: Reading) -> Iterator[Finding]:
    """Yield a finding where nothing was ever learned that carries over."""
    scores = [score for score in reading.evaluation_scores if math.isfinite(score.loss)]
    losses = np.array([score.loss for score in scores])
    if len(losses) < FEWEST_PASSES or not losses.min() >= LITTLE * reading.chance:
        return
    half = losses[len(losses) // 2 :]
    if not 0 < reading.late_loss <= reading.chance or falling_trend(half[:, None])[0] < 0.05:
        return
    yield Finding(
        code=Code.PLATEAU,
        severity=Severity.WARNING,
        message=f"the evaluation loss was never below {losses.min():.3g} in {len(losses)} passes; "
        f"a constant answer has {reading.chance:.3g}",
        first_step=scores[0].step,
        evidence={
            "least": float(losses.min()),
            "last": float(losses[-1]),
            "passes": len(losses),
            "late": reading.late_loss,
            "constant": reading.chance,
        },
        cause="what is learned does not carry over: inputs and targets may not belong together",
        strength=float(losses.min()) / reading.chance / LITTLE,
        remedies=(Advice("check that rows and targets belong together"), *REMEDIES),
    )


def _is_held_by_decay(reading: Reading) -> bool:
    return is_decayed(reading) and reading.learned < HELD and not reading.is_adversarial


def _held_by_decay(reading: Reading) -> Finding:
    return Finding(
        code=Code.PLATEAU,
        severity=Severity.WARNING,
        message=f"weight decay {reading.greatest_decay:g} has brought the weights to "
        f"{reading.norm_change:.0%} of their norm, and holds the loss at {reading.late_loss:.3g}",
        first_step=1,
        evidence={
            "weight_decay": reading.greatest_decay,
            "norm_change": reading.norm_change,
            "late": reading.late_loss,
            "learned": reading.learned,
        },
        cause="weight decay pulls harder than the loss",
        strength=DECAYED_NORM / max(reading.norm_change, 1e-6),
        remedies=(Advice("try a tenth of the weight decay", Safety.CHANGES_TRAINING),),
    )


RULE = Rule(
    Code.PLATEAU,
    "plateau",
    __doc__ or "",
    check,
    explains=frozenset({Code.CLASS_NEVER_PREDICTED, Code.NOT_DECREASING}),
)
