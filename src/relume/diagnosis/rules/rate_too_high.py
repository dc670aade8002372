"""The learning rate is too high.

What it detects
    At least two of: a loss that climbs to three times its first value within the first third, and
    stays there for some steps or reaches ten times that value; a median update of over a tenth of
    the weights themselves; units killed by updates many times the usual (at least a tenth of a
    layer), or half of a layer dead after such a climb; a loss that turned nan after finite ones; a
    loss that keeps jumping above its beginning. One of them, other than the nan, counts too where
    the loss ended no better than a constant answer's. So do, by themselves, first updates that
    typically change an eighth of the weights or more: the network that was initialised is written
    over within a few steps, and what takes its place is rarely as good.

Why it matters
    A few updates too large kill units for good: lowering the rate later does not wake them.

What else it could be
    Unscaled inputs or targets, or gradients that are kept: they make the same steps too large.

Remedies, with safety
    A tenth of the rate; warm it up; clip gradients (changes training).

Options
    ``SPIKE``, ``UPDATE``, ``KILLED``, ``MANY``, ``LEARNED``, ``LEARNED_WELL``,
    ``JUMPING``, ``ALONE``. ``AT_FIRST`` 0.12: the median over the weight matrices of their mean
    update, over their norm, in the first window; healthy trainings stay below 0.08. It must be
    ``OF_GREATEST`` 0.05 of the greatest norm that they ever have as well, since small weights
    change much to grow. A note from ``NEARLY_ALL`` of the loss of guessing on.

References:
    Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012,
    section 3.1; Lu et al., "Dying ReLU and initialization", 2020.
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import CURVE_SYMPTOMS, GRADIENT_SYMPTOMS, UNIT_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import is_negated
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
AT_FIRST, OF_GREATEST = 0.12, 0.05
EQUAL = 0.1
NEARLY_ALL = 0.99
LARGE = "updates are large beside the weights"
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
    if is_negated(reading):
        yield NotJudged(Code.RATE_TOO_HIGH, "the negative of a loss is minimised: it has no end")
        return
    signs = {name: value for name, value in _signs(reading).items() if value}
    is_lost = not reading.learned > LEARNED
    at_first = _first_updates(reading)
    is_one_enough = (is_lost and set(signs) != {NOT_A_NUMBER}) or at_first > 0
    if len(signs) < (1 if is_one_enough else 2) or reading.is_adversarial:
        return
    rate = reading.rate
    yield Finding(
        code=Code.RATE_TOO_HIGH,
        severity=_severity(reading, at_first),
        message=f"the learning rate {rate:g} is too high: {', '.join(signs)}",
        first_step=1,
        evidence={"rate": rate, "learned": reading.learned, **signs},
        cause="updates that are large beside the weights",
        strength=float(len(signs)),
        remedies=REMEDIES,
    )


def _severity(reading: Reading, at_first: float) -> Severity:
    enough = NEARLY_ALL if at_first > 0 else LEARNED_WELL
    is_lost = not reading.learned > LEARNED
    is_harmful = is_lost or reading.learned < enough or _dead_share(reading) >= MANY
    return Severity.WARNING if is_harmful else Severity.NOTE


def _signs(reading: Reading) -> dict[str, float]:
    """Return the signs that hold, by what they say; 0 where one does not."""
    curve = reading.run.curve
    first = next((loss for loss in curve.losses if math.isfinite(loss) and loss > 0), math.nan)
    highest = _climb(curve, first)
    late = curve.greatest[len(curve.greatest) // 3 :]
    with np.errstate(invalid="ignore"):
        jumps = int((late > TIMES * max(first, reading.early_loss)).sum())
    began_finite = not curve.nonfinite[:1].any()
    update = 0.0 if _is_decayed(reading) else reading.usual_update
    return {
        "the loss climbed at first": highest / first if highest > SPIKE * first else 0.0,
        LARGE: update if update > UPDATE else _first_updates(reading),
        "units died": _killed(reading) or _dead_beside_a_spike(reading, highest, first),
        NOT_A_NUMBER: float(curve.nonfinite.sum() if began_finite and curve.nonfinite.any() else 0),
        "the loss keeps jumping": float(jumps if jumps >= max(3, JUMPING * len(late)) else 0),
    }


def _is_decayed(reading: Reading) -> bool:
    """Whether the weights went, and the updates stayed."""
    return reading.norm_change < DECAYED


def _first_updates(reading: Reading) -> float:
    """Return the median update of the first window over the norm; 0 where it is not that large.

    Matrices that began with all weights equal have no scale of their own, and are left out. What
    was repaired since is not held against the training.
    """
    if reading.repaired_at:
        return 0.0
    seen = []
    for fact in reading.matrices:
        norms = reading.norms(fact.name)
        is_drawn = fact.initial.deviation > EQUAL * abs(fact.initial.mean)
        if len(norms) and norms[0] > 0 and is_drawn:
            seen.append((reading.update_ratios(fact.name)[:1].sum(), norms[0] / norms.max()))
    if not seen or reading.windows[0].first_step > 1 or _is_decayed(reading):
        return 0.0
    updates, sizes = np.array(seen).T
    is_large = np.median(updates) > AT_FIRST and np.median(updates * sizes) > OF_GREATEST
    return float(np.median(updates)) if is_large else 0.0


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
