"""Treatments of a model when it is first called: mode, initialisation, batch norm, recurrence."""

import math
from typing import Any

import torch
from torch import nn

from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.place import CodePlace

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class AtFirstCall(Listener):
    """Changes each model once, when it is first called from outside of all modules."""

    def __init__(self) -> None:
        self._models: list[nn.Module] = []

    def before_model(
        self, model: nn.Module, values: tuple[Any, ...], place: CodePlace | None
    ) -> tuple[Any, ...]:
        """Change a model that was not met before."""
        if not any(each is model for each in self._models):
            self._models.append(model)
            with torch.no_grad():
                self.change(model)
        return values

    def change(self, model: nn.Module) -> None:
        """Change it."""
        raise NotImplementedError


class Initialise(AtFirstCall):
    """Draws the weights anew, normal with variance 2 / fan_in, and zeroes the biases.

    Reference: He et al. 2015, "Delving deep into rectifiers", section 2.2.
    """

    def change(self, model: nn.Module) -> None:
        """Draw them in the order of the modules."""
        for module in model.modules():
            if isinstance(module, WEIGHTED):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class BatchNorm(AtFirstCall):
    """Sets how batch norm follows the statistics of batches.

    Args:
        momentum: Weight of the newest batch; nan: batches alone, in evaluation too.
    """

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self._momentum = momentum

    def change(self, model: nn.Module) -> None:
        """Set it in every batch norm."""
        for module in model.modules():
            if not isinstance(module, BATCH_NORMS):
                continue
            if not math.isnan(self._momentum):
                module.momentum = self._momentum
                continue
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None


class Nonlinearity(AtFirstCall):
    """Lets recurrent layers use tanh."""

    def change(self, model: nn.Module) -> None:
        """Set it in every layer that uses ReLU."""
        for module in model.modules():
            if isinstance(module, nn.RNN):
                module.mode = "RNN_TANH"
                module.nonlinearity = "tanh"


class TrainMode(Listener):
    """Puts a model into training mode before the call by which it is trained.

    Args:
        place: Of that call.
    """

    def __init__(self, place: CodePlace) -> None:
        self._place = place

    def before_model(
        self, model: nn.Module, values: tuple[Any, ...], place: CodePlace | None
    ) -> tuple[Any, ...]:
        """Put it there, unless it is."""
        if place == self._place and not model.training:
            model.train()
        return values
