"""Some classes are much rarer than others, and the loss does not know it.

What it detects
    Classes of which the commonest has at least ten times the rows of the rarest. A note by itself;
    a warning, under a loss without class weights, where a class of at least 20 rows was predicted
    less than a fifth as often as it occurs; or all such rare classes together, of at least 20
    rows, less than half as often; or fewer than ten different rows of the rarest class were there
    to learn from, and no evaluation had ten of each class in a pass. Outputs for classes that never
    occur, at most as many as those that do, among at most 50 of which all others have 20 rows, are
    a warning too.

Why it matters
    The mean loss is small for a network that never predicts the rare class, which is often the one
    that matters; accuracy hides it.

What else it could be
    Rare classes that are hard: more rows of them help more than weights.

Remedies, with safety
    Weigh the classes in the loss, or sample them evenly (changes training); score by balanced
    accuracy (advice).

Options
    ``RATIO``: commonest over rarest; ``FEWEST_ROWS``; ``MISSED`` and ``RARELY``: predicted over
    true share, of one class and of the rare ones together; ``FEWEST_DIFFERENT``, told once each
    row was looked at ``PASSES`` times on average, so that few are left unseen; ``MOST_OUTPUTS``.

References:
    Buda et al., "A systematic study of the class imbalance problem", Neural Networks 106, 2018.
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import CURVE_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts, OverlapFacts
from relume.runs.records import Counts

RATIO = 10.0
FEWEST_ROWS = 20
MOST_OUTPUTS = 50
MISSED, RARELY = 0.2, 0.5
FEWEST_DIFFERENT = 10
PASSES = 3.0

REMEDIES = (
    Advice("weigh the classes in the loss by 1 / their share", Safety.CHANGES_TRAINING),
    Advice("draw the rows of each class equally often", Safety.CHANGES_TRAINING),
    Advice("score by balanced accuracy, or by the recall of each class"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for the loss that is learned from, if its classes are imbalanced."""
    loss = reading.loss
    if loss is None or not loss.class_counts:
        yield NotJudged(Code.IMBALANCE, "no classes were observed")
        return
    yield from _absent(loss)
    counts = np.array(loss.class_counts)
    present = counts[counts > 0]
    if len(present) < 2 or present.min() < 1 or present.max() < RATIO * present.min():
        return
    if counts.sum() < FEWEST_ROWS * len(present):
        return
    scored = next(iter(reading.evaluation_losses), loss)
    missed = missed_classes(scored, MISSED, FEWEST_ROWS) or _rarely_predicted(scored, counts)
    different = _different_rows(reading, loss)
    is_lost = bool(missed) or (different < FEWEST_DIFFERENT and not _is_tested(reading))
    ratio = float(present.max() / present.min())
    yield Finding(
        code=Code.IMBALANCE,
        severity=Severity.WARNING if is_lost and not loss.weighted else Severity.NOTE,
        message=f"the commonest class has {ratio:.0f} times the rows of the rarest"
        + (f"; {len(missed)} of {len(present)} are hardly ever predicted" if missed else ""),
        where=place_of(loss),
        first_step=loss.step,
        evidence={
            "ratio": ratio,
            "classes": len(present),
            "rows": int(counts.sum()),
            "different_rows_of_rarest": different,
            "missed": missed,
            "weighted": loss.weighted,
        },
        cause="the loss counts every row the same",
        strength=ratio / RATIO,
        remedies=REMEDIES,
    )


def _is_tested(reading: Reading) -> bool:
    """Whether an evaluation pass has rows enough of every class to say that it is learned."""
    passes = len(reading.evaluation_scores)
    counts = [count for loss in reading.evaluation_losses[:1] for count in loss.class_counts]
    present = [count for count in counts if count]
    return bool(present) and min(present) >= FEWEST_DIFFERENT * passes


def _rarely_predicted(loss: LossFacts, trained: Counts) -> tuple[int, ...]:
    """Return the rare classes if together they are predicted far less often than they occur."""
    rare = np.flatnonzero((trained > 0) & (trained * RATIO <= trained.max()))
    if max(len(loss.class_counts), len(trained)) > len(loss.predicted_counts):
        return ()
    rows = sum(loss.class_counts[index] for index in rare if index < len(loss.class_counts))
    predicted = sum(loss.predicted_counts[index] for index in rare)
    is_rarely = rows >= FEWEST_ROWS and predicted < RARELY * rows
    return tuple(map(int, rare)) if is_rarely else ()


def _different_rows(reading: Reading, loss: LossFacts) -> float:
    """Return how many different rows of the rarest class there are to learn from; or nan."""
    facts = reading.run.of(OverlapFacts)
    rows = sum(loss.class_counts)
    if not facts or not facts[0].training_rows or rows < PASSES * facts[0].training_rows:
        return math.nan
    rarest = min(count for count in loss.class_counts if count)
    return rarest / rows * facts[0].training_rows


def _absent(loss: LossFacts) -> Iterator[Finding]:
    """Yield a finding where the head has outputs for classes that never occur."""
    counts = loss.class_counts[: loss.head_width]
    present = [count for count in counts if count]
    absent = tuple(
        index for index in range(loss.head_width) if not (counts + (0,) * loss.head_width)[index]
    )
    is_small = 3 <= loss.head_width <= MOST_OUTPUTS and len(absent) <= len(present)
    if loss.target_kind != "classes" or not absent or not is_small or min(present) < FEWEST_ROWS:
        return
    yield Finding(
        code=Code.IMBALANCE,
        severity=Severity.WARNING,
        message=f"no target of {place_of(loss)} is of class {', '.join(map(str, absent))}, "
        f"for which the network has an output; of each other class there are {min(present):,} "
        "rows or more",
        where=place_of(loss),
        units=absent,
        first_step=loss.step,
        evidence={"absent": absent, "outputs": loss.head_width, "rows": sum(counts)},
        cause="the class is missing among the training rows",
        strength=5.0,
        remedies=(Advice("check that every class is among the training rows, after the split"),),
    )


def missed_classes(loss: LossFacts, share: float, fewest_rows: int) -> tuple[int, ...]:
    """Return the classes predicted less often than ``share`` times their number of rows."""
    if len(loss.predicted_counts) < len(loss.class_counts):
        return ()
    return tuple(
        index
        for index, count in enumerate(loss.class_counts)
        if count >= fewest_rows and loss.predicted_counts[index] < share * count
    )


RULE = Rule(
    Code.IMBALANCE,
    "imbalance",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS,
)
