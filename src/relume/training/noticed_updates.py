"""Noticing the optimizers that update a model inside a step of one's own."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from relume.monitor import Monitor
from relume.observe.seams import Seams, rate_of


class NoticedUpdates:
    """The updates of a model's parameters, told by torch as they happen; reads only.

    An optimizer that steps another one inside itself (sharpness-aware minimisation) makes one
    update. Optimizers of other parameters are passed over.

    Args:
        model: Whose parameters are meant.
        monitor: What records them; they are counted whatever becomes of it.

    Attributes:
        count: Updates since ``begin_step``.
        learning_rate: Of the first of them; nan while there was none.
    """

    def __init__(self, model: nn.Module, monitor: Monitor) -> None:
        self.count = 0
        self.learning_rate = math.nan
        self._ours = {id(parameter) for parameter in model.parameters()}
        self._monitor = monitor
        self._seams = Seams(self)
        self._is_away = False

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Notice every update inside the block; nothing is left behind after it."""
        self._monitor.read_scale(lambda: self._seams.gradient_scale)
        try:
            self._seams.install()
            yield
        finally:
            self._seams.remove()

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Take note of nothing inside the block: it is no part of the training."""
        self._is_away = True
        try:
            yield
        finally:
            self._is_away = False

    def begin_step(self) -> None:
        """Begin to count anew."""
        self.count = 0

    def before_backward(self, loss: Tensor | None) -> None:
        """Take note of a loss."""
        if not self._is_away:
            self._monitor.before_backward(loss)

    def after_backward(self) -> None:
        """Take note of a backward pass that has ended."""
        if not self._is_away:
            self._monitor.end_backward()

    def before_update(self, optimizer: torch.optim.Optimizer, *, has_closure: bool) -> None:
        """Take note of gradients and weights before an update of ours."""
        if self._is_noted(optimizer):
            if self.count == 0:
                self.learning_rate = rate_of(optimizer)
            scale = getattr(optimizer, "grad_scale", None)
            self._monitor.before_update(optimizer, has_closure=has_closure, scale=scale)

    def after_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Take note of an update, if it was one of ours."""
        if self._is_noted(optimizer):
            self.count += 1
            self._monitor.end_update()

    def skip_update(self) -> None:
        """Do nothing: an update that was left out is none."""

    def begin_epoch(self, loader: object) -> None:
        """Take note that a loader is read from its start; epochs are counted by the loop."""
        if not self._is_away:
            self._monitor.begin_reading(loader)

    def _is_noted(self, optimizer: torch.optim.Optimizer) -> bool:
        return not self._is_away and not _parameters(optimizer).isdisjoint(self._ours)

    def fail(self, error: Exception) -> None:
        """Let the monitor record no more."""
        self._monitor.fail(error)


def _parameters(optimizer: torch.optim.Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
