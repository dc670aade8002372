"""Fitted columns, target and dropped columns as JSON data, and back with every field checked."""

from typing import Any

from relume.errors import ModelFormatError
from relume.training.data import plain
from relume.training.data.cells import Kind
from relume.training.data.dropping import Dropped, Reason
from relume.training.data.encoding import (
    CategoryColumn,
    FittedColumn,
    MomentColumn,
    NumberColumn,
    Scaling,
    part_names,
)
from relume.training.data.moments import DATE_FORMATS, DATETIME_FORMATS, TIME_FORMATS
from relume.training.data.target import Target
from relume.training.data.text import MOST_STEPS, MOST_WORDS, TextColumn

FORMATS: dict[Kind, tuple[str, ...]] = {
    Kind.DATE: DATE_FORMATS,
    Kind.DATETIME: DATETIME_FORMATS,
    Kind.TIME: TIME_FORMATS,
}


_TYPES: dict[type, str] = {
    NumberColumn: "number",
    CategoryColumn: "category",
    MomentColumn: "moment",
    TextColumn: "text",
}


def column_to_json(column: FittedColumn) -> dict[str, Any]:
    """Return a fitted column as JSON data with its type beside its fields."""
    return {"type": _TYPES[type(column)], **plain.as_plain(column)}


def column_from_json(data: Any, where: str) -> FittedColumn:
    """Return the fitted column.

    Raises:
        ModelFormatError: The data is not what :func:`column_to_json` gives.
    """
    kind = data.get("type") if isinstance(data, dict) else None
    match kind:
        case "number":
            return _number_column(data, where)
        case "category":
            return _category_column(data, where)
        case "moment":
            return _moment_column(data, where)
        case "text":
            return _text_column(data, where)
    raise ModelFormatError(f"{where} is no column of a known type")


def target_from_json(data: Any, where: str) -> Target:
    """Return the fitted target.

    Raises:
        ModelFormatError: The data is not a target.
    """
    checks: dict[str, plain.Check] = {
        "name": plain.text,
        "classes": plain.optional(plain.sequence(plain.text, least=2, distinct=True)),
        "mean": plain.number,
        "scale": plain.positive,
    }
    return Target(**plain.fields(data, where, checks))


def targets_to_json(targets: tuple[Target, ...]) -> Any:
    """Return one target as an object, several or none as a list of them."""
    return plain.as_plain(targets[0] if len(targets) == 1 else targets)


def targets_from_json(data: Any, where: str) -> tuple[Target, ...]:
    """Return what :func:`targets_to_json` was given.

    Raises:
        ModelFormatError: The data is no target, nor a list of them.
    """
    if not isinstance(data, list):
        return (target_from_json(data, where),)
    several: tuple[Target, ...] = plain.sequence(target_from_json)(data, where)
    return several


def dropped_from_json(data: Any, where: str) -> Dropped:
    """Return a dropped column.

    Raises:
        ModelFormatError: The data is not a dropped column.
    """
    checks: dict[str, plain.Check] = {"name": plain.text, "reason": plain.choice(*Reason)}
    given = plain.fields(data, where, checks)
    return Dropped(given["name"], Reason(given["reason"]))


def _number_column(data: Any, where: str) -> NumberColumn:
    checks: dict[str, plain.Check] = {"scaling": _scaling, "indicator": plain.flag}
    return NumberColumn(**_column_fields(data, where, checks))


def _category_column(data: Any, where: str) -> CategoryColumn:
    levels = plain.sequence(plain.text, distinct=True)
    checks: dict[str, plain.Check] = {"levels": levels, "missing": plain.flag, "other": plain.flag}
    return CategoryColumn(**_column_fields(data, where, checks))


def _moment_column(data: Any, where: str) -> MomentColumn:
    checks: dict[str, plain.Check] = {
        "kind": plain.choice(*FORMATS),
        "format": plain.optional(plain.text),
        "scalings": plain.sequence(_scaling),
        "indicator": plain.flag,
    }
    given = _column_fields(data, where, checks)
    given["kind"] = kind = Kind(given["kind"])
    plain.choice(None, *FORMATS[kind])(given["format"], f"{where}: 'format'")
    if len(given["scalings"]) != len(part_names(kind)):
        raise ModelFormatError(f"{where}: a {kind} has {len(part_names(kind))} scalings")
    return MomentColumn(**given)


def _text_column(data: Any, where: str) -> TextColumn:
    checks: dict[str, plain.Check] = {
        "words": plain.sequence(plain.text, least=1, distinct=True),
        "steps": plain.whole(1, MOST_STEPS),
    }
    given = _column_fields(data, where, checks)
    if len(given["words"]) > MOST_WORDS:
        raise ModelFormatError(f"{where}: 'words' must have at most {MOST_WORDS} items")
    return TextColumn(**given)


def _column_fields(data: Any, where: str, checks: dict[str, plain.Check]) -> dict[str, Any]:
    given = plain.fields(data, where, {"type": plain.text, "name": plain.text, **checks})
    del given["type"]
    return given


def _scaling(data: Any, where: str) -> Scaling:
    checks = {"median": plain.number, "mean": plain.number, "scale": plain.not_negative}
    return Scaling(**plain.fields(data, where, checks))
