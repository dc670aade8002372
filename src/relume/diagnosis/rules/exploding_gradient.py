"""Gradients that grow by orders of magnitude, and take the loss with them.

What it detects
    Weights of which the gradient norm reached 100 times its mean over the other steps, or an
    update as large as the weight itself, in a training whose loss blew up: it rose to ten times
    where it began (and ten times that of guessing), or was not finite at some step.

Why it matters
    One such update undoes what was learned, kills ReLU units and can end in nan.

What else it could be
    A spike of which the training recovers is a note. Gradients that are large at the start and
    fall are normal, and so are large spikes in recurrent networks that do not hurt the loss.

Remedies, with safety
    Clip the gradient norm (changes training); lower or warm up the rate (changes training);
    smaller initial weights, or a norm layer (changes model); scale inputs and targets (changes
    training).

Options
    ``SPIKE`` 100: batches differ by factors of ten in healthy trainings. ``WHOLE_UPDATE`` 1: an
    update that is as large as the weight replaces it.

References:
    Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.flow import rest
from relume.diagnosis.progress import blown_up_at, does_well
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.wording import short, times

SPIKE = 100.0
WHOLE_UPDATE = 1.0

REMEDIES = (
    Advice("clip the gradient norm", Safety.CHANGES_TRAINING),
    Advice("lower the learning rate, or warm it up", Safety.CHANGES_TRAINING),
    Advice("scale inputs and targets to unit variance", Safety.CHANGES_TRAINING),
    Advice("start with smaller weights, or put norm layers between", Safety.CHANGES_MODEL),
)


@dataclass(frozen=True, slots=True)
class Spike:
    """The largest gradient of a weight beside the others, and its largest update."""

    name: str
    greatest: float
    times: float
    update: float

    @property
    def strength(self) -> float:
        """How far beyond the thresholds, the further one."""
        return max(self.times / SPIKE, self.update / WHOLE_UPDATE)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding if a gradient exploded and the loss blew up."""
    if not reading.run.weights:
        yield NotJudged(Code.EXPLODING_GRADIENT, "the gradients of weights were not recorded")
        return
    spikes = sorted(
        (_spike(reading, fact.name) for fact in reading.matrices),
        key=lambda spike: -spike.strength,
    )
    step = blown_up_at(reading)
    if spikes and spikes[0].strength >= 1 and step is not None:
        yield _found(reading, spikes[0], step)


def _spike(reading: Reading, name: str) -> Spike:
    norm, update = (reading.total(name, what) for what in ("gradient_norm", "update_ratio"))
    usual = rest(norm)
    ratio = norm.greatest / usual if usual > 0 else math.nan
    seen = [norm.greatest, 0.0 if math.isnan(ratio) else ratio, update.greatest]
    return Spike(name, *(each if each > 0 and math.isfinite(each) else 0.0 for each in seen))


def _found(reading: Reading, spike: Spike, step: int) -> Finding:
    has_recovered = does_well(reading)
    return Finding(
        code=Code.EXPLODING_GRADIENT,
        severity=Severity.NOTE if has_recovered else Severity.WARNING,
        message=f"gradients exploded: {_said(spike)}",
        where=spike.name,
        first_step=step,
        evidence={
            "greatest_gradient_norm": spike.greatest,
            "times_usual": spike.times,
            "greatest_update_ratio": spike.update,
            "recovered": has_recovered,
            "threshold": SPIKE,
        },
        strength=spike.strength,
        remedies=REMEDIES,
    )


def _said(spike: Spike) -> str:
    parts = []
    if spike.times >= SPIKE:
        times_usual = f"{times(spike.times)} times its usual norm"
        parts.append(f"that of {spike.name} reached {short(spike.greatest)}, {times_usual}")
    if spike.update >= WHOLE_UPDATE:
        parts.append(f"an update was {times(spike.update)} times as large as {spike.name}")
    return ", and ".join(parts)


RULE = Rule(
    Code.EXPLODING_GRADIENT,
    "exploding-gradient",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.NONFINITE_GRADIENT,
            Code.DIVERGING,
            Code.DEAD_UNITS,
            Code.DEAD_LAYER,
            Code.SATURATED_UNITS,
            Code.UPDATE_RATIO,
            Code.OSCILLATING,
            Code.NOT_DECREASING,
            Code.PLATEAU,
        }
    ),
)
