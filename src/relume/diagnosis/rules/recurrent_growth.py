"""A recurrent layer whose state grows, or fades, by orders of magnitude along a sequence.

What it detects
    A plain recurrent layer (not LSTM or GRU) with ReLU whose last hidden state is at least two and
    a half times as many times the one after the first step as there are steps, or no finite
    number; and one, with tanh or ReLU, whose recurrent matrix shrinks a signal below a millionth
    over the longest sequence, in a training that does poorly.

Why it matters
    Gradients along time are multiplied by the same matrix: what grows forwards does so backwards,
    and what fades leaves early steps without gradient.

What else it could be
    Sequences whose own size grows; sums over time. A task that needs the last steps alone: fading
    is said only where nothing is learned.

Remedies, with safety
    Start the recurrent matrix as the identity or orthogonal (changes training); clip the gradient
    norm (changes training); use LSTM or GRU (changes model).

Options
    ``GROWTH`` 2.5 times the steps: a plain sum of equal inputs grows by their number. A warning
    where the training does poorly, the loss blew up, or the spectral radius is above ``RADIUS``
    1.2, which makes 100 of 1 in 25 steps, and less than ``LEARNED`` of a constant answer's loss is
    gone; a note otherwise. ``FEWEST_STEPS`` 4. ``FADED`` 1e-6 over at least ``FADING_STEPS`` 10.

References:
    Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013; Le et
    al., "A simple way to initialize recurrent networks of rectified linear units",
    arXiv:1504.00941.
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import blown_up_at, does_poorly, severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import RecurrentFacts
from relume.runs.wording import short, times

GROWTH = 2.5
RADIUS = 1.2
LEARNED = 0.9
FADED = 1e-6
FEWEST_STEPS = 4
FADING_STEPS = 10

REMEDIES = (
    Advice("start the recurrent matrix as the identity, or orthogonal", Safety.CHANGES_TRAINING),
    Advice("clip the gradient norm", Safety.CHANGES_TRAINING),
    Advice("use an LSTM or a GRU", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each recurrent layer whose state grows or fades."""
    for fact in reading.run.of(RecurrentFacts):
        if fact.kind not in {"RNN", "RNNCell"} or not fact.passes:
            continue
        if fact.time_steps < FEWEST_STEPS:
            reason = f"{fact.name}: sequences of {fact.time_steps} steps are too short"
            yield NotJudged(Code.RECURRENT_GROWTH, reason)
        elif _grows(fact):
            yield _grown(reading, fact)
        elif _fading(fact) < FADED and does_poorly(reading):
            yield _faded(fact)


def _grows(fact: RecurrentFacts) -> bool:
    is_lost = math.isinf(fact.growth) or (math.isnan(fact.growth) and fact.spectral_radius > RADIUS)
    return fact.nonlinearity == "relu" and (is_lost or fact.growth >= _most(fact))


def _most(fact: RecurrentFacts) -> float:
    return GROWTH * fact.time_steps


def _fading(fact: RecurrentFacts) -> float:
    """Return what is left of a signal over the longest sequence: radius^steps; nan: not known."""
    if fact.time_steps < FADING_STEPS or not fact.spectral_radius < 1:
        return math.nan
    return fact.spectral_radius**fact.time_steps


def _grown(reading: Reading, fact: RecurrentFacts) -> Finding:
    is_steep = fact.spectral_radius > RADIUS and not reading.learned >= LEARNED
    is_harmful = blown_up_at(reading) is not None or is_steep
    size = f"{times(fact.growth)} times" if math.isfinite(fact.growth) else "without bound"
    return Finding(
        code=Code.RECURRENT_GROWTH,
        severity=severity(reading, is_structural=is_harmful),
        message=f"the state of {fact.name} grows {size} over {fact.time_steps} steps",
        where=fact.name,
        first_step=1,
        evidence=_evidence(fact) | {"threshold": _most(fact)},
        cause=f"the recurrent matrix multiplies by up to {short(fact.spectral_radius)} a step"
        if fact.spectral_radius > 1
        else "",
        strength=max(1.0, fact.growth / _most(fact)) if math.isfinite(fact.growth) else 10.0,
        remedies=REMEDIES,
    )


def _faded(fact: RecurrentFacts) -> Finding:
    left = _fading(fact)
    return Finding(
        code=Code.RECURRENT_GROWTH,
        severity=Severity.WARNING,
        message=f"the state of {fact.name} fades: of a signal {short(left)} is left after "
        f"{fact.time_steps} steps",
        where=fact.name,
        first_step=1,
        evidence=_evidence(fact) | {"left": left, "threshold": FADED},
        cause=f"the recurrent matrix multiplies by at most {short(fact.spectral_radius)} a step",
        strength=min(100.0, FADED / max(left, 1e-30)),
        remedies=REMEDIES,
    )


def _evidence(fact: RecurrentFacts) -> dict[str, float | int]:
    return {
        "growth": fact.growth,
        "spectral_radius": fact.spectral_radius,
        "time_steps": fact.time_steps,
        "passes": fact.passes,
    }


RULE = Rule(
    Code.RECURRENT_GROWTH,
    "recurrent-growth",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.FIRST_LOSS,
            Code.EXPLODING_GRADIENT,
            Code.NONFINITE_GRADIENT,
            Code.VANISHING_GRADIENT,
            Code.STARVED_LAYER,
            Code.DEAD_UNITS,
            Code.DEAD_LAYER,
            Code.DIVERGING,
            Code.OSCILLATING,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.RATE_TOO_HIGH,
        }
    ),
)
