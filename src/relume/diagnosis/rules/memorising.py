"""The training rows are known by heart, and the answers on others are guesses.

What it detects
    At least 90 % right on training rows, while the evaluation rows lie nearer to guessing the
    commonest class than to that, by two standard errors: too few of them prove nothing.

Why it matters
    There is nothing that carries over: labels that were shuffled against their rows look so.

What else it could be
    Evaluation rows of another kind, or prepared in another way, than the training rows.

Remedies, with safety
    Check that rows and labels belong together, and that both parts are prepared alike (advice).

Options
    ``BY_HEART``; ``NEARER``: the share of the way from guessing to the training rows; ``ERRORS``.

References:
    Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017.
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Severity
from relume.diagnosis.loss_reading import chance_loss
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

BY_HEART = 0.9
NEARER = 0.5
ERRORS = 2.0

REMEDIES = (
    Advice("check that rows and labels still belong together after shuffling and joining"),
    Advice("check that evaluation rows are prepared as the training rows are"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where training is nearly perfect and evaluation is chance."""
    loss = next(iter(reading.evaluation_losses), None)
    learned = reading.last_training_score
    if loss is None or not reading.evaluation_scores or learned is None:
        yield NotJudged(Code.MEMORISING, "no evaluation beside the training was observed")
        return
    scored = reading.evaluation_scores[-1]
    counts = np.array(loss.class_counts, float)
    if math.isnan(scored.right) or counts.sum() == 0 or np.count_nonzero(counts) < 2:
        return
    majority = float(counts.max() / counts.sum())
    share = (scored.right * scored.rows + 1) / (scored.rows + 2)
    error = math.sqrt(share * (1 - share) / max(1, scored.rows))
    middle = majority + NEARER * (learned.right - majority)
    if not learned.right >= BY_HEART or scored.right + ERRORS * error > middle:
        return
    if scored.loss < chance_loss(loss):
        return  # it did learn: with weights of classes more is right of the rare ones
    yield Finding(
        code=Code.MEMORISING,
        severity=Severity.WARNING,
        message=f"{learned.right:.1%} of the training rows are right and {scored.right:.1%} of "
        f"{scored.rows:,} evaluation rows, of which {majority:.1%} are of the commonest class",
        first_step=1,
        evidence={
            "training_right": learned.right,
            "evaluation_right": scored.right,
            "majority": majority,
            "rows": scored.rows,
        },
        cause="the labels say nothing about the rows, or the parts differ",
        strength=learned.right / BY_HEART + 1,
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.MEMORISING,
    "memorising",
    __doc__ or "",
    check,
    explains=frozenset({Code.OVER_FITTING, Code.OVER_TRAINING}),
)
