"""A gradient, a weight or the loss is nan or infinite: from there on nothing is learned.

What it detects
    The first armed step on which a gradient was not finite, and the weights concerned; weights
    that hold nan or infinities at the last look; losses that were not finite.

Why it matters
    One such number spreads to every weight it meets in a single update, and never goes away.

What else it could be
    A gradient scaler of mixed precision skips such steps on purpose while it looks for its scale:
    if weights and losses stayed finite, it is a note.

Remedies, with safety
    Lower the rate (changes training); clip the gradient norm (changes training); guard logs,
    roots and divisions by a small constant (changes training); look for nan in the inputs
    (advice); ``torch.autograd.set_detect_anomaly(True)`` names the operation (safe).

Options
    None: finite or not.

References:
    Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2 (skipped steps).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.wording import count

REMEDIES = (
    Advice("lower the learning rate, or warm it up", Safety.CHANGES_TRAINING),
    Advice("clip the gradient norm", Safety.CHANGES_TRAINING),
    Advice("guard logs, roots and divisions by a small constant", Safety.CHANGES_TRAINING),
    Advice("find the operation with torch.autograd.set_detect_anomaly(True)", Safety.SAFE),
)


@dataclass(frozen=True, slots=True)
class _Evidence:
    step: int | None
    names: tuple[str, ...]
    broken: tuple[str, ...]
    losses: int
    ends_finite: bool


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding if anything stopped being finite."""
    if not reading.weights and not len(reading.run.curve.losses):
        yield NotJudged(Code.NONFINITE_GRADIENT, "neither weights nor losses were recorded")
        return
    seen = _evidence(reading)
    if seen.step is None and not seen.broken and not seen.losses:
        return
    is_harmless = seen.ends_finite and not seen.broken
    yield Finding(
        code=Code.NONFINITE_GRADIENT,
        severity=Severity.NOTE if is_harmless else Severity.ERROR,
        message=_message(seen),
        where=seen.names[0] if seen.names else "the loss",
        first_step=seen.step,
        evidence={
            "first_weights": seen.names,
            "broken_weights": len(seen.broken),
            "nonfinite_losses": seen.losses,
            "ends_finite": seen.ends_finite,
        },
        cause="steps that a gradient scaler skips are no fault" if is_harmless else "",
        strength=float(max(1, len(seen.broken))),
        remedies=REMEDIES,
    )


def _evidence(reading: Reading) -> _Evidence:
    curve = reading.run.curve
    facts = reading.weights.values()
    in_gradients = [f.first_nonfinite_step for f in facts if f.first_nonfinite_step is not None]
    in_losses = [int(step) for step in curve.steps[curve.nonfinite > 0] - curve.bucket_steps + 1]
    step = min([*in_gradients, *in_losses], default=None)
    first = min(in_gradients, default=None)
    return _Evidence(
        step=step,
        names=tuple(f.name for f in facts if first is not None and f.first_nonfinite_step == first),
        broken=tuple(f.name for f in facts if f.final.nonfinite),
        losses=int(curve.nonfinite.sum()),
        ends_finite=not np.any(curve.nonfinite[-1:]),
    )


def _message(seen: _Evidence) -> str:
    parts = []
    if seen.names:
        more = f" and of {count(len(seen.names) - 1, 'other weight')}" if seen.names[1:] else ""
        parts.append(f"the gradient of {seen.names[0]}{more} was not finite")
    if seen.losses:
        were = "1 loss was" if seen.losses == 1 else f"{seen.losses:,} losses were"
        parts.append(f"{were} not finite")
    if seen.broken:
        parts.append(f"{count(len(seen.broken), 'weight')} ended with nan or infinities")
    since = "" if seen.step is None else f", since step {seen.step:,}"
    return "; ".join(parts) + since


RULE = Rule(
    Code.NONFINITE_GRADIENT,
    "nonfinite-gradient",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.DEAD_UNITS,
            Code.DEAD_LAYER,
            Code.SATURATED_UNITS,
            Code.DIVERGING,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.CLASS_NEVER_PREDICTED,
            Code.UPDATE_RATIO,
            Code.OVER_FITTING,
        }
    ),
)
