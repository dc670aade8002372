"""The evaluation loss was lowest long before the end.

What it detects
    An evaluation loss that ended at least a quarter above its least one, over at least three
    passes after it that rise by trend (Mann-Kendall, 5 %). A note where the share of right answers
    did not fall with it; a warning where it fell beyond two standard errors, or there are no
    classes.

Why it matters
    The later steps made the network worse on other rows.

What else it could be
    Weights of an earlier epoch may have been kept: what came after it is then not held against
    them. A network that becomes too sure, and stays as right: temperature scaling mends that.

Remedies, with safety
    Stop at the best evaluation loss, or keep its weights (changes training).

Options
    ``TIMES``, ``FEWEST_PASSES``, ``ERRORS``, ``TREND``.

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
    least, last = scores[best], scores[-1]
    passes = len(scores) - 1 - best
    if passes < FEWEST_PASSES or least.loss <= 0 or last.loss < TIMES * least.loss:
        return
    since = np.array([score.loss for score in scores[best:]])
    if not falling_trend(-since[:, None])[0] < TREND:
        return
    yield Finding(
        code=Code.OVER_TRAINING,
        severity=Severity.WARNING if _got_worse(scores, last) else Severity.NOTE,
        message=f"the evaluation loss was lowest, {least.loss:.3g}, at step {least.step:,} and "
        f"ended at {last.loss:.3g}",
        first_step=least.step,
        evidence={
            "least": least.loss,
            "last": last.loss,
            "best_step": least.step,
            "passes_since": passes,
            "right_at_best": least.right,
            "right_at_last": last.right,
            "rows": last.rows,
        },
        cause="the network goes on to fit what only its training rows have",
        strength=last.loss / least.loss / TIMES,
        remedies=REMEDIES,
    )


def _got_worse(scores: list[Score], last: Score) -> bool:
    if math.isnan(last.right):
        return True
    best = max(score.right for score in scores if math.isfinite(score.right))
    share = (best * last.rows + 1) / (last.rows + 2)  # none of n rows is no certainty
    error = math.sqrt(2 * share * (1 - share) / max(1, last.rows))
    return best - last.right > max(ERRORS * error, 0.01)


RULE = Rule(Code.OVER_TRAINING, "over-training", __doc__ or "", check)
