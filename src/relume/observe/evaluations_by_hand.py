"""Losses of evaluations that a script writes by hand.

Without gradients there is no graph to read a loss off. So what is computed from the output of a
model, until the next model is called, is computed a second time beside, with a graph, as long as it
is arithmetic that losses are made of. A single number that came about by the same operations as the
loss that is learned from is that loss.
"""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import (
    TorchFunctionMode,
    _get_current_function_mode_stack,
    _pop_mode,
    _push_mode,
)

from relume.observe.calls import Calls
from relume.observe.loss_by_hand import read_loss
from relume.observe.loss_watch import LossWatch
from relume.observe.model_calls import is_model
from relume.observe.plain import is_plain
from relume.observe.tap import ArmedTap

MOST_VALUES = 1 << 22
"""An output with more is not followed."""
MOST_OPERATIONS = 40
"""Operations after an output that are followed."""

FOLLOWED = frozenset({
    "sub", "subtract", "rsub", "__sub__", "__rsub__", "add", "__add__", "__radd__", "mul",
    "multiply", "__mul__", "__rmul__", "div", "true_divide", "__truediv__", "neg", "negative",
    "__neg__", "pow", "__pow__", "square", "sqrt", "abs", "__abs__", "exp", "log", "log1p",
    "log_softmax", "softmax", "sigmoid", "logsigmoid", "softplus", "logsumexp", "xlogy", "clamp",
    "clamp_min", "clamp_max", "clip", "mean", "sum", "gather", "__getitem__", "squeeze",
    "unsqueeze", "view", "reshape", "flatten", "float", "double",
})  # fmt: skip
"""Functions that give the same whenever they are called again, and change nothing."""


class EvaluationsByHand(TorchFunctionMode):
    """Follows what is computed from the outputs of models while gradients are off.

    It stands on torch's stack of modes alone, so that nobody's own mode is ever taken off in its
    place: not while another one is there, and until it is the uppermost again.

    Args:
        losses: Told of the losses.
        tap: Sees nothing of what is computed again.
        is_barred: Returns whether no mode may stand on the stack: beside ``torch.compile``.
    """

    def __init__(self, losses: LossWatch, tap: ArmedTap, is_barred: Callable[[], bool]) -> None:
        super().__init__()
        self._is_barred = is_barred
        self._losses = losses
        self._tap = tap
        self._again: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}
        self._made: dict[Any, Tensor] = {}
        self._left = 0
        self._is_on = self._is_training = False

    def follow(self, calls: Calls) -> None:
        """Follow what is made of the outputs of the models whose calls these are."""
        calls.before_root.append(self.end)
        calls.on_root.append(self._begin)

    def is_wanted(self) -> bool:
        """Whether there is something to follow in an evaluation that begins or is under way."""
        return self._losses.fault is None and self._losses.written.is_wanted()

    def _begin(self, module: nn.Module, output: Any) -> None:
        """Follow what an outermost module has returned, if it is a model that is scored."""
        if torch.is_grad_enabled() or not is_model(module):
            return
        if not self.is_wanted() or self._is_barred():
            return
        self._forget()
        self._is_training = module.training
        for values in _tensors(output):
            if is_plain(values) and values.numel() <= MOST_VALUES:
                self._keep(values, _root(values))
        if self._again and not self._is_on and not _modes():
            _push_mode(self)  # type: ignore[no-untyped-call]
            self._is_on = True
        self._left = MOST_OPERATIONS

    def end(self, module: nn.Module | None = None) -> None:
        """Follow no more, before a model is called or the training goes on."""
        if module is not None and not is_model(module):
            return
        self._forget()
        stack = _modes() if self._is_on else []
        if stack and stack[-1] is self:
            _pop_mode()  # type: ignore[no-untyped-call]
            self._is_on = False

    def _forget(self) -> None:
        self._again.clear()
        self._made.clear()

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function exactly once; what is followed is then computed again beside."""
        del types
        named = kwargs or {}
        result = func(*args, **named)
        if self._again and not torch.is_grad_enabled():
            try:
                self._see(func, args, named, result)
            except Exception:  # noqa: BLE001 (what cannot be computed again is not followed)
                self._forget()
        return result

    def _see(self, func: Any, args: Sequence[Any], named: Mapping[str, Any], result: Any) -> None:
        name = getattr(func, "__name__", "")
        if name.endswith("_") and not name.endswith("__"):
            self._again.pop(id(args[0]) if args else 0, None)  # it changed where it lies
            return
        if name not in FOLLOWED or "out" in named or not isinstance(result, Tensor):
            return
        if not any(self._is_followed(given) for given in args):
            return
        self._left -= 1
        if self._left < 0 or not is_plain(result):
            self._forget()
            return
        with _with_graph(self._tap):
            original = getattr(func, "__wrapped__", func)
            again = original(*self._replaced(args), **named)
        self._keep(result, again)
        if again.numel() == 1:
            self._score(again)

    def _score(self, loss: Tensor) -> None:
        with torch.no_grad():
            written = read_loss(loss.grad_fn, self._made)
            if written is not None and self._losses.written.is_same(written):
                self._losses.score_written(written, loss, is_training=self._is_training)
                self._forget()

    def _is_followed(self, given: Any) -> bool:
        known = self._again.get(id(given))
        return known is not None and known[0]() is given

    def _keep(self, values: Tensor, again: Tensor) -> None:
        self._again[id(values)] = (weakref.ref(values), again)
        self._made[again.grad_fn] = again

    def _replaced(self, args: Sequence[Any]) -> list[Any]:
        return [
            tuple(self._replaced(each)) if isinstance(each, list | tuple) else self._stand_in(each)
            for each in args
        ]

    def _stand_in(self, given: Any) -> Any:
        if self._is_followed(given):
            return self._again[id(given)][1]
        if not isinstance(given, Tensor):
            return given
        return given.clone() if given.is_inference() else given.detach()


@contextmanager
def _with_graph(tap: ArmedTap) -> Iterator[None]:
    was_busy, tap.is_busy = tap.is_busy, True
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        tap.is_busy = was_busy


def _root(values: Tensor) -> Tensor:
    """Return the values of an output as the beginning of a graph."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        leaf = (values.clone() if values.is_inference() else values.detach()).requires_grad_()
        return leaf.view_as(leaf)


def _tensors(output: Any) -> list[Tensor]:
    parts = output.values() if isinstance(output, Mapping) else output
    every = list(parts) if isinstance(output, list | tuple | Mapping) else [output]
    return [each for each in every if isinstance(each, Tensor)]


def _modes() -> Sequence[object]:
    """Return the modes on torch's stack, the uppermost last."""
    return _get_current_function_mode_stack()  # type: ignore[no-any-return, no-untyped-call]
