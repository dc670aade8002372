"""A ReLU makes the prediction: it cannot be negative, and where it is zero nothing is learned.

What it detects
    A loss whose prediction comes straight out of a ReLU.

Why it matters
    A row on which an output is zero gives that output no gradient: it can die as a hidden unit
    does, and then predicts zero for ever. Logits lose half of their range, and scores below zero
    cannot be said.

What else it could be
    Amounts that are never below zero, for which softplus or the exponential are safer: a note.

Remedies, with safety
    No activation after the last layer (changes model); softplus where predictions must be positive
    (changes model).

Options
    A warning for logits, for targets below zero, and where the training does poorly; a note for
    targets that a ReLU can reach.

References:
    Glorot et al., "Deep sparse rectifier neural networks", AISTATS 2011, section 3 (rectifiers are
    for hidden units).
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety
from relume.diagnosis.loss_reading import OF_AMOUNTS, place_of
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

RELUS = frozenset({"relu", "relu6"})
LOGIT_LOSSES = frozenset({"cross_entropy", "binary_cross_entropy_with_logits"})

REMEDIES = (
    Advice("take the ReLU after the last layer out", Safety.CHANGES_MODEL),
    Advice("use softplus where predictions must be positive", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss that is given the output of a ReLU."""
    known = [fact for fact in reading.training_losses if fact.head is not None]
    if not known:
        yield NotJudged(Code.RELU_ON_OUTPUT, "no head was observed")
    for loss in known:
        if next(iter(loss.head or ()), "") not in RELUS:
            continue
        yield Finding(
            code=Code.RELU_ON_OUTPUT,
            severity=severity(reading, is_structural=_is_out_of_reach(loss)),
            message=f"the prediction of {place_of(loss)} comes out of a ReLU: it is never below "
            f"zero, and learns nothing where it is zero",
            where=loss.head_layer or place_of(loss),
            first_step=loss.step,
            evidence={
                "head": loss.head,
                "least_target": loss.target.least,
                "least_prediction": loss.prediction.least,
                "rows": loss.rows,
            },
            cause="the network ends in a ReLU",
            remedies=REMEDIES,
        )


def _is_out_of_reach(loss: LossFacts) -> bool:
    is_below = loss.function in OF_AMOUNTS and loss.target.least < 0
    return loss.function in LOGIT_LOSSES or is_below


RULE = Rule(
    Code.RELU_ON_OUTPUT,
    "relu-on-output",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.DEAD_UNITS,
            Code.DEAD_AT_START,
            Code.DEAD_LAYER,
            Code.DYING_UNITS,
            Code.NO_GRADIENT,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.CLASS_NEVER_PREDICTED,
            Code.STARVED_LAYER,
        }
    ),
)
