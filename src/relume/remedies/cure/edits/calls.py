"""What a call in a person's source calls: a function of torch, a method, or a module."""

import libcst as cst

from relume.remedies.cure.edits.source import Source


def last_name(source: Source, call: cst.Call) -> str:
    """Return the last part of what is called: ``relu`` of ``F.relu(x)``."""
    return source.code(call.func).rpartition(".")[2]


def prefix(source: Source, call: cst.Call) -> str:
    """Return what stands before it, with the dot: ``nn.`` of ``nn.ReLU()``."""
    before, dot, _ = source.code(call.func).rpartition(".")
    return before + dot


def is_function(source: Source, call: cst.Call) -> bool:
    """Whether the call is of a function of a module, rather than of a method of a value."""
    func = call.func
    if isinstance(func, cst.Name):
        return True
    while isinstance(func, cst.Attribute):
        func = func.value
    return isinstance(func, cst.Name) and func.value in source.imported


def operand_of(
    source: Source, call: cst.Call, *, is_module: bool = False
) -> cst.BaseExpression | None:
    """Return what an activation is applied to: the first argument, or the owner of a method."""
    if isinstance(call.func, cst.Attribute) and not is_module and not is_function(source, call):
        return call.func.value
    return call.args[0].value if call.args and not call.args[0].star else None
