"""Reads plain JSON data strictly: every field there, none unknown, each of its type and range."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from enum import StrEnum
from typing import Any

from relume.errors import ModelFormatError
from relume.training.data.wording import shown

Check = Callable[[Any, str], Any]


def fields(data: Any, where: str, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return the checked fields of a JSON object.

    Raises:
        ModelFormatError: It is no object, a field is missing, unknown or of a wrong value.

    Example:
        >>> fields({"name": "age", "mean": 3}, "column 1", {"name": text, "mean": number})
        {'name': 'age', 'mean': 3.0}
        >>> fields({"name": 3}, "column 1", {"name": text})
        Traceback (most recent call last):
        ...
        relume.errors.ModelFormatError: column 1: 'name' must be a text, not '3'
    """
    if not isinstance(data, dict):
        raise ModelFormatError(f"{where} must be an object, not {shown(data)}")
    strange = [*(set(data) - set(checks)), *(set(checks) - set(data))]
    if strange:
        state = "is missing" if strange[0] in checks else "is not known"
        raise ModelFormatError(f"{where}: field {shown(strange[0])} {state}")
    return {name: check(data[name], f"{where}: {name!r}") for name, check in checks.items()}


def as_plain(value: Any) -> Any:
    """Turn dataclasses and tuples into JSON objects and lists, all through.

    Example:
        >>> from relume.training.data.dropping import Dropped, Reason
        >>> as_plain((Dropped("rownames", Reason.KEY),))
        [{'name': 'rownames', 'reason': 'id'}]
    """
    if is_dataclass(value):
        return {
            field.name: as_plain(getattr(value, field.name)) for field in dataclass_fields(value)
        }
    if isinstance(value, tuple):
        return [as_plain(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def text(value: Any, where: str) -> str:
    """Return a text."""
    checked: str = _of_type(value, where, str, "a text")
    try:
        checked.encode()
    except UnicodeEncodeError as error:
        raise ModelFormatError(f"{where} is no valid text: {shown(checked)}") from error
    return checked


def flag(value: Any, where: str) -> bool:
    """Return true or false."""
    checked: bool = _of_type(value, where, bool, "true or false")
    return checked


def number(value: Any, where: str) -> float:
    """Return a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(value):
                return float(value)
        except OverflowError:
            pass
    raise ModelFormatError(f"{where} must be a finite number, not {shown(value)}")


def not_negative(value: Any, where: str) -> float:
    """Return a finite number of at least 0."""
    if number(value, where) < 0:
        raise ModelFormatError(f"{where} must not be negative, but is {value}")
    return number(value, where)


def positive(value: Any, where: str) -> float:
    """Return a finite number above 0."""
    if number(value, where) <= 0:
        raise ModelFormatError(f"{where} must be above 0, but is {value}")
    return number(value, where)


def whole(least: int, most: int) -> Check:
    """Return a check for a whole number from ``least`` to ``most``."""

    def check(value: Any, where: str) -> int:
        if type(value) is int and least <= value <= most:
            return value
        raise ModelFormatError(
            f"{where} must be a whole number from {least} to {most}, not {shown(value)}"
        )

    return check


def sequence(of: Check, *, least: int = 0, distinct: bool = False) -> Check:
    """Return a check for a list of at least ``least`` items, all different if ``distinct``."""

    def check(value: Any, where: str) -> tuple[Any, ...]:
        items = _of_type(value, where, list, "a list")
        if len(items) < least:
            raise ModelFormatError(f"{where} must have at least {least} items, not {len(items)}")
        checked = tuple(of(item, f"{where}[{at}]") for at, item in enumerate(items))
        if distinct and len(set(checked)) < len(checked):
            raise ModelFormatError(f"{where} must not name anything twice")
        return checked

    return check


def optional(of: Check) -> Check:
    """Return a check that also takes null."""

    def check(value: Any, where: str) -> Any:
        return None if value is None else of(value, where)

    return check


def choice(*allowed: str | None) -> Check:
    """Return a check for one of some texts (or null)."""

    def check(value: Any, where: str) -> str | None:
        if isinstance(value, str | None) and value in allowed:
            return value
        raise ModelFormatError(f"{where} is {shown(value)}, which is not known")

    return check


def exactly(wanted: str | int) -> Check:
    """Return a check for one single value."""

    def check(value: Any, where: str) -> str | int:
        if type(value) is type(wanted) and value == wanted:
            return wanted
        raise ModelFormatError(f"{where} must be {wanted!r}, not {shown(value)}")

    return check


def _of_type(value: Any, where: str, wanted: type, called: str) -> Any:
    if isinstance(value, wanted):
        return value
    raise ModelFormatError(f"{where} must be {called}, not {shown(value)}")
