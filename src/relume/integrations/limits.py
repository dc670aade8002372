"""What a watched test is judged by: the arguments of its marker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from relume.diagnosis.fail_on import Condition, parse_conditions
from relume.errors import SettingsError, nearest_names

USUAL = "error"
"""What a test fails on whose marker names nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a test may show.

    Args:
        max_dead: Greatest share of the units of a layer that may be dead at the end; None: any.
        conditions: What it fails on besides.
        every: Measures every so many steps; by their number, so that a test is told the same twice.
    """

    max_dead: float | None = None
    conditions: tuple[Condition, ...] = ()
    every: int = 1

    @classmethod
    def of_marker(cls, args: Sequence[Any], given: Mapping[str, Any]) -> Self:
        """Return the limits of a marker.

        Raises:
            SettingsError: An argument is unknown or makes no sense.
        """
        known = ("max_dead", "fail_on", "every")
        unknown = next((name for name in given if name not in known), None)
        if args or unknown is not None:
            named = f"no {unknown!r}" if unknown is not None else "no argument without a name"
            near = nearest_names(unknown or "", known)
            advice = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise SettingsError(f"the marker relume takes {named}; {advice}")
        max_dead, fail_on, every = (given.get(name) for name in known)
        if fail_on is None and max_dead is None:
            fail_on = USUAL
        return cls(
            max_dead=None if max_dead is None else _share(max_dead),
            conditions=() if fail_on is None else _conditions(fail_on),
            every=1 if every is None else _steps(every),
        )


def _share(value: object) -> float:
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:  # type: ignore[operator]
        raise SettingsError(
            f"max_dead is a share of a layer's units between 0 and 1, as 0.05; got {value!r}"
        )
    return float(value)  # type: ignore[arg-type]


def _conditions(value: object) -> tuple[Condition, ...]:
    if not isinstance(value, str):
        raise SettingsError(f"fail_on is text, as 'RLM101:0.05,error'; got {value!r}")
    try:
        return parse_conditions(value)
    except SettingsError as error:
        raise SettingsError(str(error).replace("--fail-on", "fail_on")) from None


def _steps(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"every is a number of steps, at least 1; got {value!r}")
    return value
