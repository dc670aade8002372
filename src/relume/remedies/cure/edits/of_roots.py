"""Edits of square roots."""

from relume.remedies.cure.edits.calls import is_function, last_name, operand_of
from relume.remedies.cure.edits.source import NotLiteralError
from relume.remedies.cure.edits.sources import Edits, Sources
from relume.remedies.cure.edits.written import Written
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Treatment


def root(sources: Sources, treatment: Treatment, survey: Written) -> Edits:
    """Write a small number under square roots."""
    edits: Edits = []
    for said in treatment.numbers["places"]:
        place = CodePlace.from_json(said)
        source = sources.at(place)
        call = source.call_at(place)
        operand = operand_of(source, call)
        if last_name(source, call) != "sqrt" or operand is None:
            raise NotLiteralError(f"{place.short} takes a root indirectly")
        text = f"{source.operand(operand)} + {treatment.numbers['added']:g}"
        text = text if is_function(source, call) else f"({text})"
        edits.append((source.path, source.replace(operand, text)))
    return edits
