"""Prediction and target have different shapes, and every row is compared with every other.

What it detects
    A loss whose prediction and target were broadcast to a larger shape, as (N, 1) against (N,)
    gives (N, N).

Why it matters
    The loss compares each prediction with all targets: its best answer is their mean for every
    row. It falls a little, and then stands still.

What else it could be
    A comparison of all pairs made on purpose.

Remedies, with safety
    ``prediction.squeeze(1)`` or ``target.unsqueeze(1)`` before the loss (changes training).

Options
    None.

References:
    torch.nn.functional.mse_loss, whose warning on different sizes is often overlooked.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

REMEDIES = (
    Advice(
        "bring both to one shape: prediction.squeeze(1), or target.unsqueeze(1)",
        Safety.CHANGES_TRAINING,
    ),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss that was broadcast."""
    if reading.loss is None:
        yield NotJudged(Code.BROADCAST_LOSS, "no loss was observed")
    for loss in reading.training_losses:
        if not loss.is_broadcast:
            continue
        prediction, target = _shape(loss.prediction_shape), _shape(loss.target_shape)
        yield Finding(
            code=Code.BROADCAST_LOSS,
            severity=Severity.ERROR,
            message=f"{place_of(loss)} compares a prediction of shape {prediction} with a target "
            f"of shape {target}: every row with every other",
            where=place_of(loss),
            first_step=loss.step,
            evidence={"prediction": prediction, "target": target, "calls": loss.calls},
            cause="the shapes differ and are broadcast",
            strength=10.0,
            remedies=REMEDIES,
        )


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})" if shape else "unknown"


RULE = Rule(Code.BROADCAST_LOSS, "broadcast-loss", __doc__ or "", check, explains=SYMPTOMS)
