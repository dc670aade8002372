"""Factors and shifts at the two ends of a network while it trains, folded into it at the end."""

from typing import Any

import torch
from torch import Tensor, nn

from relume.nn.following import Layer
from relume.remedies.patient import Patient
from relume.remedies.standing import Standing


class ScaledInputs(Standing):
    """Has a layer read (x - shift) / scale in place of x.

    Args:
        layer: The first one of the network.
        shift: For each feature, or channel.
        scale: Likewise, above zero.
    """

    def __init__(self, layer: Layer, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        self._layer = layer
        self._shift = shift
        self._scale = scale
        self._handle: Any = None
        self.begin()

    def begin(self) -> None:
        """Put the scaling in."""
        if self._handle is None:
            self._handle = self._layer.register_forward_pre_hook(self._scaled)

    def _scaled(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        axes = 1 if isinstance(self._layer, nn.Linear) else self._layer.weight.ndim - 2
        shape = (-1, *[1] * axes) if not isinstance(self._layer, nn.Linear) else (-1,)
        shift, scale = (each.view(shape).to(inputs[0]) for each in (self._shift, self._scale))
        return ((inputs[0] - shift) / scale, *inputs[1:])

    def remove(self) -> None:
        """Take the scaling out; the weights stay those that want it."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @torch.no_grad()
    def finish(self) -> None:
        """Fold the scaling into the layer: W / scale, b - W (shift / scale)."""
        if self._handle is None:
            return
        self.remove()
        weight = self._layer.weight
        scale = self._scale.view(-1, *[1] * (weight.ndim - 2)).to(weight)
        weight.div_(scale)
        if self._layer.bias is not None and bool(self._shift.any()):
            taps = weight.flatten(2).sum(dim=2) if weight.ndim > 2 else weight
            self._layer.bias.sub_(taps @ self._shift.to(weight))


class ScaledOutputs(Standing):
    """Has a network put out its head's output times a scale plus a shift.

    The gradients of all weights are divided by the square of the scale before each update, so that
    with squared error the updates are exactly those of a training on (y - shift) / scale.

    Args:
        patient: The training.
        head: The layer that makes the output.
        shift: Of the outputs.
        scale: Of the outputs, above zero.
    """

    def __init__(self, patient: Patient, head: Layer, shift: float, scale: float) -> None:
        super().__init__()
        self._patient = patient
        self._head = head
        self._shift = shift
        self._scale = scale
        self._handle: Any = None
        self.begin()

    def begin(self) -> None:
        """Put the scaling in."""
        if self._handle is None:
            self._handle = self._head.register_forward_hook(self._scaled)

    def _scaled(self, _: nn.Module, __: Any, output: Tensor) -> Tensor:
        return output * self._scale + self._shift

    def before_update(self) -> None:
        """Divide the gradients by the square of the scale."""
        for parameter in self._patient.parameters():
            if parameter.grad is not None:
                parameter.grad.div_(self._scale**2)

    def remove(self) -> None:
        """Take the scaling out; the weights stay those that want it."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @torch.no_grad()
    def finish(self) -> None:
        """Fold the scaling into the head: scale W, scale b + shift."""
        if self._handle is None:
            return
        self.remove()
        self._head.weight.mul_(self._scale)
        if self._head.bias is not None:
            self._head.bias.mul_(self._scale).add_(self._shift)
