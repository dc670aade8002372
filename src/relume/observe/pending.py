"""What is open while a training is recorded: the step, the window and the epoch under way."""

import math
import time
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

from relume.observe.late import read_scalars
from relume.runs.records import Epoch, LayerWindow, Moments, WeightWindow, Window, add_weights

Ended = list[tuple[int, float | Tensor | None, float, bool]]
"""Steps that have ended: number, loss, rate, and whether each was armed."""


class OpenStep:
    """What is known of the step that is under way."""

    __slots__ = ("_losses", "_within", "began_s", "is_updating", "own_s")

    def __init__(self) -> None:
        self._losses: list[float | Tensor] = []
        self._within: float | Tensor | None = None
        self.begin(time.thread_time())

    def begin(self, now_s: float) -> None:
        """Begin the next step."""
        self.began_s = now_s
        self.own_s = 0.0
        self.is_updating = False
        self.forget_losses()

    def add_loss(self, loss: Tensor) -> None:
        """Add a loss; of those inside an update, by a closure, the last counts."""
        # The memory of a loss is the training's, which may go on to write there: read it now.
        value = float(loss.item()) if loss.is_cpu else loss.detach().reshape(()).clone()
        if self.is_updating:
            self._within = value
        else:
            self._losses.append(value)

    def add_values(self, losses: Sequence[float]) -> None:
        """Add losses that were read already."""
        self._losses.extend(losses)

    def forget_losses(self) -> None:
        """Forget the losses so far: no update came of them."""
        self._losses.clear()
        self._within = None

    def loss(self) -> float | Tensor | None:
        """Return the sum of the losses: a float if they are on the CPU, else a scalar tensor."""
        losses = self._losses or ([self._within] if self._within is not None else [])
        if len(losses) < 2:
            return losses[0] if losses else None
        known = sum(loss for loss in losses if isinstance(loss, float))
        others = [loss for loss in losses if isinstance(loss, Tensor)]
        if not others:
            return float(known)
        return torch.stack([loss.to(others[0].device) for loss in others]).sum() + known


class OpenWindow:
    """The window that is filling; steps that are not armed add a loss and nothing else."""

    def __init__(self, first_step: int) -> None:
        self.steps = 0
        self._first_step = first_step
        self._last_step = first_step
        self.armed_steps = 0
        self._loss = Moments()
        self._waiting: list[Tensor] = []
        self._rate = math.nan
        self._layers: list[LayerWindow] = []
        self._weights: tuple[WeightWindow, ...] = ()

    def add(self, ended: Ended) -> None:
        """Add steps, at least one."""
        self.steps += len(ended)
        self._last_step, _, self._rate, _ = ended[-1]
        self.armed_steps += sum(was_armed for _, _, _, was_armed in ended)
        self._waiting += [loss for _, loss, _, _ in ended if isinstance(loss, Tensor)]
        self._loss += Moments.of(*[loss for _, loss, _, _ in ended if isinstance(loss, float)])

    def add_layers(self, parts: list[LayerWindow]) -> None:
        """Add what the sites saw since the last time."""
        for index, part in enumerate(parts):
            if index < len(self._layers):
                self._layers[index] += part
            else:
                self._layers.append(part)

    def add_weights(self, parts: tuple[WeightWindow, ...]) -> None:
        """Add what was seen of each weight since the last time."""
        self._weights = add_weights(self._weights, parts)

    def value(self) -> Window:
        """Return the window so far; losses on other devices are read now."""
        if self._waiting:
            self._loss += Moments.of(*read_scalars(self._waiting))
            self._waiting.clear()
        return Window(
            self._first_step,
            self._last_step,
            self.armed_steps,
            self._loss,
            self._rate,
            tuple(self._layers),
            self._weights,
        )


class Source:
    """Data that are read, without keeping them."""

    def __init__(self, data: object) -> None:
        self.number = id(data)
        try:
            self._reference: weakref.ref[object] | None = weakref.ref(data)
        except TypeError:  # a list, for example
            self._reference = None

    def is_of(self, data: object) -> bool:
        """Whether these are the data."""
        return id(data) == self.number

    def is_same(self, other: "Source | None") -> bool:
        """Whether another stands for the same data, which are still there."""
        return other is not None and self.number == other.number and not self.is_gone()

    def is_gone(self) -> bool:
        """Whether nobody holds them any more."""
        return self._reference is not None and self._reference() is None


class Epochs:
    """Epochs by the data that are learned from: each new reading of them is one.

    Data are known by the loader's ``dataset``, since many make a new loader for every epoch. What
    begins to be read without gradients is not learned from.
    """

    def __init__(self) -> None:
        self._learned: Source | None = None
        self._reading: Source | None = None
        self._number = 0
        self._loss = Moments()
        self._rate = math.nan
        self._steps = 0

    def begin(self, loader: object, step: int) -> Epoch | None:
        """Tell that a loader begins; return the epoch that ends by that."""
        if not torch.is_grad_enabled():
            return None
        data = getattr(loader, "dataset", loader)
        self._reading = Source(data)
        if self._learned is None or not (self._learned.is_gone() or self._learned.is_of(data)):
            return None
        self._learned = self._reading
        return self.end(step)

    def add(self, ended: Ended) -> None:
        """Tell of steps, at least one: the loader read last is the one that is learned from."""
        if self._reading is None:
            return
        if self._learned is None:
            self._learned = self._reading
        self._steps += len(ended)
        self._rate = ended[-1][2]
        self._loss += Moments.of(*[loss for _, loss, _, _ in ended if isinstance(loss, float)])

    def end(self, step: int) -> Epoch | None:
        """Return the epoch so far, and begin the next; None where it has no step."""
        if not self._steps:
            return None
        self._number += 1
        epoch = Epoch(self._number, step, self._loss.mean, math.nan, math.nan, self._rate, 0, 0)
        self._loss, self._steps = Moments(), 0
        return epoch
