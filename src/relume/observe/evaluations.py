"""Seeing the first batches of an evaluation, between steps that are measured.

While no step is measured, no module has a hook. So hooks hang from the time when an evaluation may
begin (a model is put into eval mode, a loader is read from its start) until enough was seen or the
training goes on: its first pass takes them away.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from relume.observe.calls import Calls, Kind, Visitor, caller_of
from relume.observe.evaluations_by_hand import EvaluationsByHand
from relume.observe.model_calls import ModelCalls, is_model

MOST_IN_VAIN = 20
"""Calls of ``eval()`` in a row without an evaluation; after that, none is believed."""
_CALL = nn.Module._call_impl.__code__  # noqa: SLF001


class Evaluations:
    """Follows the calls of modules while an evaluation may be under way.

    Args:
        models: Looks at the calls of models.
        visitors: See the calls of further modules.
        is_barred: Returns whether no hook may hang: while steps are measured, or beside
            ``torch.compile``.
        fail: Told of a fault of ours.
        by_hand: Follows what is computed from what models return.
    """

    def __init__(
        self,
        models: ModelCalls,
        visitors: Sequence[Visitor],
        is_barred: Callable[[], bool],
        fail: Callable[[Exception], None],
        by_hand: EvaluationsByHand,
    ) -> None:
        self._by_hand = by_hand
        self._models = models
        self._is_barred = is_barred
        self._fail = fail
        self._seen = self._vain = 0
        self._calls = Calls(lambda *_: None, lambda _: Kind())
        self._calls.on_pass.append(self._see)
        by_hand.follow(self._calls)
        self._calls.visitors.extend(visitors)

    def begin(self) -> None:
        """Begin to see, unless there is compiled code: it is guarded by the hooks that it finds."""
        if not (self._has_enough() or self._is_barred() or is_anything_compiled()):
            self._seen = 0
            self._calls.attach()

    def begin_if_in_eval_mode(self) -> None:
        """Begin to see after ``eval()``, unless it is a part of what every step does."""
        if self._vain < MOST_IN_VAIN and not _is_within_module():
            self.begin()

    def _has_enough(self) -> bool:
        return self._models.has_enough and not self._by_hand.is_wanted()

    def end(self) -> None:
        """See nothing more, and leave no hook."""
        self._by_hand.end()
        if self._calls.number_of_hooks:
            self._calls.detach()
            self._vain = 0 if self._seen else self._vain + 1
        fault, self._calls.fault = self._calls.fault, None
        if fault is not None:
            self._fail(fault)

    def _see(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        is_barred = hasattr(module, "_orig_mod") or self._is_barred() or is_anything_compiled()
        is_training = module.training and torch.is_grad_enabled() and is_model(module)
        if is_training:
            self._models.go_on_training()
        if is_barred or is_training or self._has_enough():
            self.end()
        else:
            self._seen += 1
            self._models.see(module, inputs)


def _is_within_module() -> bool:
    frame = caller_of(0)
    while frame is not None and frame.f_code is not _CALL:
        frame = frame.f_back
    return frame is not None


def is_anything_compiled() -> bool:
    """Whether ``torch.compile`` has compiled anything in this process, or does so now."""
    utilities: Any = sys.modules.get("torch._dynamo.utils")
    counters = getattr(utilities, "counters", None)
    return torch.compiler.is_compiling() or bool(
        counters is not None and counters["stats"]["unique_graphs"]
    )
