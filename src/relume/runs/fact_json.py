"""Facts as JSON: how a run file keeps them."""

import builtins
import json
import math
import types
from collections import abc
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args, get_origin

from relume.errors import RunFileError
from relume.runs.facts import (
    Fact,
    InputFacts,
    LossFacts,
    ModuleFacts,
    NormFacts,
    OptimizerFacts,
    OverlapFacts,
    Phase,
    RecurrentFacts,
    Spread,
    WeightFacts,
)

KINDS: Mapping[str, type[Fact]] = {
    "input": InputFacts,
    "overlap": OverlapFacts,
    "loss": LossFacts,
    "module": ModuleFacts,
    "weight": WeightFacts,
    "optimizer": OptimizerFacts,
    "norm": NormFacts,
    "recurrent": RecurrentFacts,
}


def kind_of(fact: Fact) -> str:
    """Return the name under which a fact is stored."""
    return next(name for name, kind in KINDS.items() if type(fact) is kind)


def to_json(fact: Fact) -> str:
    """Write a fact as JSON; what is not finite as a string, for there is no such number."""
    return json.dumps(plain_json(asdict(fact)), allow_nan=False)


def from_json(kind: str, text: str) -> Fact | None:
    """Read what ``to_json`` wrote; None for a kind that is not known here.

    Raises:
        RunFileError: If it is damaged.
    """
    known = KINDS.get(kind)
    if known is None:
        return None
    try:
        given = json.loads(text)
        parts = {part.name: part.type for part in fields(known)}
        values = {name: _read(given[name], parts[name]) for name in given if name in parts}
        _check(values, parts)
        return known(**values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunFileError(f"a fact of kind {kind!r} is damaged ({error})") from error


def plain_json(value: Any) -> Any:
    """Return a value as JSON data; what is not finite as a string."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(each) for each in value]
    return value


def _read(value: Any, kind: Any) -> Any:
    if kind is Spread:
        return Spread(**{name: _number(each) for name, each in value.items()})
    if kind is Phase:
        return Phase(value)
    if isinstance(value, list):
        return tuple(_number(each) for each in value)
    if isinstance(value, Mapping):
        return {name: _number(each) for name, each in value.items()}
    return _number(value) if kind is float else value


def _check(values: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if not _is_of(value, kinds[name]):
            raise TypeError(f"its {name} is {str(value)[:40]!r}")


def _is_of(value: Any, kind: Any) -> bool:
    """Return whether a value is of the kind that a part of a fact is declared to be."""
    arguments = get_args(kind)
    match get_origin(kind):
        case types.UnionType:
            return any(_is_of(value, each) for each in arguments)
        case builtins.tuple:
            return isinstance(value, tuple) and all(_is_of(each, arguments[0]) for each in value)
        case abc.Mapping:
            return isinstance(value, Mapping)
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float)
    return isinstance(value, kind)


def _number(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _number(each) for name, each in value.items()}
    return float(value) if value in ("nan", "inf", "-inf") else value
