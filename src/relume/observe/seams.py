"""Where a training shows itself: its losses, its updates, its loaders; nothing of them changes."""

import functools
import math
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from relume.observe.quick import AFTER_UPDATE, BACKWARD, BEFORE_UPDATE, Quick

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

Optimizer = torch.optim.Optimizer


class Listener(Protocol):
    """Who is told; what its methods raise goes to ``fail``, which may not raise."""

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

    def skip_update(self) -> None:
        """An update was left out, since its gradients were not finite."""
        ...

    def begin_epoch(self, loader: object) -> None:
        """A loader begins to be read from its start."""
        ...

    def fail(self, error: Exception) -> None:
        """Something of ours failed."""
        ...


class Seams:
    """The hooks and patches by which a listener hears of a training.

    A loss is taken as it is before a gradient scaler scales it. An optimizer that steps another
    one inside itself makes one update. No fault of ours or of the listener's gets out of here.

    Args:
        listener: Who is told.

    Attributes:
        gradient_scale: What gradients are multiplied by, a scalar on their device; None: nothing.
        quick: The short way of steps that are not measured; None without one.
        on_eval: Told that a module is put into eval mode.
        is_weight: Whether a tensor, by which ``autograd.grad`` differentiates, is trained.
    """

    def __init__(self, listener: Listener) -> None:
        self.gradient_scale: Tensor | None = None
        self.is_weight: Callable[[Tensor], bool] = lambda each: isinstance(each, nn.Parameter)
        self.on_eval: Callable[[], None] = lambda: None
        self.quick: Quick | None = None
        self._listener = listener
        self._depth = 0
        self._updates = 0
        self._unscaled: tuple[weakref.ref[Tensor], Tensor] | None = None
        self._hooks: list[RemovableHandle] = []
        self._patches: list[tuple[Any, str, Any]] = []

    def install(self) -> None:
        """Begin to listen."""
        enter = self._short(BEFORE_UPDATE, self._enter_update)
        leave = self._short(AFTER_UPDATE, self._leave_update)
        self._hooks = [
            register_optimizer_step_pre_hook(enter),
            register_optimizer_step_post_hook(leave),
        ]
        self._patch_backward()
        self._patch(torch.autograd, "grad", self._grad)
        self._patch(torch.amp.GradScaler, "scale", self._scale)
        self._patch(torch.amp.GradScaler, "step", self._scaled_step)
        self._patch(torch.utils.data.DataLoader, "__iter__", self._iterate)
        self._patch(nn.Module, "eval", self._eval)

    def remove(self) -> None:
        """Stop listening and put everything back."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        while self._patches:
            holder, name, original = self._patches.pop()
            setattr(holder, name, original)

    def _short(self, kind: int, long_way: Callable[..., Any]) -> Callable[..., Any]:
        if self.quick is None:
            return long_way
        self.quick.seams = self
        return self.quick.short(kind, long_way)

    def _patch(self, holder: Any, name: str, around: Callable[..., Any]) -> None:
        original = getattr(holder, name)

        def wrapper(*args: Any, **named: Any) -> Any:
            return around(original, *args, **named)

        self._patches.append((holder, name, original))
        setattr(holder, name, functools.wraps(original)(wrapper))

    def _patch_backward(self) -> None:
        original, long_way = torch.autograd.backward, self._backward

        def backward(*args: Any, **named: Any) -> Any:
            quick, is_taken = self.quick, False
            if quick is not None and quick.is_on and self.gradient_scale is None and args:
                try:
                    is_taken = not _is_within_backward() and quick.takes_loss(args[0])
                except Exception as error:  # noqa: BLE001
                    quick.fail(error)
            if is_taken:
                return original(*args, **named)
            return long_way(original, *args, **named)

        patched: Callable[..., Any] = functools.wraps(original)(backward)
        if self.quick is not None:
            patched = self.quick.short(BACKWARD, patched, original)
        self._patches.append((torch.autograd, "backward", original))
        torch.autograd.backward = patched

    def _tell(self, action: Callable[..., None], *args: Any) -> None:
        try:
            action(*args)
        except Exception as error:  # noqa: BLE001
            self._listener.fail(error)

    def _backward(self, original: Callable[..., Any], *args: Any, **named: Any) -> Any:
        listener, is_inner = self._listener, False
        try:
            is_inner = _is_within_backward()
            if not is_inner:
                listener.before_backward(self._loss(args[0] if args else named.get("tensors")))
        except Exception as error:  # noqa: BLE001
            listener.fail(error)
        result = original(*args, **named)
        try:
            if not is_inner:
                listener.after_backward()
        except Exception as error:  # noqa: BLE001
            listener.fail(error)
        return result

    def _before_backward(self, given: Any) -> None:
        self._listener.before_backward(self._loss(given))

    def _grad(self, original: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if len(args) > 1 and isinstance(args[1], Iterator):
            args = (args[0], tuple(args[1]), *args[2:])  # it can be read only once
        elif isinstance(named.get("inputs"), Iterator):
            named["inputs"] = tuple(named["inputs"])
        inputs = args[1] if len(args) > 1 else named.get("inputs")
        creates = args[4] if len(args) > 4 else named.get("create_graph", False)
        if creates or not self._are_weights(inputs):
            return original(*args, **named)
        self._tell(self._before_backward, args[0] if args else named.get("outputs"))
        result = original(*args, **named)
        self._tell(self._listener.after_backward)
        return result

    def _are_weights(self, inputs: Any) -> bool:
        given = [inputs] if isinstance(inputs, Tensor) else inputs
        try:
            return not _is_within_backward() and any(
                isinstance(each, Tensor) and self.is_weight(each) for each in given or ()
            )
        except Exception as error:  # noqa: BLE001
            self._listener.fail(error)
            return False

    def _loss(self, given: Any) -> Tensor | None:
        """Return the sum of the scalars that are differentiated, as before they were scaled."""
        if type(given) is Tensor and self.gradient_scale is None and _is_loss(given):
            loss: Tensor = given
            return loss  # the usual case, with its graph
        losses = [given] if isinstance(given, Tensor) else list(given)
        if not losses or not all(map(_is_loss, losses)):
            return None
        found = [self._as_before_scaling(loss) for loss in losses]
        return found[0] if len(found) == 1 else torch.stack([x.reshape(()) for x in found]).sum()

    def _as_before_scaling(self, given: Tensor) -> Tensor:
        if self._unscaled is not None:
            scaled, loss = self._unscaled
            if scaled() is given:
                return loss
        if self.gradient_scale is not None:  # derived from what was scaled
            return given.detach() / self.gradient_scale.to(given.device)
        return given.detach()

    def _scale(self, original: Callable[..., Any], scaler: Any, outputs: Any) -> Any:
        result = original(scaler, outputs)
        self._tell(self._note_scale, scaler, outputs, result)
        return result

    def _note_scale(self, scaler: Any, outputs: Any, result: Any) -> None:
        if not scaler.is_enabled():
            return
        self.gradient_scale = getattr(scaler, "_scale", None)
        if isinstance(outputs, Tensor) and isinstance(result, Tensor):
            self._unscaled = (weakref.ref(result), outputs.detach())

    def _scaled_step(
        self, original: Callable[..., Any], scaler: Any, optimizer: Any, *args: Any, **named: Any
    ) -> Any:
        updates = self._updates + getattr(self.quick, "updates", 0)
        result = original(scaler, optimizer, *args, **named)
        if self._updates + getattr(self.quick, "updates", 0) == updates:
            self._tell(self._skip_update)
        return result

    def _skip_update(self) -> None:
        self._forget_scale()
        self._listener.skip_update()

    def _forget_scale(self) -> None:
        self.gradient_scale = self._unscaled = None

    def _iterate(self, original: Callable[..., Any], loader: Any) -> Any:
        self._tell(self._listener.begin_epoch, loader)
        return original(loader)

    def _eval(self, original: Callable[..., Any], module: nn.Module) -> Any:
        if not torch.compiler.is_compiling():
            self._tell(self.on_eval)
        return original(module)

    def _enter_update(
        self, optimizer: Optimizer, args: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        try:
            if self.quick is not None and self._depth == 0 and self.quick.takes_update(optimizer):
                self._depth = 1
                return
            # An update that raised has no end: then the steps under way are counted anew.
            self._depth = 1 if self._depth == 0 else max(1, _steps_under_way(sys._getframe()))  # noqa: SLF001
            if self._depth == 1:
                has_closure = len(args) > 1 or bool(named)
                if has_closure:
                    has_closure = any(map(callable, (*args[1:], *named.values())))
                self._listener.before_update(optimizer, has_closure=has_closure)
        except Exception as error:  # noqa: BLE001
            self._listener.fail(error)

    def _leave_update(self, optimizer: Optimizer, _: object, __: object) -> None:
        try:
            self._updates += 1
            quick = self.quick
            if quick is not None and self._depth == 1 and quick.ends_update(optimizer):
                self._depth = 0
                return
            depth = self._depth
            self._depth = 0 if depth <= 1 else _steps_under_way(sys._getframe()) - 1  # noqa: SLF001
            if self._depth <= 0:
                self._forget_scale()
                self._listener.after_update(optimizer)
        except Exception as error:  # noqa: BLE001
            self._listener.fail(error)


def rate_of(optimizer: Optimizer) -> float:
    """Return the rate of the first group; nan where it has none that can be read at once."""
    rate = optimizer.param_groups[0].get("lr", math.nan)
    is_elsewhere = isinstance(rate, Tensor) and (rate.device.type != "cpu" or rate.numel() != 1)
    return math.nan if is_elsewhere else float(rate)


def _is_loss(given: Any) -> bool:
    """Whether it is a single real number that can be read."""
    return (
        isinstance(given, Tensor)
        and given.numel() == 1
        and not given.is_complex()
        and given.device.type != "meta"
        and not isinstance(given, FakeTensor)
    )


def _steps_under_way(frame: FrameType | None) -> int:
    """Return how many optimizers are being stepped: the wrapper that calls the hooks, counted."""
    count = 0
    while frame is not None:
        count += frame.f_code in _STEP_CODES
        frame = frame.f_back
    return count


_STEP_CODES = frozenset(
    code for code in Optimizer.profile_hook_step.__code__.co_consts if hasattr(code, "co_code")
)


def _is_within_backward() -> bool:
    """Whether a backward pass is under way: one inside it belongs to a reentrant checkpoint."""
    return torch._C._current_graph_task_id() != -1  # noqa: SLF001
