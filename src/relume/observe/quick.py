"""The short way of a step that is not measured: its loss and its end are noted, and no more.

Between two steps that are measured a training spends nearly all of its time, and what runs once in
a step runs from a cold cache: what counts there is how little of it there is.
"""

import threading
import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from relume.observe.pending import OpenStep


class Quick:
    """What the seams use while no step is measured.

    Args:
        end: Told of the update that may end a step.
        fail: Told of a fault of ours.
        step: The open step, as the long way knows it.

    Attributes:
        is_on: Whether the short way is open.
        is_updating: Whether the leading optimizer is stepping, on the short way.
        losses: Of the open step.
        leader: The optimizer whose updates end steps.
    """

    __slots__ = ("_thread", "end", "fail", "is_on", "is_updating", "leader", "losses", "step")

    def __init__(
        self,
        end: Callable[[torch.optim.Optimizer], None],
        fail: Callable[[Exception], None],
        step: OpenStep,
    ) -> None:
        self.end = end
        self.fail = fail
        self.step = step
        self.is_on = False
        self.is_updating = False
        self.losses: list[float] = []
        self.leader: weakref.ref[object] | None = None
        self._thread = 0

    def open(self, leader: weakref.ref[object]) -> None:
        """Take the short way from now on, in this thread."""
        self._thread = threading.get_ident()
        self.leader = leader
        self.is_on = True

    def takes_loss(self, given: object) -> bool:
        """Note a loss, if it is a plain one; return whether it was."""
        if not self.is_on or type(given) is not Tensor or threading.get_ident() != self._thread:
            return False
        if not given.is_cpu or given.numel() != 1 or not given.is_floating_point():
            return False
        self.losses.append(given.item())
        return True

    def takes_update(self, optimizer: torch.optim.Optimizer) -> bool:
        """Note that the leader begins to update; return whether it is the leader."""
        self.is_updating = False  # one that raised never ended
        if not self.is_on or threading.get_ident() != self._thread:
            return False
        if self.leader is None or self.leader() is not optimizer:
            return False
        self.is_updating = self.step.is_updating = True
        self.is_on = False  # losses of a closure go the long way
        return True

    def ends_update(self, optimizer: torch.optim.Optimizer) -> bool:
        """Note that the leader has updated; return whether that was begun here."""
        if not self.is_updating:
            return False
        self.is_updating = self.step.is_updating = False
        self.end(optimizer)
        return True
