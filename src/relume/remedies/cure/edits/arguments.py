"""Editing the arguments of a call, and the elements of a sequence."""

import libcst as cst

from relume.remedies.cure.edits.source import NotLiteralError, Replacement, Source


def argument(call: cst.Call, name: str, position: int | None = None) -> cst.Arg | None:
    """Return an argument by its keyword, else by its position; None where it is not given."""
    for each in call.args:
        if each.keyword is not None and each.keyword.value == name:
            return each
    if position is None or any(each.star for each in call.args[: position + 1]):
        return None
    plain = [each for each in call.args if each.keyword is None and not each.star]
    return plain[position] if len(plain) > position else None


def with_argument(
    source: Source, call: cst.Call, name: str, value: str, position: int | None = None
) -> Replacement:
    """Return the edit that gives a call an argument, in place of the one it has."""
    given = argument(call, name, position)
    if given is not None:
        return source.replace(given.value, value)
    if any(each.star for each in call.args):
        raise NotLiteralError(
            f"line {source.line_of(call)} is given its arguments as a whole; add {name}={value}"
        )
    if not call.args:
        end = source.span(call)[1] - 1
        return Replacement(end, end, f"{name}={value}")
    end = source.span(call.args[-1].value)[1]
    return Replacement(end, end, f", {name}={value}")


def sequence_of(source: Source, node: cst.CSTNode) -> list[cst.CSTNode] | None:
    """Return the values among which a node stands, in a list, a tuple or ``nn.Sequential(...)``."""
    holder = source.parent(node)
    if isinstance(holder, cst.Element):
        above = source.parent(holder)
        if isinstance(above, (cst.List, cst.Tuple)):
            return [each.value for each in above.elements]
    if isinstance(holder, cst.Arg):
        above = source.parent(holder)
        if isinstance(above, cst.Call) and source.code(above.func).endswith("Sequential"):
            return [each.value for each in above.args]
    return None


def without_element(source: Source, node: cst.CSTNode) -> Replacement:
    """Return the edit that takes a value out of the sequence that it stands in."""
    values = sequence_of(source, node)
    if values is None or len(values) < 2:
        raise NotLiteralError(f"line {source.line_of(node)} is not in a plain sequence")
    index = next(i for i, each in enumerate(values) if each is node)
    start, end = source.span(node)
    if index:
        return Replacement(source.span(values[index - 1])[1], end, "")
    return Replacement(start, source.span(values[1])[0], "")
