"""The operator that compiled graphs call to show an activation, and who is told of it.

The operator reads, returns nothing and is registered as a side effect, so that no compiler drops or
moves it. What it does is looked up at run time: a graph compiled once is seen on armed steps, and
passed over on all others and after the end, without being compiled again.
"""

import functools
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

NAMESPACE = "relume"
OPERATOR = f"{NAMESPACE}::show"
Receiver = Callable[["Part", Tensor], None]


class Part(IntEnum):
    """Which tensor of an activation is shown."""

    INPUT = 0
    OUTPUT = 1
    GRADIENT = 2


class Board:
    """Who is told what the compiled graphs show; one a process.

    Each receiver has a number. A graph is told with every call at which number those of its sites
    begin, since one graph serves all models of the same structure. Compiled graphs outlive the
    watch that they were compiled under: what is shown to nobody is passed over.
    """

    def __init__(self) -> None:
        self._receivers: dict[int, Receiver] = {}
        self._next = 1  # 0 is nobody
        library: Any = torch.library.Library(NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define("show(Tensor value, Tensor who, int site, int part) -> ()")
        library.impl("show", self._show, "CPU")
        library.impl("show", _nothing, "Meta")
        self._library = library  # the operator lives as long as this
        torch.library._register_effectful_op(OPERATOR, _ordered())  # noqa: SLF001

    def add(self, receivers: Sequence[Receiver | None]) -> int:
        """Return the number of the first of these receivers; None takes a number and nothing."""
        first = self._next
        self._next += len(receivers)
        self._receivers.update((n, r) for n, r in enumerate(receivers, first) if r is not None)
        return first

    def take_off(self, first: int, count: int) -> None:
        """Tell these receivers nothing from now on."""
        for number in range(first, first + count):
            self._receivers.pop(number, None)

    def _show(self, value: Tensor, who: Tensor, site: int, part: int) -> None:
        first = int(who)
        receiver = self._receivers.get(first + site) if first else None
        if receiver is not None:
            receiver(Part(part), value)


def nobody() -> Tensor:
    """Return what a graph is called with while nothing is armed."""
    return torch.zeros((), dtype=torch.int64)


@functools.cache
def board() -> Board:
    """Return the board of this process, and define the operator at the first call.

    Raises:
        AttributeError: This torch cannot register an operator as a side effect.
        ImportError: Likewise.
    """
    return Board()


def show_input(z: Tensor, who: Tensor, site: int) -> None:
    """Show a pre-activation; stands in a graph before its activation."""
    torch.ops.relume.show(z.detach(), who, site, Part.INPUT.value)


def show_output(a: Tensor, who: Tensor, site: int) -> None:
    """Show an activation and, when it comes, its gradient; stands in a graph after it."""
    torch.ops.relume.show(a.detach(), who, site, Part.OUTPUT.value)
    if a.requires_grad:
        a.register_hook(functools.partial(_show_gradient, who, site))  # type: ignore[no-untyped-call]


def _show_gradient(who: Tensor, site: int, gradient: Tensor) -> None:
    torch.ops.relume.show(gradient.detach(), who, site, Part.GRADIENT.value)


def _nothing(_value: Tensor, _who: Tensor, _site: int, _part: int) -> None:
    return


def _ordered() -> Any:
    from torch._library.effects import EffectType

    return EffectType.ORDERED
