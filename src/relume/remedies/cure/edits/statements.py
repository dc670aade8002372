"""Edits of statements: lines before and after, a step of a schedule moved out of its loop."""

import libcst as cst

from relume.remedies.cure.edits.source import NotLiteralError, Replacement, Source


def receiver(source: Source, call: cst.Call) -> str:
    """Return what a method is called on, as it is written.

    Raises:
        NotLiteralError: If the call is no plain method call.
    """
    if not isinstance(call.func, cst.Attribute):
        raise NotLiteralError(f"line {source.line_of(call)} is no call of a method")
    return source.code(call.func.value)


def name_of_made(source: Source, call: cst.Call) -> str:
    """Return the name that what a call makes is given in its statement.

    Raises:
        NotLiteralError: If it is given none.
    """
    body = source.statement(call).body[0]
    if isinstance(body, cst.Assign) and len(body.targets) == 1:
        target = body.targets[0].target
        if isinstance(target, (cst.Name, cst.Attribute)) and _is_whole(source, body.value, call):
            return source.code(target)
    raise NotLiteralError(f"line {source.line_of(call)} gives what it makes no name")


def _is_whole(source: Source, value: cst.BaseExpression, call: cst.Call) -> bool:
    """Whether a value is a call, or methods called on it: ``Net().to(device)``."""
    while value is not call:
        if not isinstance(value, cst.Call) or not isinstance(value.func, cst.Attribute):
            return False
        value = value.func.value
    return True


def removal(source: Source, statement: cst.SimpleStatementLine) -> Replacement:
    """Return the edit that takes a statement out, and a condition that nothing is left under."""
    node: cst.CSTNode = statement
    while True:
        block = source.parent(node)
        if not isinstance(block, (cst.IndentedBlock, cst.Module)):
            raise NotLiteralError(f"line {source.line_of(statement)} is not in a block of its own")
        if isinstance(block, cst.Module) or len(block.body) > 1:
            break
        above = source.parent(block)
        if not isinstance(above, cst.If) or above.orelse is not None or not _heads(source, above):
            return source.replace(statement, "pass")
        node = above
    first = source.line_of(node) - 1
    end = source.span(node)[1]
    following = [start for start in source.line_starts if start >= end]
    return Replacement(source.line_starts[first], following[0] if following else end, "")


def _heads(source: Source, condition: cst.If) -> bool:
    """Whether a condition begins a statement, rather than being an ``elif``."""
    return not isinstance(source.parent(condition), cst.If)


def innermost_loop(source: Source, node: cst.CSTNode) -> cst.For | cst.While:
    """Return the loop that a node is in.

    Raises:
        NotLiteralError: If it is in none of its own function.
    """
    found = source.within(node, cst.For, cst.While, cst.FunctionDef)
    if not isinstance(found, (cst.For, cst.While)):
        raise NotLiteralError(f"line {source.line_of(node)} is in no loop")
    return found
