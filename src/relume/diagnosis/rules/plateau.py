"""The loss fell at first, and then stood still far from what could be learned.

What it detects
    A loss that fell by at least 5 %, without any falling trend over its last half, that ended
    above 70 % of a constant answer's; or weights that a decay of at least 0.05 brought below three
    quarters of their norm, with less than three quarters of that loss learned away.

Why it matters
    The training is stuck: further steps of the same kind change nothing.

What else it could be
    The best that the inputs allow: noisy targets. A plateau that ends is not reported.

Remedies, with safety
    Look for dead units and vanishing gradients; another rate, or a schedule; a larger network
    (advice).

Options
    ``FALL``, ``OF_CHANCE``; ``SHRUNK``, ``STRONG_DECAY``, ``HELD``.

References:
    Dauphin et al., "Identifying and attacking the saddle point problem", NeurIPS 2014.
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

FALL = 0.05
OF_CHANCE = 0.7
FEWEST_STEPS = 100
SHRUNK, STRONG_DECAY, HELD = 0.75, 0.05, 0.75

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
    if reading.is_adversarial or not math.isfinite(chance) or reading.steps < FEWEST_STEPS:
        yield NotJudged(Code.PLATEAU, "no loss of a known scale, or too few steps")
        return
    early, late = reading.early_loss, reading.late_loss
    has_fallen = early - late > max(2 * reading.noise, FALL * abs(early))
    if not has_fallen or late < OF_CHANCE * chance or reading.is_falling_late:
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


def _is_held_by_decay(reading: Reading) -> bool:
    has_shrunk = reading.norm_change < SHRUNK and reading.greatest_decay >= STRONG_DECAY
    return has_shrunk and reading.learned < HELD and not reading.is_adversarial


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
        strength=SHRUNK / max(reading.norm_change, 1e-6),
        remedies=(Advice("try a tenth of the weight decay", Safety.CHANGES_TRAINING),),
    )


RULE = Rule(
    Code.PLATEAU,
    "plateau",
    __doc__ or "",
    check,
    explains=frozenset({Code.CLASS_NEVER_PREDICTED, Code.NOT_DECREASING}),
)
