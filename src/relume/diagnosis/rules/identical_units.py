"""Units with the same incoming weights, at first and still: they are one unit, many times.

What it detects
    A trained weight matrix of which units had the weights and bias of another unit at the first
    step and at the last look. Or one, not of the output layer, of which all weights began as one
    and the same number other than zero: dropout tells such units apart, by chance and slowly.

Why it matters
    Equal units get equal gradients and stay equal, whatever the training does: the layer computes
    what a single unit would. The usual cause is a constant, often zero, as initialisation.

What else it could be
    An output layer, or the last one of a residual branch, that starts at zero on purpose becomes
    unequal with the first steps, and is not meant. Frozen and unoptimised weights are left out.

Remedies, with safety
    Draw the initial weights at random: He's scheme for ReLU, Xavier's for tanh (changes training).

Options
    ``WARNING_SHARE`` 0.25 of the units; below, a pair may be tied on purpose (a note). All of
    them: an error, unless the training does well. ``ROUNDING`` 1e-6: numbers are the same if they
    scatter by less than this share of their mean.

References:
    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010; Goodfellow et al., "Deep Learning", 2016, section 8.4 (breaking symmetry).
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import does_well
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import WeightFacts

WARNING_SHARE = 0.25
ROUNDING = 1e-6

REMEDIES = (
    Advice(
        "draw the initial weights at random (He's scheme for ReLU, Xavier's for tanh)",
        Safety.CHANGES_TRAINING,
    ),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each matrix whose units were never told apart."""
    if not reading.weights:
        yield NotJudged(Code.IDENTICAL_UNITS, "no weights were observed")
    for fact in reading.weights.values():
        if not _is_meant(fact):
            continue
        at_first, at_last = fact.identical_units
        same = min(at_first, at_last)
        began_constant = at_first == fact.shape[0] >= 2 and _is_constant(reading, fact)
        if same >= 2 or began_constant:
            yield _found(reading, fact, same, began_constant=began_constant)


def _is_constant(reading: Reading, fact: WeightFacts) -> bool:
    """Whether all weights began as the same number, not zero, in a layer before the output."""
    heads = {f"{loss.head_layer}.weight" for loss in reading.training_losses}
    mean = abs(fact.initial.mean)
    return fact.name not in heads and mean > 0 and fact.initial.deviation <= ROUNDING * mean


def _is_meant(fact: WeightFacts) -> bool:
    return (
        fact.is_trainable
        and fact.is_optimised
        and fact.armed_steps > 1
        and len(fact.shape) >= 2
        and not fact.kind.startswith("Embedding")
    )


def _found(reading: Reading, fact: WeightFacts, same: int, *, began_constant: bool) -> Finding:
    share = same / fact.shape[0]
    is_parted = began_constant and share < WARNING_SHARE
    return Finding(
        code=Code.IDENTICAL_UNITS,
        severity=Severity.WARNING if is_parted else _severity(reading, share),
        message=f"all {fact.shape[0]} units of {fact.name} began with the same weights"
        if is_parted
        else f"{same} of {fact.shape[0]} units of {fact.name} have the weights of another one, "
        f"since the first step",
        where=fact.name,
        first_step=1,
        evidence={
            "identical_at_first": fact.identical_units[0],
            "identical_at_last": fact.identical_units[1],
            "units": fact.shape[0],
            "share": share,
        },
        cause="all weights are equal at first"
        if began_constant or fact.initial.deviation == 0
        else "",
        strength=max(1.0, share / WARNING_SHARE),
        remedies=REMEDIES,
    )


def _severity(reading: Reading, share: float) -> Severity:
    if share < WARNING_SHARE:
        return Severity.NOTE
    return Severity.WARNING if share < 1 or does_well(reading) else Severity.ERROR


RULE = Rule(
    Code.IDENTICAL_UNITS,
    "identical-units",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.NO_GRADIENT,
            Code.DEAD_AT_START,
            Code.DEAD_UNITS,
            Code.DEAD_LAYER,
            Code.DORMANT_UNITS,
            Code.ALWAYS_ON,
            Code.VANISHING_GRADIENT,
            Code.STARVED_LAYER,
            Code.UPDATE_RATIO,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.RATE_TOO_LOW,
            Code.STILL_IMPROVING,
            Code.CLASS_NEVER_PREDICTED,
        }
    ),
)
