"""Treatments of a model when it is first called: mode, initialisation, batch norm, recurrence."""

import math
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.place import CodePlace

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
USUAL_SLOPE = 0.25


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
    """Draws everything anew that torch draws, then sets the weights by a scheme.

    - ``he``: normal with variance 2 / fan_in, biases zero; recurrent weights orthogonal.
    - ``lecun``: the same with variance 1 / fan_in, for SELU and bounded activations.
    - ``default``: nothing more.
    - ``slopes``: the slopes of PReLU alone, 0.25.

    Args:
        scheme: One of these.

    Reference: He et al. 2015, "Delving deep into rectifiers", section 2.2; Klambauer et al. 2017,
    "Self-normalizing neural networks", section 2; Saxe et al. 2014, "Exact solutions to the
    nonlinear dynamics of learning", section 3.
    """

    def __init__(self, scheme: str) -> None:
        super().__init__()
        self._scheme = scheme

    def change(self, model: nn.Module) -> None:
        """Draw them in the order of the modules."""
        for module in model.modules():
            if self._scheme == "slopes":
                if isinstance(module, nn.PReLU):
                    nn.init.constant_(module.weight, USUAL_SLOPE)
                continue
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
            if self._scheme != "default":
                _draw(module, "relu" if self._scheme == "he" else "linear")


def _draw(module: nn.Module, nonlinearity: Literal["relu", "linear"]) -> None:
    if isinstance(module, WEIGHTED):
        nn.init.kaiming_normal_(module.weight, nonlinearity=nonlinearity)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, nn.RNNBase):
        for name, parameter in module.named_parameters():
            if name.startswith("weight_hh"):
                nn.init.orthogonal_(parameter)
            if name.startswith("bias"):
                nn.init.zeros_(parameter)


class Dropout(AtFirstCall):
    """Puts alpha dropout, which leaves mean and variance as they are, in place of dropout.

    Args:
        share: Of values that is dropped; None: as it is.

    Reference: Klambauer et al. 2017, section 3.
    """

    def __init__(self, share: float | None) -> None:
        super().__init__()
        self._share = share

    def change(self, model: nn.Module) -> None:
        """Let every dropout do so."""
        for module in model.modules():
            if type(module) is not nn.Dropout:
                continue
            if self._share is not None:
                module.p = self._share
            else:
                module.forward = partial(_alpha_dropout, module)  # type: ignore[method-assign]


def _alpha_dropout(module: nn.Dropout, x: Tensor) -> Tensor:
    return functional.alpha_dropout(x, module.p, module.training)


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
    """Lets recurrent layers use tanh or ReLU.

    Args:
        to: ``tanh`` or ``relu``.
    """

    def __init__(self, to: str) -> None:
        super().__init__()
        self._to = to

    def change(self, model: nn.Module) -> None:
        """Set it in every layer that has the choice."""
        for module in model.modules():
            if isinstance(module, nn.RNN):
                module.mode = f"RNN_{self._to.upper()}"
                module.nonlinearity = self._to


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
