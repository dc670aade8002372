"""A loss that takes probabilities, or their logarithms, is given logits.

What it detects
    ``kl_div`` given numbers above 0, which are no logarithms of probabilities; ``binary_cross_
    entropy`` given what a ReLU or a clamp forced into range; a loss by hand that takes the
    logarithm of an output without a softmax or sigmoid before it.

Why it matters
    Such a loss has no lower bound at the right answer, or a gradient of zero outside of the range:
    it goes to minus infinity, to nan, or stands still.

What else it could be
    A network whose outputs are positive by design, as rates of a Poisson law.

Remedies, with safety
    Apply softmax or sigmoid, or use the loss with logits (changes training).

Options
    ``TOLERANCE``: above 0, for rounding.

References:
    torch.nn.KLDivLoss and torch.nn.BCELoss, on what they expect.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import head_evidence, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

TOLERANCE = 1e-4
_FORCING = {"relu", "clamp", "hardtanh", "relu6", "tanh", "abs"}
_PROBABLE = {"softmax", "sigmoid", "softplus", "exp", "log_softmax", "logsigmoid", "logsumexp"}

REMEDIES = (
    Advice("use the loss that takes logits, such as cross_entropy", Safety.CHANGES_TRAINING),
    Advice("apply softmax or sigmoid before the loss", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss that takes something else for probabilities."""
    if reading.loss is None:
        yield NotJudged(Code.LOGITS_AS_PROBABILITIES, "no loss was observed")
    for loss in reading.training_losses:
        why = _why(loss)
        if not why:
            continue
        yield Finding(
            code=Code.LOGITS_AS_PROBABILITIES,
            severity=Severity.ERROR,
            message=f"{place_of(loss)} wants probabilities and is given {why}",
            where=place_of(loss),
            first_step=loss.step,
            evidence=head_evidence(loss) | {"operations": loss.operations},
            cause="no softmax or sigmoid stands between the last weights and the loss",
            strength=10.0,
            remedies=REMEDIES,
        )


def _why(loss: LossFacts) -> str:
    """Return what it is given instead; empty where all is well."""
    head = loss.head or ()
    if loss.function == "kl_div" and loss.prediction.greatest > TOLERANCE:
        return f"numbers up to {loss.prediction.greatest:.3g}: no logarithms of probabilities"
    if loss.function == "binary_cross_entropy" and loss.head is not None:
        if _PROBABLE & set(head):
            return ""
        return "an output forced into range" if _FORCING & set(head) else "a raw output"
    if loss.function == "nll_loss" and head[:1] == ("log",):
        return "" if _PROBABLE & set(head[1:]) else "the logarithm of a raw output"
    if loss.function == "by hand" and "log" in loss.operations:
        before = loss.operations[loss.operations.index("log") + 1 :]
        return "" if _PROBABLE & set(before) else "the logarithm of a raw output"
    return ""


RULE = Rule(
    Code.LOGITS_AS_PROBABILITIES,
    "logits-as-probabilities",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.FIRST_LOSS, Code.BOUNDED_LOGITS},
)
