"""Classes are learned by the squared error, as if their numbers were amounts.

What it detects
    A squared, absolute or Huber loss with integer class numbers as targets (at least three
    classes, at most ``MOST_CLASSES``), or with one-hot targets under a softmax or sigmoid; one-hot
    targets under a linear head are a note.

Why it matters
    Numbers of classes have no order: class 2 is not between 1 and 3. Under a softmax the squared
    error has almost no gradient where the network is surely wrong.

What else it could be
    Ratings, counts or ages: amounts that happen to be integers; least-squares GANs.

Remedies, with safety
    ``cross_entropy`` with one output per class (changes training).

Options
    ``MOST_CLASSES``: integers with more values are taken for amounts.

References:
    Golik et al., "Cross-entropy vs. squared error training", Interspeech 2013.
"""

from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import is_of_amounts, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

MOST_CLASSES = 30

REMEDIES = (Advice("use cross_entropy with one output per class", Safety.CHANGES_TRAINING),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss of amounts whose targets are classes."""
    known = [fact for fact in reading.training_losses if fact.target_kind]
    if not known:
        yield NotJudged(Code.SQUARED_ERROR_ON_CLASSES, "no target was observed")
    for loss in known:
        if not is_of_amounts(loss):
            continue
        severity = _severity(loss)
        if severity is None:
            continue
        classes = int(np.count_nonzero(loss.class_counts))
        yield Finding(
            code=Code.SQUARED_ERROR_ON_CLASSES,
            severity=severity,
            message=f"{place_of(loss)} compares amounts, and its targets are {classes} classes",
            where=place_of(loss),
            first_step=loss.step,
            evidence={
                "classes": classes,
                "kind": loss.target_kind,
                "head": loss.head or (),
                "outputs": loss.head_width,
                "rows": loss.rows,
            },
            cause="a loss for amounts on a task of classes",
            strength=5.0,
            remedies=REMEDIES,
        )


def _severity(loss: LossFacts) -> Severity | None:
    classes = int(np.count_nonzero(loss.class_counts))
    if loss.target_kind == "classes" and 3 <= classes <= MOST_CLASSES:
        return Severity.WARNING
    if loss.target_kind == "one hot" and classes >= 2:
        squashed = {"softmax", "sigmoid"} & set((loss.head or ())[:1])
        return Severity.WARNING if squashed else Severity.NOTE
    return None


RULE = Rule(
    Code.SQUARED_ERROR_ON_CLASSES,
    "squared-error-on-classes",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.RELU_ON_OUTPUT, Code.UNSCALED_TARGET, Code.FIRST_LOSS},
)
