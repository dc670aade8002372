"""The learning rate is too high.

What it detects
    At least two of: a loss that climbs to three times its first value within the first third, and
    stays there for some steps or reaches ten times that value; a median update of over a tenth of
    the weights themselves; units killed by updates many times the usual (at least a tenth of a
    layer), or half of a layer dead after such a climb; a loss that turned nan after finite ones; a
    loss that keeps jumping above its beginning. One of them, other than the nan, counts too where
    the loss ended no better than a constant answer's.

Why it matters
    A few updates too large kill units for good: lowering the rate later does not wake them.

What else it could be
    Unscaled inputs or targets, or gradients that are kept: they make the same steps too large.

Remedies, with safety
    A tenth of the rate; warm it up; clip gradients (changes training).

Options
    ``SPIKE``, ``UPDATE``, ``KILLED``, ``MANY``, ``LEARNED``, ``LEARNED_WELL``,
    ``JUMPING``, ``ALONE``.

References:
    Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012,
    section 3.1; Lu et al., "Dying ReLU and initialization", 2020.
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import CURVE_SYMPTOMS, GRADIENT_SYMPTOMS, UNIT_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.loss_curve import Curve
from relume.runs.records import Cause

SPIKE = 3.0
UPDATE = 0.1
KILLED = 0.1
LEARNED, LEARNED_WELL = 0.1, 0.5
MANY = 0.5
DECAYED = 0.1
TIMES = 2.5
JUMPING = 0.03
ALONE = 10.0
NOT_A_NUMBER = "the loss stopped being a number"

REMEDIES = (
    Advice("try a tenth of the learning rate", Safety.CHANGES_TRAINING),
    Advice("warm the rate up over the first few hundred steps", Safety.CHANGES_TRAINING),
    Advice("clip the gradient by its norm", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where several signs of too large updates agree."""
    if not len(reading.run.curve.losses):
        yield NotJudged(Code.RATE_TOO_HIGH, "the loss of each step is not on record")
        return
    signs = {name: value for name, value in _signs(reading).items() if value}
    is_lost = not reading.learned > LEARNED
    fewest = 1 if is_lost and set(signs) != {NOT_A_NUMBER} else 2
    if len(signs) < fewest or reading.is_adversarial:
        return
    rate = reading.rate
    yield Finding(
        code=Code.RATE_TOO_HIGH,
        severity=Severity.WARNING if is_lost or _is_harmful(reading) else Severity.NOTE,
        message=f"the learning rate {rate:g} is too high: {', '.join(signs)}",
        first_step=1,
        evidence={"rate": rate, "learned": reading.learned, **signs},
        cause="updates that are large beside the weights",
        strength=float(len(signs)),
        remedies=REMEDIES,
    )


def _is_harmful(reading: Reading) -> bool:
    return reading.learned < LEARNED_WELL or _dead_share(reading) >= MANY


def _signs(reading: Reading) -> dict[str, float]:
    """Return the signs that hold, by what they say; 0 where one does not."""
    curve = reading.run.curve
    first = next((loss for loss in curve.losses if math.isfinite(loss) and loss > 0), math.nan)
    highest = _climb(curve, first)
    late = curve.greatest[len(curve.greatest) // 3 :]
    with np.errstate(invalid="ignore"):
        jumps = int((late > TIMES * max(first, reading.early_loss)).sum())
    began_finite = not curve.nonfinite[:1].any()
    is_decayed = reading.norm_change < DECAYED  # the weights went, the updates stayed
    update = 0.0 if is_decayed else reading.usual_update
    return {
        "the loss climbed at first": highest / first if highest > SPIKE * first else 0.0,
        "updates are large beside the weights": update if update > UPDATE else 0.0,
        "units died": _killed(reading) or _dead_beside_a_spike(reading, highest, first),
        NOT_A_NUMBER: float(curve.nonfinite.sum() if began_finite and curve.nonfinite.any() else 0),
        "the loss keeps jumping": float(jumps if jumps >= max(3, JUMPING * len(late)) else 0),
    }


def _climb(curve: Curve, first: float) -> float:
    """Return the highest loss of the first third; of what lasts for a step only, a part.

    The first batch may be an easy one, and single batches differ, those of amounts with a long tail
    by a multiple: one step alone has to stand out by ``ALONE`` times its first value.
    """
    third = slice(max(3, len(curve.greatest) // 3))
    known = curve.losses[third][np.isfinite(curve.losses[third])]
    alone = float(np.nanmax(curve.greatest[third], initial=-math.inf))
    if len(known) < 3 or alone > ALONE * first:
        return alone
    return float(np.median(np.lib.stride_tricks.sliding_window_view(known, 3), axis=1).max())


def _dead_beside_a_spike(reading: Reading, highest: float, first: float) -> float:
    """Return the largest share of a layer that is dead, if it is half and the loss had climbed."""
    share = _dead_share(reading)
    return share if share >= MANY and highest > SPIKE * first else 0.0


def _dead_share(reading: Reading) -> float:
    shares = (len(layer.dead_units or ()) / layer.units for layer in reading.layers)
    return max(shares, default=0.0)


def _killed(reading: Reading) -> float:
    """Return the largest share of a layer that died of updates; 0 below ``KILLED``."""
    causes = (Cause.LARGE_UPDATE, Cause.GRADIENT_SPIKE, Cause.RATE_STEP)
    shares = []
    for layer, deaths in zip(reading.layers, reading.run.deaths, strict=False):
        dead = list(layer.dead_units or ())
        shares.append(np.isin(deaths.cause[dead], causes).sum() / layer.units if dead else 0.0)
    share = float(max(shares, default=0.0))
    return share if share >= KILLED else 0.0


RULE = Rule(
    Code.RATE_TOO_HIGH,
    "rate-too-high",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS | UNIT_SYMPTOMS | GRADIENT_SYMPTOMS,
)
