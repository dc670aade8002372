"""A class that occurs is never predicted.

What it detects
    Classes with at least 20 rows, and at least 2 % of them all, that were not predicted once on
    the evaluation rows (on the training rows where no evaluation was seen).

Why it matters
    For those rows the answer is always wrong, however good the mean looks.

What else it could be
    Rare classes that the network learns last: train on.

Remedies, with safety
    Weigh the classes, look at their rows, look for dead outputs (changes training).

Options
    ``FEWEST_ROWS``, ``SHARE``.

References:
    Buda et al., "A systematic study of the class imbalance problem", Neural Networks 106, 2018.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

FEWEST_ROWS = 20
SHARE = 0.02

REMEDIES = (
    Advice("weigh the classes in the loss by 1 / their share", Safety.CHANGES_TRAINING),
    Advice("look at rows of those classes, and at the last layer's outputs for them"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where classes are never predicted."""
    known = (*reading.evaluation_losses, *reading.training_losses)
    loss = next((each for each in known if each.predicted_counts and each.class_counts), None)
    if loss is None:
        yield NotJudged(Code.CLASS_NEVER_PREDICTED, "no predicted classes were observed")
        return
    rows = sum(loss.class_counts)
    never = tuple(
        index
        for index, count in enumerate(loss.class_counts)
        if count >= max(FEWEST_ROWS, SHARE * rows)
        and index < len(loss.predicted_counts)
        and not loss.predicted_counts[index]
    )
    if not never:
        return
    missed = sum(loss.class_counts[index] for index in never)
    yield Finding(
        code=Code.CLASS_NEVER_PREDICTED,
        severity=Severity.WARNING,
        message=f"{len(never)} classes with {missed:,} of {rows:,} rows are never predicted: "
        + ", ".join(map(str, never[:10])),
        where=place_of(loss),
        units=never[:100],
        evidence={"classes": never[:100], "rows": missed, "of": rows},
        strength=1.0 + missed / rows,
        remedies=REMEDIES,
    )


RULE = Rule(Code.CLASS_NEVER_PREDICTED, "class-never-predicted", __doc__ or "", check)
