"""Edits that let an optimizer hold what it left out: layers kept in plain lists."""

import libcst as cst

from relume.remedies.cure.edits.source import NotLiteralError, Replacement, Source
from relume.remedies.cure.edits.sources import Edits, Sources
from relume.remedies.cure.edits.written import Written
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Treatment


def add_parameters(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write ``nn.ModuleList`` for the lists in which a class keeps layers."""
    edits: Edits = []
    for said in survey["left_out"]:
        made = said["made"]
        if made is None or said["is_registered"]:
            where = f" at {CodePlace.from_json(made['place']).short}" if made else ""
            raise NotLiteralError(
                f"the optimizer is made before the parameters{where}: make it again after them"
            )
        place = CodePlace.from_json(made["place"])
        source = sources.at(place)
        edits += [(source.path, each) for each in _listed(source, source.call_at(place))]
    return list(dict.fromkeys(edits))


def _listed(source: Source, making: cst.Call) -> list[Replacement]:
    """Return the edits that turn each list from a layer up to its attribute into a module list."""
    edits = source.import_of_torch()
    outermost: cst.CSTNode = making
    node = source.parent(making)
    while node is not None and not isinstance(node, cst.SimpleStatementLine):
        if isinstance(node, (cst.List, cst.ListComp)):
            edits.append(source.replace(node, f"torch.nn.ModuleList({source.code(node)})"))
            outermost = node
        if isinstance(node, cst.Call) and source.code(node.func).endswith(".append"):
            return [*edits, _beginning(source, node)]
        node = source.parent(node)
    if outermost is making:
        raise NotLiteralError(f"line {source.line_of(making)} keeps its layer in no list")
    return edits


def _beginning(source: Source, append: cst.Call) -> Replacement:
    """Return the edit of the empty list that layers are appended to."""
    name = source.code(append.func).removesuffix(".append")
    inside = source.within(append, cst.FunctionDef)
    for assign in source.all_of(cst.Assign):
        value, is_here = assign.value, source.within(assign, cst.FunctionDef) is inside
        is_meant = is_here and source.code(assign.targets[0].target) == name
        if is_meant and isinstance(value, cst.List) and not value.elements:
            return source.replace(value, "torch.nn.ModuleList()")
    raise NotLiteralError(f"the list {name} begins elsewhere")
