"""What a loop tells of its steps and epochs, and to whom."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from relume.runs.records import Epoch


class Recorder(Protocol):
    """What a loop tells about its steps and epochs to; ``relume.monitor.Monitor`` is one."""

    @property
    def units_alive(self) -> int:
        """Units that fired lately."""
        ...

    @property
    def units(self) -> int:
        """Units watched."""
        ...

    def step(self, step: int) -> AbstractContextManager[None]:
        """Surround one step."""
        ...

    def before_backward(self, loss: Tensor) -> None:
        """Take note of the loss."""
        ...

    def before_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Take note of the gradients."""
        ...

    def after_update(self, step: int, loss: float, learning_rate: float) -> None:
        """Take note of the update."""
        ...

    def scoring(self, model: nn.Module) -> AbstractContextManager[None]:
        """Surround a pass over the validation part."""
        ...

    def close_window(self) -> None:
        """Write what is open."""
        ...

    def end_epoch(self, epoch: Epoch) -> None:
        """Take note of the scores."""
        ...


class Unrecorded:
    """The recorder of a training of which no record is kept."""

    units_alive = 0
    units = 0

    def step(self, step: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """Surround one step with nothing."""
        return nullcontext()

    def before_backward(self, loss: Tensor) -> None:
        """Do nothing."""

    def before_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing."""

    def after_update(self, step: int, loss: float, learning_rate: float) -> None:
        """Do nothing."""

    def scoring(self, model: nn.Module) -> AbstractContextManager[None]:  # noqa: ARG002
        """Surround a pass with nothing."""
        return nullcontext()

    def close_window(self) -> None:
        """Do nothing."""

    def end_epoch(self, epoch: Epoch) -> None:
        """Do nothing."""
