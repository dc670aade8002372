"""The seams of torch at which treatments, survey and records hear of a training.

Everything is patched when torch has just been imported, before the person's code can keep a
function of it. Unlike those of a watch, these seams may change what passes through them: that is
what a trial is for.
"""

import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer, lr_scheduler
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from relume.observe.intercept import forget_in_jit, tell_dynamo, tell_jit
from relume.remedies.cure.inside.frames import (
    calling_module,
    construction_place,
    is_called_by_the_person,
    user_place,
)
from relume.remedies.cure.inside.listener import ActivationCall, Listener, LossCall

ACTIVATIONS = (
    "relu", "relu_", "relu6", "leaky_relu", "elu", "selu", "gelu", "softplus", "tanh", "sigmoid",
    "softmax", "log_softmax",
)  # fmt: skip
LOSSES = (
    "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
)  # fmt: skip
SCHEDULERS = tuple(
    each
    for each in vars(lr_scheduler).values()
    if inspect.isclass(each)
    and issubclass(each, (lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau))
    and "step" in vars(each)
)
"""Schedules with a step of their own."""


class Injector:
    """Patches torch, and tells listeners in their order.

    Args:
        listeners: Who hears; what one changes, the next one is given.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._patches: list[tuple[Any, str, Any, bool]] = []
        self._hooks: list[Any] = []
        self._inside = threading.local()

    def install(self) -> None:
        """Patch torch."""
        for name in ACTIVATIONS:
            for holder in (functional, torch, Tensor):
                if hasattr(holder, name):
                    self._patch_function(holder, name, functools.partial(self._activation, name))
        self._patch_operations()
        for name in LOSSES:
            self._patch_function(functional, name, functools.partial(self._loss, name))
        self._patch(nn.Module, "__init__", self._make_module)
        self._patch(nn.Module, "__call__", self._call_module)
        self._patch(Optimizer, "__init__", self._make_optimizer)
        self._patch(torch.autograd, "backward", self._backward)
        self._patch(torch.utils.data.DataLoader, "__iter__", self._iterate)
        for scheduler in SCHEDULERS:
            self._patch(scheduler, "step", self._step_schedule)
        self._hooks = [
            register_optimizer_step_pre_hook(self._before_update),
            register_optimizer_step_post_hook(self._after_update),
        ]

    def _patch_operations(self) -> None:
        """Patch what only some treatments ask for."""
        if any(type(each).root is not Listener.root for each in self._listeners):
            for holder in (torch, Tensor):
                self._patch_function(holder, "sqrt", self._root)
        if any(type(each).difference is not Listener.difference for each in self._listeners):
            self._patch(Tensor, "__sub__", self._difference)

    def remove(self) -> None:
        """Put everything back."""
        while self._patches:
            holder, name, original, is_own = self._patches.pop()
            forget_in_jit(vars(holder)[name])
            if is_own:
                setattr(holder, name, original)
            else:
                delattr(holder, name)  # it was inherited
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _patch(self, holder: Any, name: str, around: Callable[..., Any]) -> None:
        original = getattr(holder, name)

        def wrapper(*args: Any, **named: Any) -> Any:
            return around(original, *args, **named)

        self._patches.append((holder, name, original, name in vars(holder)))
        setattr(holder, name, _like(original, wrapper))

    def _patch_function(self, holder: Any, name: str, around: Callable[..., Any]) -> None:
        """Patch a function; where TorchScript or Dynamo compile it, they compile torch's own."""
        own = getattr(holder, name)
        own = vars(own).get("__original_fn", own) if hasattr(own, "__dict__") else own
        self._patch(holder, name, around)
        tell_jit(own, getattr(holder, name))
        tell_dynamo(own, getattr(holder, name))

    def _enter(self, what: str) -> bool:
        """Return whether this is the outermost call of a kind in this thread, and enter it."""
        if getattr(self._inside, what, False):
            return False
        setattr(self._inside, what, True)
        return True

    def _leave(self, what: str) -> None:
        setattr(self._inside, what, False)

    def _activation(self, function: str, original: Any, *args: Any, **named: Any) -> Any:
        if not args or not isinstance(args[0], Tensor) or not self._enter("activation"):
            return original(*args, **named)
        try:
            name, options = function.rstrip("_"), (*args[1:], *named.values())
            call = ActivationCall(name, args[0], user_place(2), calling_module(2), options)
            for each in self._listeners:
                stands = each.replace_activation(call)
                if stands is not None:
                    return stands
            output = original(*args, **named)
            for each in self._listeners:
                each.activation_done(call, output)
            return output
        finally:
            self._leave("activation")

    def _root(self, original: Any, *args: Any, **named: Any) -> Any:
        is_learned = bool(args) and isinstance(args[0], Tensor) and args[0].requires_grad
        if not is_learned or not torch.is_grad_enabled() or not is_called_by_the_person(2):
            return original(*args, **named)
        value, place = args[0], user_place(2)
        if place is not None:
            for each in self._listeners:
                value = each.root(value, place)
        return original(value, *args[1:], **named)

    def _difference(self, original: Any, left: Any, right: Any) -> Any:
        is_meant = (
            isinstance(right, Tensor)
            and left.shape != right.shape
            and (left.requires_grad or right.requires_grad)
            and torch.is_grad_enabled()
            and is_called_by_the_person(2)
        )
        place = user_place(2) if is_meant else None
        if place is not None:
            for each in self._listeners:
                left, right = each.difference(left, right, place)
        return original(left, right)

    def _loss(self, function: str, original: Any, *args: Any, **named: Any) -> Any:
        if not self._enter("loss"):
            return original(*args, **named)
        try:
            bound = inspect.signature(original).bind(*args, **named)
            given = dict(bound.arguments)
            names = list(given)[:2]
            prediction, target = (given.pop(name) for name in names)
            if not isinstance(prediction, Tensor) or not isinstance(target, Tensor):
                return original(*args, **named)
            place, module = user_place(2), calling_module(2)
            call = LossCall(function, prediction, target, given, place, module)
            theirs = LossCall(function, prediction, target, dict(given), place, module)
            for each in self._listeners:
                each.before_loss(call)
            loss = original(call.prediction, call.target, **call.options)
            for each in self._listeners:
                each.loss_done(theirs, loss)
            return loss
        finally:
            self._leave("loss")

    def _make_module(self, original: Any, module: nn.Module, *args: Any, **named: Any) -> None:
        original(module, *args, **named)
        place = construction_place(module)
        for each in self._listeners:
            each.module_made(module, place)

    def _call_module(self, original: Any, module: nn.Module, *args: Any, **named: Any) -> Any:
        if not _is_model(module) or not self._enter("model"):
            return original(module, *args, **named)
        try:
            place = user_place(2)
            for each in self._listeners:
                args = each.before_model(module, args, place)
            output = original(module, *args, **named)
            for each in self._listeners:
                output = each.after_model(module, output)
            return output
        finally:
            self._leave("model")

    def _make_optimizer(self, original: Any, optimizer: Any, *args: Any, **named: Any) -> None:
        original(optimizer, *args, **named)
        place = construction_place(optimizer)
        for each in self._listeners:
            each.optimizer_made(optimizer, place)

    def _backward(self, original: Any, *args: Any, **named: Any) -> Any:
        if torch._C._current_graph_task_id() == -1:  # noqa: SLF001 (not within a backward pass)
            place = user_place(2)
            given = args[0] if args else named.get("tensors")
            loss = given if isinstance(given, Tensor) else None
            for each in self._listeners:
                each.before_backward(loss, place)
        return original(*args, **named)

    def _before_update(self, optimizer: Optimizer, _args: object, _named: object) -> None:
        place = user_place()
        for each in self._listeners:
            each.before_update(optimizer, place)

    def _after_update(self, optimizer: Optimizer, _args: object, _named: object) -> None:
        for each in self._listeners:
            each.after_update(optimizer)

    def _iterate(self, original: Any, loader: Any) -> Iterator[Any]:
        place = user_place(2)
        for each in self._listeners:
            each.begin_epoch(loader, place)
        changes = any(type(each).batch is not Listener.batch for each in self._listeners)
        return self._batches(original(loader)) if changes else original(loader)

    def _batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        for given in batches:
            batch = given
            for each in self._listeners:
                batch = each.batch(batch)
                if batch is None:
                    break
            else:
                yield batch

    def _step_schedule(self, original: Any, scheduler: Any, *args: Any, **named: Any) -> Any:
        if is_called_by_the_person(2):
            place = user_place(2)
            if not all(each.wants_schedule_step(scheduler, place) for each in self._listeners):
                return None
        done = original(scheduler, *args, **named)
        for each in self._listeners:
            each.schedule_stepped(scheduler.optimizer)
        return done


def _like(original: Any, wrapper: Callable[..., Any]) -> Any:
    try:
        return functools.wraps(original)(wrapper)
    except (AttributeError, TypeError):
        return wrapper


def _is_model(module: nn.Module) -> bool:
    """Whether a module has parameters: a loss or an activation alone is no model."""
    return next(module.parameters(), None) is not None
