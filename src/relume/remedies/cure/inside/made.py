"""Where the modules of a program were made: the line, and which one of those made there."""

import weakref
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.place import CodePlace


@dataclass(frozen=True, slots=True)
class Making:
    """How a module came to be.

    Args:
        kind: Name of its class.
        place: Of the expression that made it.
        ordinal: How many were made there before it.
    """

    kind: str
    place: CodePlace
    ordinal: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {"kind": self.kind, "place": self.place.to_json(), "ordinal": self.ordinal}


class Makings(Listener):
    """Remembers how each module was made; it keeps none of them alive."""

    def __init__(self) -> None:
        self._of: weakref.WeakKeyDictionary[nn.Module, Making] = weakref.WeakKeyDictionary()
        self._counts: dict[CodePlace, int] = {}

    def module_made(self, module: nn.Module, place: CodePlace | None) -> None:
        """Take note of it."""
        if place is not None:
            ordinal = self._counts[place] = self._counts.get(place, -1) + 1
            self._of[module] = Making(type(module).__name__, place, ordinal)

    def of(self, module: nn.Module | None) -> Making | None:
        """Return how a module was made; None where that was not seen."""
        return self._of.get(module) if module is not None else None

    def made_at(self, place: CodePlace) -> int:
        """Return how many were made at a place."""
        return self._counts.get(place, -1) + 1

    def owner_of(self, parameter: Tensor) -> nn.Module | None:
        """Return the module that a parameter belongs to directly."""
        for module in list(self._of):
            if any(each is parameter for each in module.parameters(recurse=False)):
                return module
        return None


def key_of(function: str, place: CodePlace | None, making: Making | None) -> dict[str, Any]:
    """Return what tells one application of an activation from others, as plain JSON data."""
    return {
        "function": function,
        "place": place.to_json() if place is not None else None,
        "made": making.to_json() if making is not None else None,
    }
