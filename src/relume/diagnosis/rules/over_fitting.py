"""The network does much better on its training rows than on others.

What it detects
    Of classes: a share of right answers on training rows that is at least .15 above the one on
    evaluation rows, beyond three standard errors. Of classes and amounts: less than half of what
    was learned carries over. What was learned is the share of a constant answer's loss that is
    gone; it must be greater on training rows by at least .25, and with classes the share of right
    answers there by .05 and two standard errors (three, where fewer than 100 evaluation rows were
    no worse than a constant answer). Both are taken late in the training, over several looks; where
    the best epoch is on record, before its end.

Why it matters
    What it learned are the rows and not the law behind them.

What else it could be
    Training rows that are easier, or few evaluation rows; some gap is normal.

Remedies, with safety
    More rows, augmentation, dropout, weight decay, a smaller network, early stopping (changes
    training).

Options
    ``GAP``, ``ERRORS``; ``CARRIED``: the share of what was learned that carries over,
    ``LEAST_LOST``, ``LEAST_GAP``, ``LIKELY``, ``FEW_ROWS``.

References:
    Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017.
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.records import Score

GAP, ERRORS = 0.15, 3.0
CARRIED = 0.5
LEAST_LOST = 0.25
LEAST_GAP, LIKELY = 0.05, 2.0
FEW_ROWS = 100

REMEDIES = (
    Advice("stop at the best evaluation loss", Safety.CHANGES_TRAINING),
    Advice("use dropout, weight decay or augmentation", Safety.CHANGES_TRAINING),
    Advice("use more rows, or a smaller network", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where evaluation is far behind training at the end."""
    learned = reading.last_training_score
    if not reading.evaluation_scores or learned is None:
        yield NotJudged(Code.OVER_FITTING, "no evaluation loss beside the training loss was seen")
        return
    scored = reading.kept_evaluation_scores[-1]
    strength = max(gap_in_right(learned, scored), _lost(reading, learned, scored))
    if strength < 1:
        return
    when = "at the end" if reading.kept_step >= reading.steps else "in the epoch that was kept"
    yield Finding(
        code=Code.OVER_FITTING,
        severity=Severity.WARNING,
        message=f"{when} the loss is {reading.kept_loss:.3g} on training rows and "
        f"{reading.last_evaluation_loss:.3g} on {scored.rows:,} evaluation rows"
        + (
            f"; {learned.right:.1%} and {scored.right:.1%} are right"
            if math.isfinite(scored.right)
            else ""
        ),
        first_step=reading.best_evaluation_step,
        evidence={
            "training_loss": reading.kept_loss,
            "evaluation_loss": reading.last_evaluation_loss,
            "constant": reading.chance,
            "training_right": learned.right,
            "evaluation_right": scored.right,
            "training_rows": learned.rows,
            "evaluation_rows": scored.rows,
        },
        cause="the network remembers its training rows",
        strength=strength,
        remedies=REMEDIES,
    )


def gap_in_right(learned: Score, scored: Score) -> float:
    """Return the gap of the shares of right answers over what counts; 0 without classes."""
    gap, error = _gap(learned, scored)
    return gap / max(GAP, ERRORS * error) if math.isfinite(gap) else 0.0


def _lost(reading: Reading, learned: Score, scored: Score) -> float:
    """Return how far what does not carry over is beyond what counts; 0 where it is not."""
    late, after, chance = reading.kept_loss, reading.last_evaluation_loss, reading.chance
    if not (chance > 0 and late >= 0 and math.isfinite(after)):
        return 0.0
    here, there = 1 - late / chance, 1 - after / chance
    is_lost = here - there >= LEAST_LOST and here > 0 and there < CARRIED * here
    return (here - there) / LEAST_LOST if is_lost and _is_seen(learned, scored, there) else 0.0


def _is_seen(learned: Score, scored: Score, carried: float) -> bool:
    """Whether the shares of right answers, if there are any, agree with a gap of losses."""
    gap, error = _gap(learned, scored)
    if math.isnan(gap):
        return True
    errors = LIKELY if scored.rows >= FEW_ROWS or carried < 0 else ERRORS
    return gap >= max(LEAST_GAP, errors * error)


def _gap(learned: Score, scored: Score) -> tuple[float, float]:
    """Return the difference of the shares of right answers and its standard error; or nan."""
    pairs = ((learned.right, learned.rows), (scored.right, scored.rows))
    variance = sum(share * (1 - share) / max(1, rows) for share, rows in pairs)
    return learned.right - scored.right, math.sqrt(variance)


RULE = Rule(
    Code.OVER_FITTING,
    "over-fitting",
    __doc__ or "",
    check,
    explains=frozenset({Code.OVER_TRAINING}),
)
