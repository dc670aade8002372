"""Noticing the optimizers that update a model, whoever steps them."""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

Before = Callable[[Collection[int], bool], object]
After = Callable[[], object]


class Updates:
    """The updates of a model's parameters, told by torch as they happen; reads only.

    An optimizer that steps another one inside itself (sharpness-aware minimisation) makes one
    update. Optimizers of other parameters are passed over.

    Args:
        model: Whose parameters are meant.
        before: Called before each update with the ``id`` of each parameter in it, and whether the
            gradients are computed within the update, by a closure.
        after: Called after each update.

    Attributes:
        count: Updates since ``begin_step``.
        learning_rate: Of the first of them; nan while there was none.
    """

    def __init__(self, model: nn.Module, before: Before, after: After) -> None:
        self.count = 0
        self.learning_rate = math.nan
        self._ours = {id(parameter) for parameter in model.parameters()}
        self._before = before
        self._after = after
        self._depth = 0

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Notice every update inside the block; no hook is left after it."""
        hooks = (
            register_optimizer_step_pre_hook(self._enter),
            register_optimizer_step_post_hook(self._leave),
        )
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def begin_step(self) -> None:
        """Begin to count anew."""
        self.count = self._depth = 0

    def _enter(
        self, optimizer: torch.optim.Optimizer, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        parameters = _parameters(optimizer)
        if parameters.isdisjoint(self._ours):
            return
        self._depth += 1
        if self._depth == 1:
            if self.count == 0:
                self.learning_rate = float(optimizer.param_groups[0].get("lr", math.nan))
            has_closure = any(map(callable, (*arguments[1:], *named.values())))
            self._before(parameters, has_closure)

    def _leave(self, optimizer: torch.optim.Optimizer, _: object, __: object) -> None:
        if self._depth == 0 or _parameters(optimizer).isdisjoint(self._ours):
            return
        self._depth -= 1
        if self._depth == 0:
            self.count += 1
            self._after()


def _parameters(optimizer: torch.optim.Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
