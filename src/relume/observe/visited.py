"""What is known of modules that were visited, without keeping them, under their names."""

import weakref
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from torch import nn

MOST_MODULES = 1000


class OfModule(Protocol):
    """Something that is known of one module."""

    @property
    def module(self) -> weakref.ref[nn.Module]:
        """The module."""
        ...

    @property
    def kind(self) -> str:
        """Name of its class."""
        ...


T = TypeVar("T", bound=OfModule)


class Named(Generic[T]):
    """What is known of each module, by its name, as far as one is known.

    Args:
        name: Returns the name of a module; empty where none is known.
    """

    def __init__(self, name: Callable[[nn.Module], str]) -> None:
        self._name = name
        self._known: dict[int, T] = {}
        self._order: list[T] = []
        self._names: dict[int, str] = {}

    def of(self, module: nn.Module, make: Callable[[], T]) -> T | None:
        """Return what is known of a module, made at its first visit; None if there are too many."""
        known = self._known.get(id(module))
        if known is not None and known.module() is module:
            return known
        if len(self._order) >= MOST_MODULES:
            return None
        made = self._known[id(module)] = make()
        self._order.append(made)
        return made

    def items(self) -> Iterator[tuple[str, T]]:
        """Yield each under a name of its own, which it keeps, in the order of the first visits."""
        taken: dict[str, int] = {}
        for index, each in enumerate(list(self._order)):
            module = each.module()
            if index not in self._names:
                self._names[index] = (self._name(module) if module is not None else "") or each.kind
            name = self._names[index]
            count = taken[name] = taken.get(name, 0) + 1
            yield (name if count == 1 else f"{name}#{count}"), each
