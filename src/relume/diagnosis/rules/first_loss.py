"""The first loss is far above that of a network that knows nothing.

What it detects
    A first loss of classes above 4 times that of even shares (ln K for K classes; at least the
    entropy of their true shares), or of amounts above 5 times their mean square: the network
    begins by being sure, and wrong.

Why it matters
    The first updates only undo it, are large, and kill units while they do.

What else it could be
    Weights that were trained before on another task; losses that are sums and not means.

Remedies, with safety
    Scale inputs and targets; begin with smaller last weights (changes training).

Options
    ``TIMES_ENTROPY``, ``TIMES_SQUARE``; it is a note where ``LEARNED_WELL`` of a constant answer's
    loss was learned away, up to ``GRAVE`` times those.

References:
    Karpathy, "A recipe for training neural networks", 2019 ("verify loss @ init").
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import chance_loss, is_of_amounts, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

TIMES_ENTROPY, TIMES_SQUARE = 4.0, 5.0
LEARNED_WELL = 0.5
GRAVE = 1.5

REMEDIES = (
    Advice("scale the inputs, and the targets of a regression", Safety.CHANGES_TRAINING),
    Advice("begin with small weights in the last layer", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for the loss that is learned from, if it begins too high."""
    loss = reading.loss
    chance = _expected(loss) if loss is not None else 0.0
    if loss is None or not chance > 0 or math.isnan(loss.first_loss):
        yield NotJudged(Code.FIRST_LOSS, "no loss with a known scale was observed")
        return
    times = TIMES_SQUARE if is_of_amounts(loss) else TIMES_ENTROPY
    ratio = loss.first_loss / chance
    if ratio <= times or loss.is_broadcast:
        return
    yield Finding(
        code=Code.FIRST_LOSS,
        severity=_severity(reading, ratio / times),
        message=f"the first loss of {place_of(loss)} is {loss.first_loss:.3g}, "
        f"{ratio:.0f} times that of a constant answer",
        where=place_of(loss),
        first_step=loss.step,
        evidence={"first_loss": loss.first_loss, "constant": chance, "ratio": ratio},
        cause="inputs, targets or initial weights are of the wrong scale",
        strength=ratio / times,
        remedies=REMEDIES,
    )


def _severity(reading: Reading, strength: float) -> Severity:
    is_grave = strength > GRAVE or reading.learned < LEARNED_WELL
    return Severity.WARNING if is_grave else Severity.NOTE


def _expected(loss: LossFacts) -> float:
    """Return the loss of an answer that knows nothing: even shares, or zero."""
    if is_of_amounts(loss):
        return loss.target.mean**2 + loss.target.deviation**2
    outputs = max(loss.head_width, len(loss.class_counts), 2)
    return max(chance_loss(loss), math.log(outputs))


RULE = Rule(Code.FIRST_LOSS, "first-loss", __doc__ or "", check, explains=SYMPTOMS)
