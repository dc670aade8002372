"""The weights, modules and optimizers of a training that is watched, on armed steps."""

from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relume.observe.calls import Calls
from relume.observe.flows import Flows
from relume.observe.module_facts import ModuleObserver
from relume.observe.naming import Names
from relume.observe.observer import Observer
from relume.observe.optimizer_facts import OptimizerObserver
from relume.observe.stepping import MOST_WATCHED, fingerprint
from relume.observe.unobserved import Unobserved
from relume.observe.weight_book import WeightBook
from relume.observe.weight_facts import WeightObserver
from relume.observe.weight_flows import WeightFlows
from relume.runs.records import WeightWindow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Inventory:
    """Everything that is trained and that trains it, told of an armed step as it goes on.

    Args:
        names: Knows the models.
        calls: Tells which modules are called.
        flows: Gradients and updates of the weights that feed activations.
        unobserved: Takes note of what is left out.

    Attributes:
        optimizers: Told of every update that does not take the short way, armed or not.
    """

    def __init__(self, names: Names, calls: Calls, flows: Flows, unobserved: Unobserved) -> None:
        self.optimizers = OptimizerObserver()
        self._book = WeightBook(names, unobserved)
        self._site_flows = flows
        self._flows = WeightFlows(self._book, flows, unobserved)
        self._weights = WeightObserver(self._book, self._flows)
        self._modules = ModuleObserver(names, calls, unobserved)
        self._has_begun = False  # a backward pass of this step
        self._is_by_hand = False
        self._marks: dict[int, object] = {}

    @property
    def observers(self) -> tuple[Observer, ...]:
        """What hands out facts."""
        return (self._weights, self._modules, self.optimizers)

    @property
    def names(self) -> list[str]:
        """The matrices that are measured, in the order of ``window``; it only ever grows."""
        return [self._book.weights[place].name for place in self._book.matrices]

    def settle(self) -> None:
        """Read what lies on other devices than the CPU, of the weights that feed sites too."""
        self._site_flows.settle()
        self._flows.settle()

    def window(self) -> tuple[WeightWindow, ...]:
        """Return what was seen of each matrix since the last time."""
        return self._flows.window()

    def begin_step(self, *, is_by_hand: bool, was_armed: bool) -> None:
        """Begin an armed step.

        Args:
            is_by_hand: Whether no optimizer updates the weights.
            was_armed: Whether the step before was armed too.
        """
        self._has_begun = False
        self._is_by_hand = is_by_hand
        self._flows.begin_step(is_after_update=not (was_armed or is_by_hand))
        self._modules.begin_step()
        self.optimizers.begin_step()
        self._marks = self._fingerprints() if is_by_hand else {}

    def rest(self) -> None:
        """Let go of what is only for the armed step."""
        self._modules.rest()

    def before_backward(self, *, is_after_update: bool = False) -> None:
        """Take note that a backward pass of an armed step begins.

        Args:
            is_after_update: Whether the weights have just been updated by hand.
        """
        if not self._has_begun:
            self._has_begun = True
            self._modules.begin_pass()
        if self._book.is_behind:
            self._weights.refresh()
        if self._is_by_hand and self._marks:
            is_after_update |= self._fingerprints() != self._marks
        self._flows.begin_pass(is_after_update=is_after_update)
        self.optimizers.note_pass()

    def before_update(
        self,
        optimizer: torch.optim.Optimizer | None,
        step: int,
        *,
        has_closure: bool,
        scale: Tensor | None,
    ) -> None:
        """Note gradients and weights before an update; None stands for one by hand."""
        if optimizer is None:
            places: Collection[int] = range(len(self._book.weights))
            bystanders: Sequence[int] = ()
        else:
            places = self._weights.places_of(optimizer)
            bystanders = self._weights.bystanders
        self._flows.before_update(
            list(places), bystanders, step, has_closure=has_closure, scale=scale
        )

    def after_update(self, step: int, *, is_by_hand: bool = False) -> None:
        """Note what an update did."""
        self._flows.after_update(step, is_by_hand=is_by_hand)

    def _fingerprints(self) -> dict[int, object]:
        weights = islice(self._book.weights, MOST_WATCHED)
        return {id(weight.tensor): fingerprint(weight.tensor) for weight in weights}
