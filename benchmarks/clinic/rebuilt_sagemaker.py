"""Rules rebuilt from the documented defaults of Amazon SageMaker Debugger, whose source is closed.

Those that its documentation gives in full. As trainings here are short, tensors are looked at once
an epoch, where its default is every 500 steps; activations called as functions are seen as well,
where it sees modules. Its page on PoorWeightInitialization leaves open how the three conditions go
together; here the loss has to be flat, and one of the other two has to hold.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.clinic.rival_watching import Watcher, gradients_of, look_inside

INITIAL_STEPS = 10


def is_dead_relu(
    firing_percents: Sequence[float], inactivity: float = 1.0, layer: float = 50.0
) -> bool:
    """DeadRelu: more than ``layer`` % of a layer's units fire on less than ``inactivity`` %."""
    inactive = sum(percent < inactivity for percent in firing_percents)
    return 100 * inactive / len(firing_percents) > layer


def is_vanishing(mean_absolute: float, threshold: float = 1e-7) -> bool:
    """VanishingGradient: the mean absolute gradient of a tensor is below the threshold."""
    return mean_absolute < threshold


def is_update_ratio_off(
    update: float, weight: float, large: float = 10.0, small: float = 1e-8, epsilon: float = 1e-9
) -> bool:
    """WeightUpdateRatio: the norm of an update over that of the weights is too large or small."""
    ratio = update / (weight + epsilon)
    return ratio > large or ratio < small


def is_overfit(gaps: Sequence[float], ratio_threshold: float = 0.1, patience: int = 1) -> bool:
    """Overfit: (validation - training) / training above the threshold for longer than patience."""
    late = gaps[-patience - 1 :]
    return len(late) > patience and all(gap > ratio_threshold for gap in late)


def is_flat(losses: Sequence[float], patience: int = 5) -> bool:
    """Return whether the lowest loss is at least so many steps old."""
    lowest = min(range(len(losses)), key=lambda index: losses[index])
    return len(losses) - 1 - lowest >= patience


def is_poorly_initialized(
    variance_ratio: float,
    gradient_range: float,
    losses: Sequence[float],
    *,
    threshold: float = 10.0,
    distribution_range: float = 0.001,
) -> bool:
    """PoorWeightInitialization over the first steps.

    Args:
        variance_ratio: Greatest over least variance of the inputs of ReLUs.
        gradient_range: Least distance of the 5th and 95th percentile of a gradient.
        losses: Of the steps.
        threshold: Of the variance ratio.
        distribution_range: Of the gradient range.
    """
    is_unbalanced = variance_ratio > threshold or gradient_range < distribution_range
    return is_unbalanced and is_flat(losses)


def firing_percents(activation: Tensor) -> list[float]:
    """Return how often each unit, or channel of an image, is above zero in a batch, in percent."""
    last = activation.movedim(1, -1) if activation.ndim == 4 else activation
    units = last.reshape(-1, last.shape[-1])
    percents: list[float] = (100.0 * (units > 0).double().mean(0)).tolist()
    return percents


class Sagemaker(Watcher):
    """Gathers the tensors that the rules read."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Tensor] = []
        self.batch: Tensor | None = None
        self.is_new_epoch = True
        self.losses: list[float] = []
        self.gaps: list[float] = []
        self.variance_ratio, self.gradient_range = 1.0, math.inf

    def after_backward(
        self, step: int, model: nn.Module, loss: Tensor, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Compare weights in each step, gradients once an epoch, the start in the first steps."""
        self._compare(model)
        if step <= INITIAL_STEPS:
            self._look_at_start(model, loss, batch[0])
        if step == INITIAL_STEPS and is_poorly_initialized(
            self.variance_ratio, self.gradient_range, self.losses
        ):
            self.say("PoorWeightInitialization")
        if self.is_new_epoch:
            self.is_new_epoch, self.batch = False, batch[0]
            if any(is_vanishing(float(grad.abs().mean())) for grad in gradients_of(model)):
                self.say("VanishingGradient")

    def _compare(self, model: nn.Module) -> None:
        now = [
            weight.detach()
            for name, weight in model.named_parameters()
            if weight.requires_grad and "weight" in name  # what its collection of weights holds
        ]
        if self.before:
            moves: Any = torch._foreach_norm(torch._foreach_sub(now, self.before))  # noqa: SLF001
            sizes: Any = torch._foreach_norm(self.before)  # noqa: SLF001
            pairs = torch.stack([torch.stack(moves), torch.stack(sizes)], 1).tolist()
            if any(is_update_ratio_off(update, weight) for update, weight in pairs):
                self.say("WeightUpdateRatio")
        self.before = [weight.clone() for weight in now]

    def _look_at_start(self, model: nn.Module, loss: Tensor, x: Tensor) -> None:
        self.losses.append(float(loss.detach()))
        relus = look_inside(model, x).of("relu", "relu_")
        variances = [float(call.taken.var()) for call in relus]
        if len(variances) > 1 and min(variances) > 0:
            self.variance_ratio = max(self.variance_ratio, max(variances) / min(variances))
        ends = torch.tensor([0.05, 0.95])
        for grad in gradients_of(model):
            low, high = torch.quantile(grad.flatten(), ends).tolist()
            self.gradient_range = min(self.gradient_range, high - low)

    def end_epoch(
        self, epoch: int, model: nn.Module, train_loss: float, valid_loss: float, score: float
    ) -> None:
        """Look at the ReLUs and at the two losses."""
        del epoch, score
        self.is_new_epoch = True
        self.gaps.append((valid_loss - train_loss) / train_loss if train_loss else 0.0)
        if is_overfit(self.gaps):
            self.say("Overfit")
        if self.batch is None:
            return
        for call in look_inside(model, self.batch).of("relu", "relu_"):
            if is_dead_relu(firing_percents(call.given)):
                self.say("DeadRelu")
