"""Softmax, or cross-entropy, over a single unit: the answer is 1 whatever the network does.

What it detects
    A cross-entropy or negative log-likelihood over one output per row, or a softmax over an axis
    of length one before any loss.

Why it matters
    exp(z) / exp(z) = 1: the output is constant, its gradient is exactly zero, nothing is learned.

What else it could be
    Nothing: no training wants it.

Remedies, with safety
    One output with ``binary_cross_entropy_with_logits``, or one output per class (changes model).

Options
    None.

References:
    Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

REMEDIES = (
    Advice("keep one output and use binary_cross_entropy_with_logits", Safety.CHANGES_TRAINING),
    Advice("give the network one output per class", Safety.CHANGES_MODEL),
)
_OVER_CLASSES = ("cross_entropy", "nll_loss")
_SOFTMAX = {"softmax", "log_softmax"}


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss that compares one class."""
    if reading.loss is None:
        yield NotJudged(Code.ONE_OUTPUT, "no loss was observed")
    for loss in reading.training_losses:
        operations = _SOFTMAX & {*(loss.head or ()), *loss.operations}
        if loss.head_width != 1 or not (loss.function in _OVER_CLASSES or operations):
            continue
        what = next(iter(operations), loss.function)
        yield Finding(
            code=Code.ONE_OUTPUT,
            severity=Severity.ERROR,
            message=f"{place_of(loss)} sees one output per row through {what}: "
            "the answer is constant and nothing can be learned",
            where=place_of(loss),
            first_step=loss.step,
            evidence={"outputs": loss.head_width, "shape": loss.prediction_shape},
            cause="a loss for several classes on a network with one output",
            strength=10.0,
            remedies=REMEDIES,
        )


RULE = Rule(
    Code.ONE_OUTPUT,
    "one-output",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.NO_GRADIENT, Code.SOFTMAX_TWICE, Code.CONSTANT_TARGET},
)
