"""The loss keeps jumping above where it began.

What it detects
    In the last two thirds of a training, at least three buckets of the loss curve with a loss
    above two and a half times that of its beginning, or of a constant answer.

Why it matters
    Updates overshoot: what one batch teaches, the next undoes.

What else it could be
    Batches of very different difficulty. Where most was learned all the same it is a note; losses
    of opposing networks are not judged.

Remedies, with safety
    Lower the rate or let it fall, larger batches, clip gradients (changes training).

Options
    ``TIMES``, ``FEWEST_JUMPS``, ``LEARNED_WELL``.

References:
    Cohen et al., "Gradient descent on neural networks typically occurs at the edge of stability",
    ICLR 2021.
"""

from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

TIMES = 2.5
FEWEST_JUMPS = 3
LEARNED_WELL = 0.5

REMEDIES = (
    Advice("lower the learning rate, or let it fall", Safety.CHANGES_TRAINING),
    Advice("use larger batches", Safety.CHANGES_TRAINING),
    Advice("clip the gradient by its norm", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where the loss keeps jumping."""
    if reading.is_adversarial or len(reading.losses) < 10:
        yield NotJudged(Code.OSCILLATING, "no single loss of at least 10 steps was observed")
        return
    begin = max(reading.losses[0], reading.chance) if reading.chance > 0 else reading.losses[0]
    greatest = reading.run.curve.greatest
    steps = reading.run.curve.steps
    late = np.arange(len(greatest)) >= len(greatest) // 3
    with np.errstate(invalid="ignore"):
        jumps = np.flatnonzero(late & (greatest > TIMES * begin))
    if begin <= 0 or len(jumps) < FEWEST_JUMPS:
        return
    highest = float(np.nanmax(greatest[jumps]))
    yield Finding(
        code=Code.OSCILLATING,
        severity=Severity.NOTE if reading.learned >= LEARNED_WELL else Severity.WARNING,
        message=f"the loss jumped above {TIMES * begin:.3g} in {len(jumps)} places of the curve, "
        f"up to {highest:.3g}; it began at {begin:.3g}",
        first_step=int(steps[jumps[0]]),
        evidence={
            "jumps": len(jumps),
            "early": begin,
            "highest": highest,
            "learned": reading.learned,
        },
        cause="updates that overshoot",
        strength=highest / begin / TIMES,
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.OSCILLATING,
    "oscillating",
    __doc__ or "",
    check,
    explains=frozenset({Code.NOT_DECREASING, Code.PLATEAU}),
)
