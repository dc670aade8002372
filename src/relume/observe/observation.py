"""What is measured on armed steps, put together; whoever knows the steps tells it of them."""

import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relume.observe.compiled import CompiledRegions
from relume.observe.data_watch import DataWatch
from relume.observe.deaths import Certificates, Evidence
from relume.observe.evaluations import is_anything_compiled
from relume.observe.evaluations_by_hand import EvaluationsByHand
from relume.observe.falls import note_falls
from relume.observe.flows import Flows
from relume.observe.inventory import Inventory
from relume.observe.loss_watch import LossWatch
from relume.observe.losses import LossContext
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved

if TYPE_CHECKING:
    from relume.observe.observer import Observer


class Observation:
    """Losses, data, weights, modules, and the deaths of units with their evidence.

    Args:
        tap: Follows the calls of armed steps.
        unobserved: Takes note of what is left out.
        compiled: Knows whether ``torch.compile`` was called.
        steps: Returns how many steps have ended.
        fail: Told of a fault of ours outside of the methods here.
        context: What the code around a loss knows of it; found out from its callers if None.

    Attributes:
        is_looking: Whether data, losses, modules and all weights are looked at in this step.
        observers: What hands out facts.
    """

    def __init__(
        self,
        tap: ArmedTap,
        unobserved: Unobserved,
        compiled: CompiledRegions,
        steps: Callable[[], int],
        fail: Callable[[Exception], None],
        *,
        context: Callable[[], LossContext] | None = None,
    ) -> None:
        self.is_looking = tap.calls.is_looking = False
        self.flows = Flows()
        self.evidence = Evidence()
        self.certificates = Certificates(self.evidence)
        self.losses = LossWatch(tap.names, unobserved, tap.calls, steps, context=context)
        by_hand = EvaluationsByHand(
            self.losses, tap, lambda: compiled.is_used or is_anything_compiled()
        )
        self.data = DataWatch(tap, steps, compiled, fail, by_hand)
        self.inventory = Inventory(tap.names, tap.calls, self.flows, unobserved)
        self.observers: tuple[Observer, ...] = (
            self.losses,
            *self.data.observers,
            *self.inventory.observers,
        )
        self._tap = tap
        self._unobserved = unobserved
        self._last_armed = 0
        self._large: set[str] = set()

    def begin_step(self, *, is_looking: bool, is_by_hand: bool = False) -> None:
        """Begin a step.

        Args:
            is_looking: Whether data, losses, modules and all weights are looked at in it.
            is_by_hand: Whether no optimizer updates the weights.
        """
        was_looking, self.is_looking = self.is_looking, is_looking
        self._tap.calls.is_looking = is_looking
        self.losses.begin_step(is_armed=is_looking)
        if is_looking:
            self.inventory.begin_step(is_by_hand=is_by_hand, was_armed=was_looking)

    def before_update(
        self,
        step: int,
        optimizer: torch.optim.Optimizer | None,
        given: Collection[int],
        *,
        has_closure: bool = False,
        scale: Tensor | None = None,
    ) -> None:
        """Note deaths, gradients and weights while the weights are still those of an armed step.

        Args:
            step: The present one.
            optimizer: Who updates; None stands for an update by hand.
            given: The ``id`` of each parameter that is updated.
            has_closure: Whether the gradients are computed within the update.
            scale: What the gradients are multiplied by; None for nothing.
        """
        self.evidence.note_input(step, self._tap.calls.last_input)
        self.note_falls(step)
        norm = self.flows.before_update(
            self._tap.tallies, given, has_closure=has_closure, scale=scale
        )
        if self.is_looking:
            self.inventory.before_update(optimizer, step, has_closure=has_closure, scale=scale)
        self.evidence.note_gradient(step, norm)

    def after_update(self, step: int) -> None:
        """Note what the update of an armed step did."""
        norm = self.flows.after_update(self._tap.tallies)
        if self.is_looking:
            self.inventory.after_update(step)
        if math.isfinite(norm):
            self.evidence.note_gradient(step, norm)

    def note_falls(self, step: int) -> None:
        """Bring the lifetimes up to an armed step, and certify who fell silent in it."""
        note_falls(self._tap.tallies, step, self._last_armed, self.flows, self.certificates)

    def end_armed_step(self, step: int) -> None:
        """End an armed step; the first fault of what was called in it is raised here."""
        fault = self._tap.fault or self._tap.calls.fault or self.losses.fault
        if fault is not None:
            raise fault
        self.note_falls(step)
        self._last_armed = step

    def note_large_weights(self) -> None:
        """Take note of the weights that were too large to be copied, each once."""
        for name in sorted(self.flows.uncopied - self._large):
            self._unobserved.note("update ratio and row changes: the weights are large", name)
        self._large = set(self.flows.uncopied)
