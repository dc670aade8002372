"""Where one training step ends and the next begins, told from losses and updates alone."""

import weakref
from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor

from relume.observe.sharding import is_readable

MOST_WATCHED = 4


class Stepper:
    """Counts training steps.

    A step ends with an update of the leading optimizer: the first that updates, or another once it
    has updated twice without the leader or the leader is gone. So a discriminator and a generator
    share a step, and so do all backward passes whose gradients are accumulated. Where no optimizer
    ever updates but the weights change between two backward passes, they are updated by hand, and
    a step ends with its backward pass.

    Attributes:
        number: Steps that have ended.
        is_by_hand: Whether no optimizer updates the weights.
        others: Updates of other optimizers since the last one of the leader, by their id.
    """

    def __init__(self) -> None:
        self.number = 0
        self.is_by_hand = False
        self._leader: weakref.ref[object] | None = None
        self.others: dict[int, int] = {}
        self._fingerprints: dict[int, object] = {}

    @property
    def has_leader(self) -> bool:
        """Whether an optimizer was seen to update."""
        return self._leader is not None

    @property
    def leader(self) -> weakref.ref[object] | None:
        """The leading optimizer; None before one was seen."""
        return self._leader

    def count(self) -> int:
        """Tell of an update of the leader; return the number of the step that it ends."""
        self.others.clear()
        self.number += 1
        return self.number

    def is_end_after_update(self, optimizer: object) -> bool:
        """Tell of an update; return whether it ends the step."""
        self.is_by_hand = False
        leader = self._leader() if self._leader is not None else None
        if leader is not None and leader is not optimizer:
            this = id(optimizer)
            self.others[this] = self.others.get(this, 0) + 1
            if self.others[this] < 2:
                return False
        if leader is not optimizer:
            self._leader = weakref.ref(optimizer)
        self.count()
        return True

    def is_end_before_backward(self, weights: Iterable[Tensor]) -> bool:
        """Tell that a backward pass begins; return whether a hand-made update ended the last one.

        Args:
            weights: Some of what is trained.
        """
        if self._leader is not None or self.is_by_hand:
            return False
        now = {id(weight): fingerprint(weight) for weight in islice(weights, MOST_WATCHED)}
        before, self._fingerprints = self._fingerprints, now
        is_changed = any(before.get(key, value) != value for key, value in now.items())
        is_replaced = bool(before) and before.keys().isdisjoint(now)  # each step makes new tensors
        self.is_by_hand = is_changed or is_replaced
        self.number += self.is_by_hand
        return self.is_by_hand

    def is_end_after_backward(self) -> bool:
        """Tell that a backward pass has ended; return whether the step ends with it."""
        self.number += self.is_by_hand
        return self.is_by_hand


def fingerprint(weight: Tensor) -> object:
    """Return something that changes with a tensor; its version where its numbers are not read.

    They are read on the CPU alone, where they are not sharded.
    """
    if weight.device.type != "cpu" or not weight.numel() or not is_readable(weight):
        return weight._version  # noqa: SLF001
    with torch.no_grad():
        return (weight._version, weight.detach().reshape(-1)[:64].double().sum().item())  # noqa: SLF001
