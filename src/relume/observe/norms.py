"""Batch norm on measured steps: what each batch is normalised by, beside the running statistics."""

import math
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from relume.observe.plain import is_plain
from relume.observe.visited import Named
from relume.runs.facts import NormFacts

FIRST_LOOKS, EVERY, KEPT = 10, 10, 10
"""The first passes are looked at, then every tenth; the last looks are kept."""
MOST_VALUES = 1 << 17
"""Of one look; of more, rows are left out by a stride."""


class _Norm:
    """What is known of one batch norm."""

    def __init__(self, module: _BatchNorm, step: int) -> None:
        self.module = weakref.ref(module)
        self.kind = type(module).__name__
        self.momentum = math.nan if module.momentum is None else float(module.momentum)
        self.tracks = module.running_mean is not None
        self.passes = self.eval_passes = self.least_values = self.least_rows = 0
        self.settled_from = step + _steps_to_settle(self.momentum)
        self.first: tuple[Tensor, Tensor] | None = None
        self.shifts: deque[Tensor] = deque(maxlen=KEPT)
        self.ratios: deque[Tensor] = deque(maxlen=KEPT)
        self.drift: Tensor | None = None

    def note_size(self, x: Tensor) -> None:
        """Note a batch that is normalised by its own statistics."""
        values, rows = x.numel() // x.shape[1], x.shape[0]
        self.least_values = min(values, self.least_values) if self.passes else values
        self.least_rows = min(rows, self.least_rows) if self.passes else rows
        self.passes += 1

    @property
    def is_due(self) -> bool:
        """Whether the pass that was noted last is to be looked at."""
        return self.passes <= FIRST_LOOKS or self.passes % EVERY == 0

    def look(self, x: Tensor, module: _BatchNorm, step: int) -> None:
        """Compare a batch with the running statistics before it; waits for no device."""
        mean, variance = module.running_mean, module.running_var
        if mean is None or variance is None or is_lazy(mean):
            return
        mean, variance = mean.detach().float(), variance.detach().float() + module.eps
        batch_mean, batch_variance = _batch_statistics(x.detach())
        self.shifts.append(((batch_mean - mean).abs() / variance.sqrt()).mean())
        self.ratios.append(((batch_variance + module.eps) / variance).mean())
        if self.first is None:
            if step >= self.settled_from:
                self.first = (mean.clone(), variance.sqrt())
        elif self.first[0].shape == mean.shape:
            self.drift = ((mean - self.first[0]).abs() / self.first[1]).mean()

    def facts(self, name: str) -> NormFacts:
        """Return what the passes amount to."""
        return NormFacts(
            name=name,
            kind=self.kind,
            momentum=self.momentum,
            passes=self.passes,
            least_values=self.least_values,
            least_rows=self.least_rows,
            shift=_mean(self.shifts),
            spread_ratio=_mean(self.ratios),
            channel_drift=math.nan if self.drift is None else float(self.drift),
            eval_passes=self.eval_passes,
            tracks=self.tracks,
        )


class Norms:
    """Follows every batch norm, synchronised and lazy ones too; a visitor of calls.

    The drift of the running means counts from when they have settled, ``2 / momentum`` steps after
    the layer was first seen: before that they still move from 0, where they begin.

    Args:
        step: Returns the number of the step under way.
        name: Returns the name of a module; empty where none is known.
    """

    def __init__(self, step: Callable[[], int], name: Callable[[nn.Module], str]) -> None:
        self._step = step
        self._norms: Named[_Norm] = Named(name)

    def wants(self, kind: type[nn.Module]) -> bool:
        """Whether it is batch norm."""
        return issubclass(kind, _BatchNorm)

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """See a batch before the running statistics are moved towards its own."""
        if torch._C._current_graph_task_id() != -1 or not isinstance(module, _BatchNorm):  # noqa: SLF001
            return
        x = inputs[0] if inputs else None
        if not isinstance(x, Tensor) or not is_plain(x) or x.ndim < 2 or not x.numel():
            return
        norm = self._norms.of(module, lambda: _Norm(module, self._step()))
        if norm is None:
            return
        if not module.training:
            norm.eval_passes += 1
        elif torch.is_grad_enabled():
            norm.note_size(x)
            if norm.is_due:
                with torch.no_grad():
                    norm.look(x, module, self._step())

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """See nothing: the running statistics have moved by now."""

    def facts(self) -> Iterator[NormFacts]:
        """Return what is known of each batch norm."""
        for name, norm in self._norms.items():
            yield norm.facts(name)


def _batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and unbiased variance of each channel, over rows thinned by a stride."""
    each = x[0].numel()
    x = x[:: -(-x.numel() // MOST_VALUES)] if each < MOST_VALUES else x[:2]
    axes = [axis for axis in range(x.ndim) if axis != 1]
    d = x if x.device.type == "mps" else x.double()
    mean = d.mean(axes, keepdim=True)
    count = x.numel() // x.shape[1]
    variance = (d - mean).square().sum(axes) / (count - 1 if count > 1 else 1)
    return mean.reshape(-1).float(), variance.float()


def _steps_to_settle(momentum: float) -> int:
    return math.ceil(2 / momentum) if momentum > 0 else 20


def _mean(values: deque[Tensor]) -> float:
    known = list(values)
    return float(torch.stack(known).mean()) if known else math.nan
