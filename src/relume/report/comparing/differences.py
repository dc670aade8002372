"""What differs between two runs before the first step: settings, data, environment, facts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relume.runs.facts import InputFacts, LossFacts, ModuleFacts, OptimizerFacts, WeightFacts
from relume.runs.query import Run

ABSENT = None
"""What stands for a value that only the other run has."""

MOST_DIFFERENCES = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same: its name, and its value in each run; None: not there."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs of one kind of thing, and how many are equal."""

    what: str
    differing: tuple[Difference, ...]
    equal: int


def differences(a: Run, b: Run) -> tuple[Differences, ...]:
    """Return what differs in settings, data, environment, and what was seen of the training.

    Example:
        >>> between("settings", {"lr": 0.1, "seed": 0}, {"lr": 0.2, "seed": 0}).differing
        (Difference(name='lr', a=0.1, b=0.2),)
    """
    said = ((what, getattr(a.info, what), getattr(b.info, what)) for what in _SAID)
    return (
        *(between(what, flat(one), flat(other)) for what, one, other in said),
        between("training", observed(a), observed(b)),
    )


_SAID = ("settings", "data", "environment")


def between(what: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Differences:
    """Return what differs between two sets of named values; numbers that are nan are equal."""
    names = list(dict.fromkeys((*a, *b)))
    differing = [name for name in names if not _is_same(a.get(name), b.get(name))]
    shown = differing[:MOST_DIFFERENCES]
    return Differences(
        what,
        tuple(Difference(name, a.get(name, ABSENT), b.get(name, ABSENT)) for name in shown),
        len(names) - len(differing),
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested names and values with dots between the names.

    Example:
        >>> flat({"rows": {"train": 10, "test": 2}, "name": "digits"})
        {'rows.train': 10, 'rows.test': 2, 'name': 'digits'}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def observed(run: Run) -> dict[str, Any]:
    """Return what was seen of optimizers, losses, inputs, modules and weights, by name."""
    found: dict[str, Any] = {}
    for optimizer in run.of(OptimizerFacts):
        found |= _of_optimizer(optimizer)
    for number, loss in enumerate(_training(run, LossFacts)):
        name = f"loss {number}"
        found |= {
            f"{name}.function": loss.function,
            f"{name}.head": _joined(loss.head),
            f"{name}.target": loss.target_kind or None,
        }
    for number, given in enumerate(_training(run, InputFacts)):
        name = f"input {number}"
        found |= {
            f"{name}.shape": list(given.shape),
            f"{name}.dtype": given.dtype,
            f"{name}.mean": _rounded(given.values.mean, given.values.deviation),
            f"{name}.deviation": _rounded(given.values.deviation, given.values.deviation),
        }
    for module in run.of(ModuleFacts):
        if module.name:
            found[f"module {module.name}"] = _described(module)
    found |= {f"weight {each.name}": list(each.shape) for each in run.of(WeightFacts)}
    return found


def _training(run: Run, kind: type[Any]) -> list[Any]:
    return [fact for fact in run.of(kind) if fact.phase == "training"]


def _of_optimizer(facts: OptimizerFacts) -> dict[str, Any]:
    name = f"optimizer {facts.number}"
    groups = {
        f"{name}.{key}" if number == 0 else f"{name}.group {number}.{key}": value
        for number, group in enumerate(facts.groups)
        for key, value in group.items()
    }
    passes = _rounded(facts.passes_per_update, facts.passes_per_update)
    return {f"{name}.kind": facts.kind, **groups, f"{name}.passes per update": passes}


def _described(module: ModuleFacts) -> str:
    details = ", ".join(f"{name}={value}" for name, value in module.details.items())
    return f"{module.kind}({details})"


def _joined(head: tuple[str, ...] | None) -> str | None:
    return None if head is None else " < ".join(head) or "straight from the weights"


def _rounded(value: float, scale: float) -> float:
    """Round to a tenth of a scale, so that chance in the rows looked at is no difference."""
    if not (math.isfinite(value) and math.isfinite(scale)) or scale == 0:
        return value
    unit = 10.0 ** math.floor(math.log10(abs(scale)))
    return round(value / unit) * unit if unit else value


def _is_same(a: Any, b: Any) -> bool:
    both_nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return both_nan or ((type(a) is type(b) or _are_numbers(a, b)) and bool(a == b))


def _are_numbers(a: Any, b: Any) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in (a, b))
