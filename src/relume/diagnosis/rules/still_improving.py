"""The loss was still falling when the training ended.

What it detects
    A falling trend in the last third of the loss curve, and a last tenth at least 5 % below the
    tenth before the last third's middle.

Why it matters
    More steps would make it better: the comparison with other trainings is not fair yet.

What else it could be
    A rate that falls to zero by schedule makes the last steps fall too. Training loss alone: look
    at the validation loss first. Always a note.

Remedies, with safety
    Train on, or raise the rate (changes training).

Options
    ``FALL``.

References:
    Hoffer et al., "Train longer, generalize better", NeurIPS 2017.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

FALL = 0.05
FEWEST = 30

REMEDIES = (Advice("train for more steps", Safety.CHANGES_TRAINING),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a note where the loss was still falling."""
    losses = reading.losses
    if reading.is_adversarial or len(losses) < FEWEST:
        yield NotJudged(Code.STILL_IMPROVING, "no single loss of at least 30 steps was observed")
        return
    third = losses[-(len(losses) // 3) :]
    before, late = float(third[: len(third) // 2].mean()), reading.late_loss
    if not reading.is_falling_late or before - late < FALL * abs(before):
        return
    yield Finding(
        code=Code.STILL_IMPROVING,
        severity=Severity.NOTE,
        message=f"the loss was still falling at the end, from {before:.3g} to {late:.3g} in the "
        "last third",
        first_step=int(reading.loss_steps[-(len(losses) // 3)]),
        evidence={"before": before, "late": late, "steps": reading.steps},
        remedies=REMEDIES,
    )


RULE = Rule(Code.STILL_IMPROVING, "still-improving", __doc__ or "", check)
