"""The network does much better on its training rows than on others.

What it detects
    Of classes: a share of right answers on training rows that is at least .15 above the one on
    evaluation rows, beyond three standard errors. Of amounts: a last evaluation loss of at least
    three times the training loss, and worse than half of a constant answer's. Both at the weights
    that were kept: where the best epoch is on record, its own, and else the last ones.

Why it matters
    What it learned are the rows and not the law behind them.

What else it could be
    Training rows that are easier, or few evaluation rows; some gap is normal.

Remedies, with safety
    More rows, augmentation, dropout, weight decay, a smaller network, early stopping (changes
    training).

Options
    ``GAP``, ``ERRORS``, ``TIMES``, ``ENOUGH``, ``OLD``.

References:
    Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.records import Score

GAP, ERRORS = 0.15, 3.0
ENOUGH, OLD = 100, 0.5
TIMES = 3.0

REMEDIES = (
    Advice("stop at the best evaluation loss", Safety.CHANGES_TRAINING),
    Advice("use dropout, weight decay or augmentation", Safety.CHANGES_TRAINING),
    Advice("use more rows, or a smaller network", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where evaluation is far behind training at the end."""
    if not reading.evaluation_scores or not reading.training_scores:
        yield NotJudged(Code.OVER_FITTING, "no evaluation loss beside the training loss was seen")
        return
    scored = _until(reading.evaluation_scores, reading.kept_step)[-1]
    learned = _pooled(_until(reading.training_scores, reading.kept_step))
    strength = gap_in_right(learned, scored)
    if math.isnan(strength):
        strength = _ratio_of_losses(reading, learned, scored)
    if strength < 1:
        return
    when = "at the end" if reading.kept_step >= reading.steps else "in the epoch that was kept"
    yield Finding(
        code=Code.OVER_FITTING,
        severity=Severity.WARNING,
        message=f"{when} the loss is {learned.loss:.3g} on training rows and "
        f"{scored.loss:.3g} on {scored.rows:,} evaluation rows"
        + (
            f"; {learned.right:.1%} and {scored.right:.1%} are right"
            if math.isfinite(scored.right)
            else ""
        ),
        first_step=reading.best_evaluation_step,
        evidence={
            "training_loss": learned.loss,
            "evaluation_loss": scored.loss,
            "training_right": learned.right,
            "evaluation_right": scored.right,
            "training_rows": learned.rows,
            "evaluation_rows": scored.rows,
        },
        cause="the network remembers its training rows",
        strength=strength,
        remedies=REMEDIES,
    )


def _until(scores: Sequence[Score], step: int) -> Sequence[Score]:
    """Return the scores up to a step, and the first one in any case."""
    return [score for score in scores if score.step <= step] or scores[:1]


def _pooled(scores: Sequence[Score]) -> Score:
    """Return the last score, with those before it until it rests on ``ENOUGH`` rows.

    Of the last half of the steps at most: a small batch says little, and an early one is old.
    """
    last = scores[-1]
    taken: list[Score] = []
    for score in reversed(scores):
        if taken and (sum(s.rows for s in taken) >= ENOUGH or score.step < OLD * last.step):
            break
        taken.append(score)
    counts = [score.rows for score in taken]
    loss = float(np.average([score.loss for score in taken], weights=counts))
    right = float(np.average([score.right for score in taken], weights=counts))
    return replace(last, rows=sum(counts), loss=loss, right=right)


def gap_in_right(learned: Score, scored: Score) -> float:
    """Return the gap of the shares of right answers over what counts; nan without classes."""
    if math.isnan(learned.right) or math.isnan(scored.right):
        return math.nan
    pairs = ((learned.right, learned.rows), (scored.right, scored.rows))
    variance = sum(share * (1 - share) / max(1, rows) for share, rows in pairs)
    return (learned.right - scored.right) / max(GAP, ERRORS * math.sqrt(variance))


def _ratio_of_losses(reading: Reading, learned: Score, scored: Score) -> float:
    if not (learned.loss > 0 and reading.chance > 0 and scored.loss > 0.5 * reading.chance):
        return 0.0
    return scored.loss / learned.loss / TIMES


RULE = Rule(
    Code.OVER_FITTING,
    "over-fitting",
    __doc__ or "",
    check,
    explains=frozenset({Code.OVER_TRAINING}),
)
