"""Treatments of what a loss is given: shapes, scales, and weights of classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from relume.remedies.cure.inside.listener import Listener, LossCall
from relume.remedies.cure.place import CodePlace

OF_AMOUNTS = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
TINY = 1e-9
"""Added to probabilities before their logarithm."""


class Squeeze(Listener):
    """Takes the axis of length 1 away that makes prediction and target broadcast."""

    def before_loss(self, call: LossCall) -> None:
        """Take it away where both hold equally many values."""
        prediction, target = call.prediction, call.target
        if prediction.shape == target.shape or prediction.numel() != target.numel():
            return
        if prediction.ndim > target.ndim:
            call.prediction = prediction.reshape(target.shape)
        else:
            call.target = target.reshape(prediction.shape)


class Difference(Listener):
    """Takes the axis of length 1 away that makes the two sides of a subtraction broadcast.

    Args:
        places: Of the subtractions.
    """

    def __init__(self, places: Sequence[CodePlace]) -> None:
        self._places = places

    def difference(self, left: Tensor, right: Tensor, place: CodePlace) -> tuple[Tensor, Tensor]:
        """Take it away where both hold equally many values."""
        if place not in self._places or left.numel() != right.numel():
            return left, right
        if left.ndim > right.ndim:
            return left.reshape(right.shape), right
        return left, right.reshape(left.shape)


class LogSoftmax(Listener):
    """Gives a negative log-likelihood the logarithms of probabilities that it takes.

    Args:
        of_probabilities: Whether the program has probabilities; else it has scores.
    """

    def __init__(self, *, of_probabilities: bool) -> None:
        self._of_probabilities = of_probabilities

    def before_loss(self, call: LossCall) -> None:
        """Take logarithms; scores are normalised over the classes first."""
        if call.function != "nll_loss":
            return
        if self._of_probabilities:
            call.prediction = torch.log(call.prediction + TINY)
        else:
            axis = 1 if call.prediction.ndim > 1 else 0
            call.prediction = functional.log_softmax(call.prediction, axis)


class Probabilities(Listener):
    """Gives what the model gives as probabilities.

    Args:
        function: ``softmax`` over the classes, or ``sigmoid``.
    """

    def __init__(self, function: str) -> None:
        self._is_sigmoid = function == "sigmoid"

    def after_model(self, model: nn.Module, output: Any) -> Any:
        """Return it as probabilities."""
        if not _is_amounts(output):
            return output
        return output.sigmoid() if self._is_sigmoid else output.softmax(1)


class OneLogit(Listener):
    """Gives cross-entropy over one unit a second one, fixed at 0: it becomes the binary one."""

    def before_loss(self, call: LossCall) -> None:
        """Add the unit, and count the targets 0 and 1 as classes."""
        logits, shares = call.prediction, call.target
        if call.function == "cross_entropy" and logits.shape == shares.shape:
            call.prediction = torch.stack([torch.zeros_like(logits), logits], 1)
            call.target = torch.stack([1 - shares, shares], 1)


class ClassWeights(Listener):
    """Weights the classes in a loss.

    Args:
        weights: One a class.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = torch.tensor(weights)

    def before_loss(self, call: LossCall) -> None:
        """Give it the weights, in training alone."""
        if not call.is_training:
            return
        weights = self._weights.to(call.prediction.device)
        if call.function in {"cross_entropy", "nll_loss"}:
            call.options["weight"] = weights
        elif call.function == "binary_cross_entropy_with_logits" and len(weights) == 2:
            call.options["pos_weight"] = weights[1] / weights[0]


class Scale(Listener):
    """Standardises what a model is given, what it gives, and both sides of the loss.

    The model is given ``(x - mean) / deviation``, and what it gives is ``y * deviation + mean`` of
    the targets, so that the program holds amounts in its own units throughout; the loss compares
    them in standard deviations, so that gradients have the usual size.

    Args:
        inputs: Means and deviations, one a feature or one for all; None: as they are.
        targets: Mean and deviation; None: as they are.
    """

    def __init__(
        self,
        inputs: tuple[Sequence[float], Sequence[float]] | None,
        targets: tuple[float, float] | None,
    ) -> None:
        self._inputs = [torch.tensor(each) for each in inputs] if inputs is not None else None
        self._targets = targets

    def before_model(
        self, model: nn.Module, values: tuple[Any, ...], place: CodePlace | None
    ) -> tuple[Any, ...]:
        """Standardise the first argument."""
        if self._inputs is None or not values or not _is_amounts(values[0]):
            return values
        mean, deviation = (each.to(values[0]) for each in self._inputs)
        return ((values[0] - mean) / deviation, *values[1:])

    def after_model(self, model: nn.Module, output: Any) -> Any:
        """Return amounts in the units of the targets."""
        if self._targets is None or not _is_amounts(output):
            return output
        mean, deviation = self._targets
        return output * deviation + mean

    def before_loss(self, call: LossCall) -> None:
        """Compare in standard deviations."""
        if self._targets is not None and call.function in OF_AMOUNTS:
            call.prediction = call.prediction / self._targets[1]
            call.target = call.target / self._targets[1]


def _is_amounts(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
