"""The short way of a step that is not measured: its loss and its end are noted, and no more.

Between two steps that are measured a training spends nearly all of its time, and what runs once in
a step runs from a cold cache: what counts there is how little of it there is. So the C extension
goes this way itself where it can, and calls what is written here in every other case.
"""

import threading
import time
import weakref
from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from relume.kernels.unit_sums import IS_NATIVE
from relume.observe.pending import Ended, OpenStep
from relume.observe.stepping import Stepper

BACKWARD: Final = 0
BEFORE_UPDATE: Final = 1
AFTER_UPDATE: Final = 2
"""What the extension can take the place of; the numbers are those of `enum kind`."""

if IS_NATIVE or TYPE_CHECKING:
    from relume.kernels._native import QuickState, Shortcut

    class _Shortcut(Shortcut):
        """One that can be named as what it stands for."""
else:

    class QuickState:
        """What the short way knows."""


class Quick(QuickState):
    """What the seams use while no step is measured.

    Args:
        end: Told of the update that may end a step.
        fail: Told of a fault of ours.
        step: The open step, as the long way knows it.
        stepper: Counts the steps.
        ended: Takes the steps that were noted.

    Attributes:
        is_on: Whether the short way is open.
        is_updating: Whether the leading optimizer is stepping, on the short way.
        losses: Of the open step.
        leader: The optimizer whose updates end steps.
        seams: What calls; it knows of scaled losses and of nested updates.
        timed: How many steps to come are timed, and so end through ``end``.
        next_step: The next step that is armed; the one before it ends through ``end``.
        write_at_s: When a write is due, by ``time.perf_counter``; a step then ends through ``end``.
        updates: How many the extension noted by itself.
    """

    def __init__(
        self,
        end: Callable[[torch.optim.Optimizer], None],
        fail: Callable[[Exception], None],
        step: OpenStep,
        stepper: Stepper,
        ended: Ended,
    ) -> None:
        self.end = end
        self.fail = fail
        self.step = step
        self.stepper = stepper
        self.others = stepper.others
        self.ended = ended
        self.is_on = False
        self.is_updating = False
        self.losses: list[float] = []
        self.leader: weakref.ref[object] | None = None
        self.thread = 0
        self.seams: object = None
        self.timed = self.next_step = self.updates = 0
        self.write_at_s = 0.0

    def short(
        self, kind: int, long_way: Callable[..., Any], original: Callable[..., Any] | None = None
    ) -> Callable[..., Any]:
        """Return what does the same as the long way, by the extension where it can.

        Args:
            kind: What the long way is.
            long_way: What is called in every unusual case.
            original: What is called in the usual case, after the loss was noted.
        """
        if not IS_NATIVE:
            return long_way
        task: Any = torch._C._current_graph_task_id  # noqa: SLF001
        shortcut = _Shortcut(self, kind, long_way, original, Tensor, task, time.perf_counter)
        return shortcut if original is None else update_wrapper(shortcut, original)

    def open(self, leader: weakref.ref[object], next_step: int, write_at_s: float) -> None:
        """Take the short way from now on, in this thread."""
        self.thread = threading.get_ident()
        self.leader = leader
        self.next_step = next_step
        self.write_at_s = write_at_s
        self.is_on = True

    def takes_loss(self, given: object) -> bool:
        """Note a loss, if it is a plain one; return whether it was."""
        if not self.is_on or type(given) is not Tensor or threading.get_ident() != self.thread:
            return False
        if not given.is_cpu or given.numel() != 1 or not given.is_floating_point():
            return False
        self.losses.append(given.item())
        return True

    def takes_update(self, optimizer: torch.optim.Optimizer) -> bool:
        """Note that the leader begins to update; return whether it is the leader."""
        self.is_updating = False  # one that raised never ended
        if not self.is_on or threading.get_ident() != self.thread:
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
