"""Edits of activations: one taken out, some swapped, one put in."""

from collections.abc import Mapping
from typing import Any

import libcst as cst

from relume.remedies.cure.edits.arguments import (
    sequence_of,
    with_argument,
    without_element,
)
from relume.remedies.cure.edits.calls import is_function, last_name, operand_of, prefix
from relume.remedies.cure.edits.source import SIMPLE, NotLiteralError, Replacement, Source
from relume.remedies.cure.edits.sources import Edits, Sources, place_in
from relume.remedies.cure.edits.statements import name_of_made
from relume.remedies.cure.edits.written import Written
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Treatment

MODULES = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "silu": "SiLU",
    "sigmoid": "Sigmoid",
}


def skip(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Take activations out: the call of one gives way to what it is applied to."""
    edits: Edits = []
    for key in treatment.numbers["keys"]:
        made = key["made"]
        if made is None:
            source, call = _call(sources, key)
            edits.append((source.path, _bare(source, call, is_module=False)))
            continue
        source, making = _making(sources, made)
        if sequence_of(source, making) is not None:
            _check_single(survey, made)
            edits.append((source.path, without_element(source, making)))
            continue
        calling, call = _call(sources, key)
        if calling.code(call.func) != name_of_made(source, making):
            raise NotLiteralError(f"{made['kind']} is called indirectly")
        edits.append((calling.path, _bare(calling, call, is_module=True)))
    return edits


def swap(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write another activation where those are made, or called as functions."""
    edits: Edits = []
    to = treatment.numbers["to"]
    for key in treatment.numbers["keys"]:
        if key["made"] is not None:
            _check_off_head(survey, key)
            source, call = _making(sources, key["made"])
            edit = source.replace(call, f"{prefix(source, call) or 'torch.nn.'}{MODULES[to]}()")
        else:
            source, call = _call(sources, key)
            edit = _other_function(source, call, to)
        edits += [(source.path, each) for each in (*source.import_of_torch(), edit)]
    return edits


def _other_function(source: Source, call: cst.Call, to: str) -> Replacement:
    """Return the edit that has another function called."""
    name = f"torch.nn.functional.{to}"
    if is_function(source, call):
        return source.replace(call.func, name)
    operand = operand_of(source, call)
    if operand is None:
        raise NotLiteralError(f"line {source.line_of(call)} applies it indirectly")
    return source.replace(call, f"{name}({source.code(operand)})")


def _check_off_head(survey: Written, key: Mapping[str, Any]) -> None:
    """Raise where a hidden module is applied on the head too, which is to stay."""
    head, made = survey.get("loss", {}).get("head", ()), key["made"]
    if key not in head and any(each["made"] == made for each in head):
        place = CodePlace.from_json(made["place"])
        raise NotLiteralError(f"the {made['kind']} of {place.short} is applied to the output too")


def insert(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Put a ReLU behind layers: in their sequence, or around their one call."""
    edits: Edits = []
    for name in treatment.numbers["layers"]:
        made = survey["modules"].get(name)
        if made is None:
            raise NotLiteralError(f"{name} is made outside of the program's own code")
        source, call = _making(sources, made)
        if sequence_of(source, call) is not None:
            end = source.span(call)[1]
            text = f", {prefix(source, call) or 'torch.nn.'}ReLU()"
            edits.append((source.path, Replacement(end, end, text)))
            continue
        owner = name_of_made(source, call)
        calls = [each for each in source.all_of(cst.Call) if source.code(each.func) == owner]
        if len(calls) != 1:
            raise NotLiteralError(f"{name} is called in {len(calls)} places")
        edits += [(source.path, each) for each in source.import_of_torch()]
        text = f"torch.relu({source.code(calls[0])})"
        edits.append((source.path, source.replace(calls[0], text)))
    return edits


def nonlinearity(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write the nonlinearity where a recurrent layer is made."""
    edits: Edits = []
    value = f'"{treatment.numbers["to"]}"'
    for name in treatment.numbers["layers"]:
        source, call = _making(sources, survey["modules"][name])
        edits.append((source.path, with_argument(source, call, "nonlinearity", value, 3)))
    return edits


def _bare(source: Source, call: cst.Call, *, is_module: bool) -> Replacement:
    """Return the edit that leaves of a call what it is applied to."""
    operand = operand_of(source, call, is_module=is_module)
    if operand is None:
        raise NotLiteralError(f"line {source.line_of(call)} applies it indirectly")
    is_alone = isinstance(source.parent(call), (cst.Assign, cst.Return, cst.Arg))
    code = source.code(operand)
    if "\n" in code and not isinstance(operand, SIMPLE):  # its own parentheses held it together
        return source.replace(call, f"({code})")
    return source.replace(call, code if is_alone else source.operand(operand))


def _call(sources: Sources, key: Mapping[str, Any]) -> tuple[Source, cst.Call]:
    place = place_in(key["place"], str(key["function"]))
    source = sources.at(place)
    call = source.call_at(place)
    names = {key["function"], f"{key['function']}_"}
    if key["made"] is None and last_name(source, call) not in names:
        raise NotLiteralError(f"{place.short} applies {key['function']} indirectly")
    return source, call


def _making(sources: Sources, made: Mapping[str, Any]) -> tuple[Source, cst.Call]:
    place = CodePlace.from_json(made["place"])
    source = sources.at(place)
    call = source.call_at(place)
    if last_name(source, call) != made["kind"]:
        raise NotLiteralError(f"{place.short} makes its {made['kind']} indirectly")
    return source, call


def _check_single(survey: Written, made: Mapping[str, Any]) -> None:
    """Raise unless one module alone is made at a place."""
    for each in survey["modules"].values():
        if each["place"] == made["place"] and each["made_there"] > 1:
            place = CodePlace.from_json(made["place"])
            raise NotLiteralError(
                f"{place.short} makes {each['made_there']} of {made['kind']}; only one is meant"
            )
