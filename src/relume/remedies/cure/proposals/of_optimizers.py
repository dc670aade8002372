"""Proposals for the optimizer: rates, momentum, decay, gradients, schedules, what it holds."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from relume.diagnosis.codes import Code
from relume.remedies.cure.case import Case
from relume.remedies.cure.treatment import Kind, Treatment

WARM_UP_SHARE = 0.1
STRONG_DECAY, STRONG_DECOUPLED = 0.01, 0.1
"""From where on weight decay is looked at; AdamW multiplies its own by the rate."""
HIGH_MOMENTUM, USUAL_MOMENTUM = 0.95, 0.9
USUAL_UPDATE = 3e-3
"""Update beside weight in a training that moves along."""
USUAL_RATES: Mapping[str, float] = {
    "Adam": 1e-3, "AdamW": 1e-3, "NAdam": 1e-3, "RAdam": 1e-3, "Adamax": 1e-3, "RMSprop": 1e-3,
    "Adagrad": 1e-2, "SGD": 1e-2,
}  # fmt: skip
"""By optimizer: what most people begin with; where steps are scaled, it is how far weights move."""
FAR_FROM_USUAL = 10.0
"""Times a rate is above or below the usual one, for that to be tried."""
MOST_POWERS = 5
FAR_APART = 20.0
"""Times one rate is of another, for the two to be looked at."""


def add_parameters(case: Case) -> Iterator[Treatment]:
    """Propose that the optimizer holds what a loss depends on."""
    if case.left_out:
        count = len(case.left_out)
        yield Treatment(
            kind=Kind.ADD_PARAMETERS,
            label=f"the optimizer holds {count} more parameter{'s' * (count > 1)}",
            answers=(Code.NOT_OPTIMISED,),
        )


def lower_rates(case: Case) -> Iterator[Treatment]:
    """Propose lower rates: the usual one first, where the optimizer's is far above it."""
    usual = [factor for factor in _to_usual(case) if factor <= 1 / FAR_FROM_USUAL]
    yield from _rates(case, (*usual, 0.1, 0.01, 0.003))


def higher_rates(case: Case) -> Iterator[Treatment]:
    """Propose higher rates: by how far updates, or the rate itself, are from usual ones."""
    said = [
        each.evidence.get("update_ratio") for each in case.faults if each.code == Code.RATE_TOO_LOW
    ]
    measured = [each for each in said if isinstance(each, float) and each > 0]
    lowest = min(measured, default=math.nan)
    steps = math.log10(USUAL_UPDATE / lowest) if lowest < USUAL_UPDATE else 1.0
    first = 10.0 ** min(MOST_POWERS, max(1, round(steps)))
    usual = [factor for factor in _to_usual(case) if factor >= FAR_FROM_USUAL]
    yield from _rates(case, (first, *usual, 10 * first, 3.0))


def _to_usual(case: Case) -> Iterator[float]:
    """Yield by what the first optimizer's rate has to be multiplied to be a usual one."""
    for each in _optimizers(case)[:1]:
        if each.get("rate") and each.get("kind") in USUAL_RATES:
            yield float(f"{USUAL_RATES[each['kind']] / each['rate']:.1g}")


def _rates(case: Case, factors: Iterable[float]) -> Iterator[Treatment]:
    if not any(each.get("rate") for each in _optimizers(case)):
        return
    for factor in dict.fromkeys(factors):
        yield Treatment(
            kind=Kind.RATE, label=f"learning rate x {factor:g}", numbers={"factor": factor}
        )


def one_rate(case: Case) -> Iterator[Treatment]:
    """Propose one rate for groups whose rates lie far apart."""
    rates = sorted({rate for each in _optimizers(case) for rate in each.get("rates", ())})
    if len(rates) < 2 or rates[-1] < FAR_APART * rates[0]:
        return
    is_fast = bool(case.codes & {Code.RATE_TOO_HIGH, Code.DIVERGING, Code.OSCILLATING})
    for rate in (rates[0], rates[-1]) if is_fast else (rates[-1], rates[0]):
        yield Treatment(
            kind=Kind.ONE_RATE, label=f"all groups at rate {rate:g}", numbers={"rate": rate}
        )


def hold_rate(case: Case) -> Iterator[Treatment]:
    """Propose the first or the scheduled rate, where the program writes others into the groups."""
    if any(each.get("is_rate_written") for each in _optimizers(case)):
        which = "scheduled" if case.survey.get("schedules") else "first"
        yield Treatment(kind=Kind.HOLD_RATE, label=f"the {which} learning rate throughout")


def momentum(case: Case) -> Iterator[Treatment]:
    """Propose the usual momentum, where it is higher."""
    if any((each.get("momentum") or 0.0) > HIGH_MOMENTUM for each in _optimizers(case)):
        yield Treatment(
            kind=Kind.MOMENTUM,
            label=f"momentum {USUAL_MOMENTUM:g}",
            numbers={"momentum": USUAL_MOMENTUM},
        )


def lower_decay(case: Case) -> Iterator[Treatment]:
    """Propose less weight decay, where there is much."""
    if not any(map(_decays_strongly, _optimizers(case))):
        return
    yield _decay("no weight decay", factor=0.0)
    yield _decay("weight decay x 0.1", factor=0.1)


def spared_slopes(case: Case) -> Iterator[Treatment]:
    """Propose no weight decay of slopes, then none at all."""
    if any(each.get("decay") for each in _optimizers(case)):
        yield _decay("no weight decay of slopes, biases and norms", spares=True)
        yield _decay("no weight decay", factor=0.0)


def _decays_strongly(optimizer: Mapping[str, Any]) -> bool:
    least = STRONG_DECOUPLED if optimizer.get("is_decoupled") else STRONG_DECAY
    return (optimizer.get("decay") or 0.0) >= least


def _decay(label: str, *, factor: float = 1.0, spares: bool = False) -> Treatment:
    return Treatment(
        kind=Kind.WEIGHT_DECAY, label=label, numbers={"factor": factor, "spares": spares}
    )


def clip(case: Case) -> Iterator[Treatment]:
    """Propose to clip gradients."""
    for norm in (1.0, 0.1):
        yield Treatment(
            kind=Kind.CLIP, label=f"gradients clipped to norm {norm:g}", numbers={"norm": norm}
        )


def finite_gradients(case: Case) -> Iterator[Treatment]:
    """Propose zeros for gradients that are no numbers."""
    yield Treatment(kind=Kind.FINITE_GRADIENTS, label="zeros for gradients that are not finite")


def zero_gradients(case: Case) -> Iterator[Treatment]:
    """Propose to zero gradients before each backward pass."""
    yield Treatment(kind=Kind.ZERO_GRADIENTS, label="gradients zeroed before each backward pass")


def warm_up(case: Case) -> Iterator[Treatment]:
    """Propose rates that grow over the first tenth."""
    steps = max(2, round(WARM_UP_SHARE * case.survey.get("steps", 0)))
    yield Treatment(
        kind=Kind.WARM_UP, label=f"warm-up over {steps} steps", numbers={"steps": steps}
    )


def schedule(case: Case) -> Iterator[Treatment]:
    """Propose that schedules step once an epoch, or never."""
    schedules = case.survey.get("schedules", {})
    epochs, steps = case.survey.get("epochs", 0), case.survey.get("steps", 0)
    often = [each for each in schedules.values() if epochs and each["steps"] > 2 * epochs]
    if often and case.survey.get("loader") and steps > 2 * epochs:
        yield Treatment(
            kind=Kind.SCHEDULE,
            label="the schedule steps once an epoch",
            numbers={"when": "epoch", "places": [each["place"] for each in often]},
        )
    if schedules:
        places = [each["place"] for each in schedules.values()]
        yield Treatment(
            kind=Kind.SCHEDULE, label="no schedule", numbers={"when": "never", "places": places}
        )


def _optimizers(case: Case) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = case.survey.get("optimizers", ())
    return found
