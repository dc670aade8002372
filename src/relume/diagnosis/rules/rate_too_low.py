"""The learning rate is too low: the loss still falls, slowly and evenly, when the training ends.

What it detects
    A loss that fell over the whole training with a significant trend in its last third too, at a
    median update below 1e-3 of the weights, while less than a fifth of a constant answer's loss
    was learned away. Where more was learned it is left to "still improving".

Why it matters
    The training ends before it has begun.

What else it could be
    A small rate by choice, as for fine-tuning: where most was learned nothing is said.

Remedies, with safety
    Ten times the rate; Adam instead of plain SGD; more steps (changes training).

Options
    ``UPDATE``, ``LEARNED``.

References:
    Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012,
    section 3.1.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import CURVE_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

UPDATE = 1e-3
LEARNED = 0.2
FEWEST_STEPS = 50

REMEDIES = (
    Advice("try ten times the learning rate", Safety.CHANGES_TRAINING),
    Advice("use Adam, or momentum", Safety.CHANGES_TRAINING),
    Advice("train for more steps", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where small updates ended a training early."""
    update = reading.usual_update
    if update != update or reading.steps < FEWEST_STEPS:  # noqa: PLR0124
        yield NotJudged(Code.RATE_TOO_LOW, "no update ratio of the weights was measured")
        return
    if reading.is_adversarial or update >= UPDATE or not reading.learned < LEARNED:
        return
    is_falling = reading.early_loss - reading.late_loss > 0
    if not is_falling and update > UPDATE / 100:
        return
    yield Finding(
        code=Code.RATE_TOO_LOW,
        severity=Severity.WARNING,
        message=f"the learning rate {reading.rate:g} is too low: updates are {update:.1e} of the "
        f"weights, and the loss went from {reading.early_loss:.3g} to {reading.late_loss:.3g}",
        first_step=1,
        evidence={
            "rate": reading.rate,
            "update_ratio": update,
            "early": reading.early_loss,
            "late": reading.late_loss,
            "learned": reading.learned,
        },
        cause="updates that are small beside the weights",
        strength=UPDATE / max(update, 1e-12),
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.RATE_TOO_LOW,
    "rate-too-low",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS | {Code.UPDATE_RATIO},
)
