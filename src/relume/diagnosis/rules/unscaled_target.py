"""The targets of a regression are far from unit scale.

What it detects
    Amounts under a squared, absolute or Huber loss whose root mean square is above 10 or below
    0.02.

Why it matters
    A fresh network answers with numbers of about 1 at most: far targets make large losses, large
    gradients and updates that kill units, or a training that spends itself on reaching their mean.

What else it could be
    Targets that the network reached all the same: then it is a note.

Remedies, with safety
    Standardise the targets and undo it in the answers (changes training); begin the last bias at
    their mean (changes training).

Options
    ``LARGE`` and ``SMALL``: bounds on the root mean square; ``LEARNED_WELL``: share of their
    variance learned for it to be a note.

References:
    LeCun et al., "Efficient BackProp", 1998, section 4.5.
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import is_of_amounts, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

LARGE, SMALL = 10.0, 0.02
LEARNED_WELL = 0.9

REMEDIES = (
    Advice("standardise the targets, and undo it in the answers", Safety.CHANGES_TRAINING),
    Advice("begin the last bias at the mean of the targets", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss of amounts with targets of unusual scale."""
    losses = [fact for fact in reading.training_losses if is_of_amounts(fact)]
    if not losses and reading.loss is None:
        yield NotJudged(Code.UNSCALED_TARGET, "no loss was observed")
    for loss in losses:
        size = math.hypot(loss.target.mean, loss.target.deviation)
        if loss.target_kind != "amounts" or not size > 0 or SMALL <= size <= LARGE:
            continue
        yield Finding(
            code=Code.UNSCALED_TARGET,
            severity=Severity.NOTE if reading.learned >= LEARNED_WELL else Severity.WARNING,
            message=f"the targets of {place_of(loss)} have mean {loss.target.mean:.3g} and "
            f"standard deviation {loss.target.deviation:.3g}: a fresh network answers about 0",
            where=place_of(loss),
            first_step=loss.step,
            evidence={
                "mean": loss.target.mean,
                "deviation": loss.target.deviation,
                "rows": loss.rows,
                "learned": reading.learned,
            },
            cause="the targets are given as they were measured",
            strength=max(size / LARGE, SMALL / size),
            remedies=REMEDIES,
        )


RULE = Rule(
    Code.UNSCALED_TARGET,
    "unscaled-target",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.FIRST_LOSS},
)
