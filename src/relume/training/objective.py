"""What a training minimises and what it is scored by, for classes and for values."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from relume.training.data.target import Target
from relume.training.scores import METRICS

IMBALANCE = 4.0
"""Classes weigh alike when the largest has this many times the rows of the smallest."""


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """Cross-entropy over classes.

    Args:
        metric: ``accuracy`` or ``balanced accuracy``.
        label_smoothing: Share of the target's mass spread over all classes (Szegedy et al. 2016).
        weights: One weight a class, shape (classes,), or None.
    """

    metric: str
    label_smoothing: float
    weights: Tensor | None = None

    def train_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean over rows of the smoothed cross-entropy times the weight of its class.

        torch's own ``weight`` weighs the smoothed part of every row by the weights of all classes:
        with a rare class, whose weight is large, the rows of the others then pull towards it.
        """
        losses = functional.cross_entropy(
            output, y, reduction="none", label_smoothing=self.label_smoothing
        )
        return (losses if self.weights is None else losses * self.weights[y]).mean()

    def plain_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the weighted, unsmoothed cross-entropy, its mean over rows being the loss."""
        losses = functional.cross_entropy(output, y, reduction="none")
        if self.weights is None:
            return losses
        weights = self.weights[y]
        return losses * weights / weights.mean()

    def score(self, output: Tensor, y: Tensor) -> float:
        """Return the metric of the most likely classes."""
        return _score(self.metric, y, output.argmax(dim=1))


@dataclass(frozen=True, slots=True)
class Regression:
    """Squared error of a standardised target."""

    metric: str = "r2"

    def train_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error."""
        return functional.mse_loss(output.squeeze(1), y)

    def plain_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the squared error of each row."""
        return functional.mse_loss(output.squeeze(1), y, reduction="none")

    def score(self, output: Tensor, y: Tensor) -> float:
        """Return the metric; R2 is the same in any unit of the target."""
        return _score(self.metric, y, output.squeeze(1))


def balanced_class_weights(y: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return n / (K n_k) for each class k.

    References:
        King & Zeng, "Logistic regression in rare events data", Political Analysis 9(2), 2001.
    """
    counts = np.bincount(y.astype(np.int64))
    return (len(y) / (len(counts) * np.maximum(counts, 1))).astype(np.float32)


def is_imbalanced(y: NDArray[np.generic]) -> bool:
    """Whether the largest class has at least ``IMBALANCE`` times the rows of the smallest."""
    counts = np.bincount(y.astype(np.int64))
    return bool(counts.max() >= IMBALANCE * counts[counts > 0].min())


def standardised(y: NDArray[np.generic], target: Target) -> NDArray[np.float32]:
    """Return a regression target in units of its training part's deviation from its mean."""
    scaled = (y.astype(np.float64) - target.mean) / target.scale
    return scaled.astype(np.float32)


def in_own_unit(output: NDArray[np.float32], target: Target) -> NDArray[np.float64]:
    """Return standardised predictions in the target's own unit."""
    return output.astype(np.float64) * target.scale + target.mean


def _score(metric: str, y: Tensor, predicted: Tensor) -> float:
    once = np.ones((1, len(y)))
    value = METRICS[metric](y.cpu().numpy(), predicted.cpu().numpy(), once)[0]
    return float(value)


def class_weight_tensor(policy: str, y: NDArray[np.generic], device: torch.device) -> Tensor | None:
    """Return the class weights that a policy asks for: ``auto``, ``balanced`` or ``none``."""
    if policy == "none" or (policy == "auto" and not is_imbalanced(y)):
        return None
    return torch.from_numpy(balanced_class_weights(y)).to(device)
