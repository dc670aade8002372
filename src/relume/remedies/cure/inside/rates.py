"""Treatments of the optimizer at each step: its rate, its gradients, what it holds."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from relume.remedies.cure.inside.left_out import is_looked_at, parameters_left_out
from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.place import CodePlace


class Rate(Listener):
    """Multiplies every learning rate, before a schedule takes it as the first.

    Args:
        factor: By what.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def optimizer_made(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Multiply it."""
        for group in optimizer.param_groups:
            if "lr" in group:
                group["lr"] = group["lr"] * self._factor
        if "lr" in optimizer.defaults:
            optimizer.defaults["lr"] = optimizer.defaults["lr"] * self._factor


class OneRate(Listener):
    """Gives all groups of parameters one learning rate.

    Args:
        rate: Which.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def optimizer_made(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Set it."""
        for group in optimizer.param_groups:
            group["lr"] = self._rate
        optimizer.defaults["lr"] = self._rate


class HoldRate(Listener):
    """Updates with the rates that an optimizer was made with, or that a schedule has set.

    Whatever else writes into the groups is undone.
    """

    def __init__(self) -> None:
        self._rates: dict[int, list[Any]] = {}

    def before_update(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Put them back."""
        groups = optimizer.param_groups
        rates = self._rates.setdefault(id(optimizer), [group["lr"] for group in groups])
        for group, rate in zip(groups, rates, strict=False):
            group["lr"] = rate

    def wants_schedule_step(self, scheduler: Any, place: CodePlace | None) -> bool:
        """Put them back before a schedule goes on from them."""
        self.before_update(scheduler.optimizer, place)
        return True

    def schedule_stepped(self, optimizer: Optimizer) -> None:
        """Take what the schedule has set."""
        self._rates[id(optimizer)] = [group["lr"] for group in optimizer.param_groups]


class WarmUp(Listener):
    """Lets the rate grow linearly over the first steps.

    Args:
        steps: Over how many.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done: dict[int, int] = {}
        self._rates: dict[int, list[Any]] = {}

    def before_update(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Lower the rate for this step."""
        done = self._done.get(id(optimizer), 0) + 1
        self._done[id(optimizer)] = done
        if done < self._steps:
            self._rates[id(optimizer)] = [group["lr"] for group in optimizer.param_groups]
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * done / self._steps

    def after_update(self, optimizer: Optimizer) -> None:
        """Put the rate back."""
        rates = self._rates.pop(id(optimizer), None)
        if rates is not None:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate


class Clip(Listener):
    """Scales all gradients of an optimizer together, so that their norm is at most a given one.

    Args:
        norm: The greatest.
    """

    def __init__(self, norm: float) -> None:
        self._norm = norm

    def before_update(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Clip."""
        torch.nn.utils.clip_grad_norm_(
            [each for group in optimizer.param_groups for each in group["params"]], self._norm
        )


class FiniteGradients(Listener):
    """Sets entries of gradients that are no finite numbers to zero."""

    def before_update(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Set them."""
        for group in optimizer.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    torch.nan_to_num_(each.grad, 0.0, 0.0, 0.0)


class ZeroGradients(Listener):
    """Takes gradients away before the first backward pass after each update."""

    def __init__(self) -> None:
        self._optimizers: list[Optimizer] = []
        self._is_due = False

    def optimizer_made(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Take note of it."""
        self._optimizers.append(optimizer)

    def before_backward(self, loss: Tensor | None, place: CodePlace | None) -> None:
        """Take them away."""
        if self._is_due:
            for each in self._optimizers:
                each.zero_grad()
        self._is_due = False

    def after_update(self, optimizer: Optimizer) -> None:
        """From now on they are old."""
        self._is_due = True


class AddParameters(Listener):
    """Gives the first optimizer what the loss depends on and no optimizer holds."""

    def __init__(self) -> None:
        self._optimizers: list[Optimizer] = []
        self._steps = 0

    def optimizer_made(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Take note of it."""
        self._optimizers.append(optimizer)

    def before_backward(self, loss: Tensor | None, place: CodePlace | None) -> None:
        """Look for what is left out."""
        if loss is None or not self._optimizers or not is_looked_at(self._steps):
            return
        missing = parameters_left_out(loss, self._optimizers)
        if missing:  # no group of their own: schedules have a rate for each group that they know
            group = self._optimizers[0].param_groups[0]
            group["params"] = [*group["params"], *missing]

    def after_update(self, optimizer: Optimizer) -> None:
        """Count."""
        self._steps += 1


class Schedule(Listener):
    """Steps the program's schedules once a pass over the data, or not at all.

    Args:
        when: ``epoch`` or ``never``.
    """

    def __init__(self, when: str) -> None:
        self._when = when
        self._waiting: dict[int, Any] = {}
        self._is_own = False

    def wants_schedule_step(self, scheduler: Any, place: CodePlace | None) -> bool:
        """Keep it for the end of the epoch."""
        if self._is_own:
            return True
        if self._when == "epoch":
            self._waiting[id(scheduler)] = scheduler
        return False

    def begin_epoch(self, loader: Any, place: CodePlace | None) -> None:
        """Take the steps that were kept."""
        waiting, self._waiting = self._waiting, {}
        self._is_own = True
        try:
            for each in waiting.values():
                each.step()
        finally:
            self._is_own = False
