"""What fused operations and the tap agree on: layers inside one operation, seen aside.

A fused operation (a recurrent network, an encoder layer) never calls the activations inside it. On
armed steps these are read from what the operation was given and returned, or computed again beside
it: without gradients, random numbers or any change of what the user's code gets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor, nn

from relume.observe.rectifiers import Reading
from relume.observe.where import Where


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One activation inside a fused operation.

    Args:
        suffix: What is put behind the name of the module; empty where the module has only one,
            None where the activation is named as it is when it is not fused.
        reading: How its values are read.
        weights: The parameters that feed it.
        has_whole_gradient: Whether the gradient of its values is that of all their uses.
        module: The module that is called for it when it is not fused, if there is one.
    """

    suffix: str | None
    reading: Reading
    weights: tuple[Tensor, ...]
    has_whole_gradient: bool = True
    module: nn.Module | None = None


class Taker(Protocol):
    """What adds the values of parts up: the tap."""

    def add_part(
        self, part: Part, values: Tensor, rows: int, where: Where, name: str | None
    ) -> None:
        """Add up the values of a part at its site."""
        ...

    def miss(self, what: str, place: str | None) -> None:
        """Take note of what is not observed."""
        ...

    def name_of(self, module: nn.Module | None) -> str:
        """Return the name of a module; empty where none is known."""
        ...


class Aside:
    """Takes the parts of one call of a fused operation.

    Args:
        taker: What adds them up.
        where: Where the call comes from.
        kind: What the operation is called where no module holds it.

    Attributes:
        module: The innermost module that is being called.
    """

    def __init__(self, taker: Taker, where: Where, kind: str) -> None:
        self.module = where.module
        self._taker = taker
        self._where = where
        self._kind = kind

    def add(self, part: Part, values: Tensor, rows: int) -> None:
        """Take the values of a part, units last, of this many independent rows."""
        where = self._where
        if part.module is not None:
            where = replace(where, module=part.module, is_activation=True, is_direct=False)
        name = None if part.suffix is None else self._name(part.suffix)
        self._taker.add_part(part, values, rows, where, name)

    def miss(self, what: str, suffix: str = "") -> None:
        """Take note that a part of the operation cannot be observed."""
        self._taker.miss(f"{self._name(suffix)} {what}", self._where.place())

    def _name(self, suffix: str) -> str:
        base = self._taker.name_of(self.module) or self._kind
        return f"{base}.{suffix}" if suffix else base


See = Callable[[Aside, Callable[..., Any], Sequence[Any], Mapping[str, Any], Any], None]
"""From the original, the arguments of a call and what it returned, to the values of its parts."""


@dataclass(frozen=True, slots=True)
class Fused:
    """One fused operation of torch.

    Args:
        name: What it is called where it cannot be observed.
        places: The names under which torch has it, as ``(namespace, attribute)``.
        see: Reads its parts; runs without gradients, after the call.
    """

    name: str
    places: tuple[tuple[str, str], ...]
    see: See
