"""The evaluation loss was lowest long before the end.

What it detects
    An evaluation loss that ended (median of the last three passes) at least a quarter above its
    least one, by at least a tenth of a constant answer's loss, over at least three passes that
    rise by trend (Mann-Kendall, 5 %), while the training loss went on falling. It must not have
    risen as much before, and come down again. A note where the
    share of right answers did not fall with it; a warning where it fell beyond two standard
    errors, the evaluation loss ended above that of a constant answer, or there are no classes.

Why it matters
    The later steps made the network worse on other rows.

What else it could be
    Weights of an earlier epoch may have been kept: what came after it is then not held against
    them. A network that becomes too sure, and stays as right: temperature scaling mends that.

Remedies, with safety
    Stop at the best evaluation loss, or keep its weights (changes training).

Options
    ``TIMES``, ``RISE``, ``FEWEST_PASSES``, ``ERRORS``, ``TREND``.

References:
    Prechelt, "Early stopping - but when?", 1998.
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.records import Score
from relume.runs.summary import falling_trend

TIMES = 1.25
RISE = 0.1
FEWEST_PASSES = 3
ERRORS = 2.0
TREND = 0.05

REMEDIES = (
    Advice("stop early, and keep the weights of the best pass", Safety.CHANGES_TRAINING),
    Advice("use weight decay or dropout", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where the evaluation loss rose again."""
    kept = reading.kept_step
    seen = [score for score in reading.evaluation_scores if math.isfinite(score.loss)]
    scores = [score for score in seen if score.step <= kept]
    if len(seen) <= FEWEST_PASSES:
        yield NotJudged(Code.OVER_TRAINING, "fewer than 4 evaluation passes were observed")
        return
    if not scores:
        return
    best = int(np.argmin([score.loss for score in scores]))
    least, last = scores[best], reading.last_evaluation_loss
    passes = len(scores) - 1 - best
    scale = reading.chance if reading.chance > 0 else 0.0
    if passes < FEWEST_PASSES or least.loss <= 0 or last < TIMES * least.loss:
        return
    if last - least.loss < RISE * scale or not _learns_on(reading, least.step):
        return
    since = np.array([score.loss for score in scores[best:]])
    if not falling_trend(-since[:, None])[0] < TREND:
        return
    if _largest_rise(scores[: best + 1]) >= last - least.loss:
        return
    is_worse = _got_worse(scores, scores[-1]) or last > scale > 0
    yield Finding(
        code=Code.OVER_TRAINING,
        severity=Severity.WARNING if is_worse else Severity.NOTE,
        message=f"the evaluation loss was lowest, {least.loss:.3g}, at step {least.step:,} and "
        f"ended at {last:.3g}",
        first_step=least.step,
        evidence={
            "least": least.loss,
            "last": last,
            "constant": reading.chance,
            "best_step": least.step,
            "passes_since": passes,
            "right_at_best": least.right,
            "right_at_last": scores[-1].right,
            "rows": scores[-1].rows,
        },
        cause="the network goes on to fit what only its training rows have",
        strength=last / least.loss / TIMES,
        remedies=REMEDIES,
    )


def _largest_rise(scores: list[Score]) -> float:
    """Return by how much the loss rose at most from one of these passes to a later one."""
    losses = np.array([score.loss for score in scores])
    return float((losses - np.minimum.accumulate(losses)).max())


def _learns_on(reading: Reading, step: int) -> bool:
    """Whether the training loss fell further after a step: else all of it went wrong."""
    before = reading.losses[reading.loss_steps <= step]
    tail = before[-max(1, len(reading.losses) // 10) :]
    return len(tail) > 0 and 0 <= reading.late_loss < float(tail.mean())


def _got_worse(scores: list[Score], last: Score) -> bool:
    if math.isnan(last.right):
        return True
    best = max(score.right for score in scores if math.isfinite(score.right))
    share = ((best + last.right) * last.rows + 1) / (2 * last.rows + 2)  # of both together
    error = math.sqrt(2 * share * (1 - share) / max(1, last.rows))
    return best - last.right > max(ERRORS * error, 0.01)


RULE = Rule(Code.OVER_TRAINING, "over-training", __doc__ or "", check)
