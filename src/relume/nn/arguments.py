"""Checks of the arguments that the network builders take."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from relume.errors import SettingsError


def integer(name: str, value: Any, *, least: int = 1) -> int:
    """Return ``value`` if it is a whole number of at least ``least``.

    Raises:
        SettingsError: It is not.

    Example:
        >>> integer("inputs", 64)
        64
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingsError(f"{name} must be a whole number; got {value!r}")
    if value < least:
        raise SettingsError(f"{name} must be at least {least}; got {value}")
    return value


def widths(name: str, values: Any, *, may_be_empty: bool = False) -> tuple[int, ...]:
    """Return ``values`` if they are whole numbers of at least 1.

    Raises:
        SettingsError: They are not; positions count from 1.

    Example:
        >>> widths("hidden widths", [128, 64])
        (128, 64)
        >>> widths("hidden widths", [128, 0])
        Traceback (most recent call last):
        relume.errors.SettingsError: hidden widths must be at least 1; got 0 at position 2
    """
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        raise SettingsError(f"{name} must be a list of whole numbers; got {values!r}")
    if not values and not may_be_empty:
        raise SettingsError(f"{name} must name at least one width; got an empty list")
    for position, value in enumerate(values, start=1):
        if isinstance(value, bool) or not isinstance(value, int):
            raise SettingsError(
                f"{name} must be whole numbers; got {value!r} at position {position}"
            )
        if value < 1:
            raise SettingsError(f"{name} must be at least 1; got {value} at position {position}")
    return tuple(values)


def share(name: str, value: Any) -> float:
    """Return ``value`` if it is a number in [0, 1).

    Raises:
        SettingsError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise SettingsError(
            f"{name} must be a number from 0 up to, not including, 1; got {value!r}"
        )
    return float(value)


def choice(name: str, value: Any, known: Collection[str | None]) -> None:
    """Refuse a ``value`` that is not one of the ``known``.

    Raises:
        SettingsError: It is not.
    """
    if value not in known:
        offered = ", ".join("None" if option is None else option for option in known)
        raise SettingsError(f"{name} must be one of {offered}; got {value!r}")


def flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is true or false.

    Raises:
        SettingsError: It is neither.
    """
    if not isinstance(value, bool):
        raise SettingsError(f"{name} must be true or false; got {value!r}")
    return value


def sides(name: str, value: Any) -> tuple[int, int]:
    """Return the height and width that one number (a square) or two stand for.

    Raises:
        SettingsError: It is neither.

    Example:
        >>> sides("image_size", 28), sides("image_size", [8, 12])
        ((28, 28), (8, 12))
    """
    if isinstance(value, int) and not isinstance(value, bool):
        side = integer(name, value)
        return side, side
    both = widths(name, value)
    if len(both) != 2:
        raise SettingsError(f"{name} must be one number, or height and width; got {list(both)}")
    return both[0], both[1]


def head_widths(outputs: Any) -> int | dict[str, int]:
    """Return ``outputs`` if it is a width, or a width for every named head.

    Raises:
        SettingsError: It is neither.
    """
    if not isinstance(outputs, Mapping):
        return integer("outputs", outputs)
    if not outputs:
        raise SettingsError("outputs must name at least one head; got an empty mapping")
    for name in outputs:
        if not isinstance(name, str) or not name:
            raise SettingsError(
                f"the name of a head must be a text that is not empty; got {name!r}"
            )
    return {name: integer(f"outputs of head {name!r}", width) for name, width in outputs.items()}
