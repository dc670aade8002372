"""Which units died together, when, and by what evidence: the death certificates of a run, told."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from relume.runs.records import NEVER, Cause
from relume.runs.run_file import Run
from relume.runs.summary import LayerSummary
from relume.runs.wording import at_place, count, short, times

MOST_TOLD = 200


@dataclass(frozen=True, slots=True)
class DeathGroup:
    """Units of one layer that died at about one time, for one cause.

    Args:
        layer: The layer's name.
        place: ``file:line``, or ``None``.
        units: Their numbers.
        last_fired: The least armed step at which one of them was last seen to fire; ``None`` if
            none of them ever was.
        first_silent: The greatest armed step at which one of them was first silent.
        cause: Name of a ``Cause``, in lower case.
        row_change: Median change of their weights, in norms of the weights; ``None``: not known.
        usual: What the cause is measured by (gradient norm, learning rate) before their death.
        seen: The same in it; ``None`` where not known or where nothing of the kind is measured.
        said: All of this in a sentence; empty of the many small groups after the first 200 that
            are not the largest of their layer.
    """

    layer: str
    place: str | None
    units: tuple[int, ...]
    last_fired: int | None
    first_silent: int
    cause: str
    row_change: float | None
    usual: float | None = None
    seen: float | None = None
    said: str = ""


def death_groups(run: Run, layers: Sequence[LayerSummary]) -> tuple[DeathGroup, ...]:
    """Return the dead units that have a certificate, the largest group first.

    Units of a layer belong together if they died of one cause and the times within which they
    did overlap.

    Args:
        run: The run.
        layers: How the units of its layers stand, in their order.
    """
    found = [
        (index, group)
        for index, layer in enumerate(layers[: len(run.deaths)])
        for group in _groups_of_layer(run, index, layer)
    ]
    found.sort(key=lambda each: -len(each[1].units))
    largest = {index: place for place, (index, _) in reversed(list(enumerate(found)))}
    return tuple(
        _told(run, index, group) if place < MOST_TOLD or largest[index] == place else group
        for place, (index, group) in enumerate(found)
    )


def _groups_of_layer(run: Run, index: int, layer: LayerSummary) -> Iterator[DeathGroup]:
    deaths = run.deaths[index]
    dead = np.array(layer.dead_units or (), np.int64)
    dead = dead[deaths.first_silent[dead] != NEVER]
    codes = deaths.cause[dead]
    codes = np.where(codes == Cause.ALIVE, Cause.UNKNOWN, codes)
    lasts, firsts = deaths.last_fired.tolist(), deaths.first_silent.tolist()
    changes = deaths.row_change.tolist()
    for code in np.unique(codes):
        of_cause = dead[codes == code]
        order = np.lexsort((deaths.first_silent[of_cause], deaths.last_fired[of_cause]))
        for units in _overlapping(of_cause[order].tolist(), lasts, firsts):
            first = lasts[units[0]]
            known = [changes[unit] for unit in units if math.isfinite(changes[unit])]
            yield DeathGroup(
                layer=layer.name,
                place=layer.place,
                units=tuple(sorted(units)),
                last_fired=None if first == NEVER else first,
                first_silent=max(firsts[unit] for unit in units),
                cause=Cause(int(code)).name.lower(),
                row_change=median(known) if known else None,
            )


def _overlapping(
    units: Sequence[int], last_fired: Sequence[int], first_silent: Sequence[int]
) -> Iterator[list[int]]:
    """Part units, in the order of their last firing, where one's time begins after the others'."""
    together: list[int] = []
    until = NEVER
    for unit in units:
        if together and last_fired[unit] >= until:
            yield together
            together = []
        together.append(unit)
        until = max(until, first_silent[unit])
    if together:
        yield together


def _told(run: Run, index: int, group: DeathGroup) -> DeathGroup:
    usual, seen = _measured(run, index, group)
    group = replace(group, usual=usual, seen=seen)
    return replace(group, said=_sentence(group))


def _measured(run: Run, index: int, group: DeathGroup) -> tuple[float | None, float | None]:
    """Return what the cause is measured by, if it is a course: before the death, and in it."""
    first, last = group.last_fired or 0, group.first_silent
    before = [each for each in run.windows if each.last_step <= first]
    within = [each for each in run.windows if each.last_step > first and each.first_step <= last]
    if group.cause == "rate_step":
        rates = [each.learning_rate for each in (*before[-1:], *within[-1:])]
        return (rates[0], rates[1]) if len(rates) == 2 else (None, None)
    if group.cause == "gradient_spike":
        usual = [each.layers[index].gradient_norm.mean for each in before]
        seen = [each.layers[index].gradient_norm.greatest for each in within]
        return _of_finite(median, usual), _of_finite(max, seen)
    return None, None


def _of_finite(
    summary: Callable[[Sequence[float]], float], values: Sequence[float]
) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return float(summary(known)) if known else None


def _sentence(group: DeathGroup) -> str:
    who = f"{count(len(group.units), 'unit')} of {at_place(group.layer, group.place)}"
    if group.cause == "from_start":
        verb = "has" if len(group.units) == 1 else "have"
        return (
            f"{who} {verb} been silent since the first step that was seen "
            f"(step {group.first_silent:,})."
        )
    when = f"before step {group.first_silent:,}"
    if group.last_fired is not None:
        when = f"between steps {group.last_fired:,} and {group.first_silent:,}"
    return f"{who} died {when}{_because(group)}."


def _because(group: DeathGroup) -> str:
    their = "its" if len(group.units) == 1 else "their"
    change = None if group.row_change is None else f"{times(group.row_change)} times their norm"
    because = _CAUSES.get(group.cause)
    if because is not None:
        return because(group, their, change)
    evidence = "" if change is None else f" ({their} weights changed by {change})"
    return f"; the cause is not known{evidence}"


def _large_update(_: DeathGroup, their: str, change: str | None) -> str:
    return f", in an update that changed {their} weights {f'by {change}' if change else 'much'}"


def _gradient_spike(group: DeathGroup, _: str, __: str | None) -> str:
    if group.seen is None or group.seen <= (group.usual or 0.0):
        return ", in a spike of the gradient"
    usually = "" if group.usual is None else f", usually {short(group.usual)}"
    return f", in a spike of the gradient: its norm reached {short(group.seen)}{usually}"


def _rate_step(group: DeathGroup, _: str, __: str | None) -> str:
    if group.usual is None or group.seen is None or group.usual == group.seen:
        return ", when the learning rate stepped"
    return f", when the learning rate stepped from {short(group.usual)} to {short(group.seen)}"


def _input_drift(_: DeathGroup, their: str, change: str | None) -> str:
    little = "" if change is None else f" (by {change})"
    return f", as {their} inputs drifted while {their} weights hardly changed{little}"


def _upstream_death(_: DeathGroup, their: str, __: str | None) -> str:
    return f", after units that feed {'it' if their == 'its' else 'them'} had died"


_CAUSES = {
    "large_update": _large_update,
    "gradient_spike": _gradient_spike,
    "rate_step": _rate_step,
    "input_drift": _input_drift,
    "upstream_death": _upstream_death,
}
