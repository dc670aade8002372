"""Where a training shows itself: its losses, its updates, its loaders; nothing of them changes."""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

Optimizer = torch.optim.Optimizer


class Listener(Protocol):
    """Who is told; none of its methods may raise."""

    def before_backward(self, loss: Tensor | None) -> None:
        """A loss is about to be differentiated; None where it is no scalar."""
        ...

    def after_backward(self) -> None:
        """It has been."""
        ...

    def before_update(self, optimizer: Optimizer, *, has_closure: bool) -> None:
        """An optimizer is about to update its parameters."""
        ...

    def after_update(self, optimizer: Optimizer) -> None:
        """It has done so."""
        ...

    def begin_epoch(self, loader: object) -> None:
        """A loader begins to be read from its start."""
        ...


class Seams:
    """The hooks and patches by which a listener hears of a training.

    A loss is taken as it is before a gradient scaler scales it. An optimizer that steps another
    one inside itself makes one update.

    Args:
        listener: Who is told.

    Attributes:
        gradient_scale: What gradients are multiplied by, a scalar on their device; None: nothing.
    """

    def __init__(self, listener: Listener) -> None:
        self.gradient_scale: Tensor | None = None
        self._listener = listener
        self._depth = 0
        self._unscaled: tuple[weakref.ref[Tensor], Tensor] | None = None
        self._hooks: list[RemovableHandle] = []
        self._patches: list[tuple[Any, str, Any]] = []

    def install(self) -> None:
        """Begin to listen."""
        self._hooks = [
            register_optimizer_step_pre_hook(self._enter_update),
            register_optimizer_step_post_hook(self._leave_update),
        ]
        self._patch(torch.autograd, "backward", self._backward)
        self._patch(torch.autograd, "grad", self._grad)
        self._patch(torch.amp.GradScaler, "scale", self._scale)
        self._patch(torch.utils.data.DataLoader, "__iter__", self._iterate)

    def remove(self) -> None:
        """Stop listening and put everything back."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        while self._patches:
            holder, name, original = self._patches.pop()
            setattr(holder, name, original)

    def _patch(self, holder: Any, name: str, around: Callable[..., Any]) -> None:
        original = getattr(holder, name)

        def wrapper(*args: Any, **named: Any) -> Any:
            return around(original, *args, **named)

        self._patches.append((holder, name, original))
        setattr(holder, name, functools.wraps(original)(wrapper))

    def _backward(self, original: Callable[..., Any], *args: Any, **named: Any) -> Any:
        given = args[0] if args else named.get("tensors")
        self._listener.before_backward(self._loss(given))
        result = original(*args, **named)
        self._listener.after_backward()
        return result

    def _grad(self, original: Callable[..., Any], *args: Any, **named: Any) -> Any:
        outputs = args[0] if args else named.get("outputs")
        inputs = args[1] if len(args) > 1 else named.get("inputs")
        creates = args[4] if len(args) > 4 else named.get("create_graph", False)
        loss = self._loss(outputs)
        if loss is None or creates or not _are_weights(inputs):
            return original(*args, **named)
        self._listener.before_backward(loss)
        result = original(*args, **named)
        self._listener.after_backward()
        return result

    def _loss(self, given: Any) -> Tensor | None:
        """Return the scalar that is differentiated, as it was before it was scaled."""
        if isinstance(given, Sequence) and len(given) == 1:
            given = given[0]
        if not isinstance(given, Tensor) or given.numel() != 1 or given.is_complex():
            return None
        if self._unscaled is not None:
            scaled, loss = self._unscaled
            if scaled() is given:
                return loss
        return given.detach()

    def _scale(self, original: Callable[..., Any], scaler: Any, outputs: Any) -> Any:
        result = original(scaler, outputs)
        if isinstance(outputs, Tensor) and isinstance(result, Tensor) and scaler.is_enabled():
            self._unscaled = (weakref.ref(result), outputs.detach())
            self.gradient_scale = getattr(scaler, "_scale", None)
        return result

    def _iterate(self, original: Callable[..., Any], loader: Any) -> Any:
        self._listener.begin_epoch(loader)
        return original(loader)

    def _enter_update(
        self, optimizer: Optimizer, args: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        self._depth += 1
        if self._depth == 1:
            has_closure = any(map(callable, (*args[1:], *named.values())))
            self._listener.before_update(optimizer, has_closure=has_closure)

    def _leave_update(self, optimizer: Optimizer, _: object, __: object) -> None:
        self._depth = max(0, self._depth - 1)
        if self._depth == 0:
            self._listener.after_update(optimizer)


def _are_weights(inputs: Any) -> bool:
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs or ())
    return bool(given) and all(isinstance(each, nn.Parameter) or each.is_leaf for each in given)
