"""The last activation cannot reach the targets.

What it detects
    A loss of amounts whose prediction comes out of an activation with a bounded range (ReLU from
    0, sigmoid in [0, 1], tanh in [-1, 1] ...) while targets lie outside of it, by more than a
    twentieth of their standard deviation.

Why it matters
    No weights reach those targets; where the activation is flat there is no gradient either, and a
    ReLU there can die on every row.

What else it could be
    Targets that were meant to be scaled into the range.

Remedies, with safety
    Take the last activation out (changes model), or scale the targets into its range (changes
    training).

Options
    ``TOLERANCE``: in standard deviations of the targets.

References:
    Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.2 (output units and losses).
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import is_of_amounts, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

TOLERANCE = 0.05
RANGES = {
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, math.inf),
    "abs": (0.0, math.inf),
    "exp": (0.0, math.inf),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "log_softmax": (-math.inf, 0.0),
    "logsigmoid": (-math.inf, 0.0),
}

REMEDIES = (
    Advice("take the activation after the last layer out", Safety.CHANGES_MODEL),
    Advice("or scale the targets into its range", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss of amounts with targets out of reach."""
    known = [fact for fact in reading.training_losses if fact.head is not None]
    if not known:
        yield NotJudged(Code.BOUNDED_REGRESSION, "no head was observed")
    for loss in known:
        last = next(iter(loss.head or ()), "")
        if last not in RANGES or not is_of_amounts(loss) or loss.target_kind != "amounts":
            continue
        low, high = RANGES[last]
        slack = TOLERANCE * loss.target.deviation
        below, above = low - loss.target.least, loss.target.greatest - high
        if not max(below, above) > slack:
            continue
        yield Finding(
            code=Code.BOUNDED_REGRESSION,
            severity=Severity.ERROR,
            message=f"the predictions of {place_of(loss)} come out of a {last} and stay within "
            f"{low:g} and {high:g}; targets lie between {loss.target.least:.3g} and "
            f"{loss.target.greatest:.3g}",
            where=place_of(loss),
            first_step=loss.step,
            evidence={
                "head": loss.head,
                "least_target": loss.target.least,
                "greatest_target": loss.target.greatest,
                "rows": loss.rows,
            },
            cause=f"the network ends in a {last}",
            strength=1.0 + max(below, above) / max(loss.target.deviation, 1e-12),
            remedies=REMEDIES,
        )


RULE = Rule(
    Code.BOUNDED_REGRESSION,
    "bounded-regression",
    __doc__ or "",
    check,
    explains=SYMPTOMS
    | {Code.RELU_ON_OUTPUT, Code.UNSCALED_TARGET, Code.NO_GRADIENT, Code.FIRST_LOSS},
)
