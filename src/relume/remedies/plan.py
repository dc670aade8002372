"""What a remedy is going to do, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Number = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action is going to do, where, and with what numbers.

    Args:
        action: Name of the action.
        where: The layer, by the name that findings use; None: the whole training.
        units: Indices of the units concerned.
        numbers: What the action needs to know, by name: its page says which.

    Example:
        >>> plan = Plan("lower_rate", numbers={"factor": 0.1})
        >>> Plan.from_json(plan.to_json()) == plan
        True
    """

    action: str
    where: str | None = None
    units: tuple[int, ...] = ()
    numbers: Mapping[str, Number] = field(default_factory=dict)

    def number(self, name: str, otherwise: float) -> float:
        """Return one of the numbers, or what it is where the plan does not say."""
        value = self.numbers.get(name)
        return float(otherwise if value is None else value)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "action": self.action,
            "where": self.where,
            "units": list(self.units),
            "numbers": dict(self.numbers),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        """Return what ``to_json`` gave."""
        return cls(data["action"], data["where"], tuple(data["units"]), dict(data["numbers"]))
