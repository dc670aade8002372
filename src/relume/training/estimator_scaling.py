"""The scaling inside the estimators: standardised inputs, dense or sparse, and its folding."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, issparse
from torch import Tensor, nn

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Weighted mean and variance of each column, a value that adds.

    Args:
        weight: Sum of the weights of the rows.
        mean: Shape (columns,).
        variance: Shape (columns,), of the whole, not of a sample.

    References:
        Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", The
        American Statistician 37(3), equation 2.1 for the sum.

    Example:
        >>> x = np.array([[1.0], [3.0], [8.0]])
        >>> whole, ones = Scaling.of(x, np.ones(3)), np.ones(1)
        >>> parts = Scaling.of(x[:2], np.ones(2)) + Scaling.of(x[2:], ones)
        >>> whole.mean == parts.mean, np.isclose(whole.variance, parts.variance)
        (array([ True]), array([ True]))
    """

    weight: float
    mean: Array
    variance: Array

    @classmethod
    def of(cls, x: Any, weights: Array) -> "Scaling":
        """Measure the columns of an array or of a sparse matrix (rows, columns).

        An implicit zero of a sparse matrix counts as the number 0.
        """
        total = float(weights.sum())
        if not is_sparse(x):
            x = np.asarray(x, dtype=np.float64)
            mean = weights @ x / total
            return cls(total, mean, weights @ np.square(x - mean) / total)
        entries = coo_matrix(x, copy=True)
        entries.sum_duplicates()
        row_weights = weights[entries.row]
        columns, width = entries.col, x.shape[1]
        values = entries.data.astype(np.float64)
        mean = np.bincount(columns, row_weights * values, width) / total
        squares = np.bincount(columns, row_weights * np.square(values - mean[columns]), width)
        zeros = total - np.bincount(columns, row_weights, width)
        return cls(total, mean, (squares + zeros * np.square(mean)) / total)

    def __add__(self, other: "Scaling") -> "Scaling":
        weight = self.weight + other.weight
        share = other.weight / weight
        step = other.mean - self.mean
        variance = (1 - share) * self.variance + share * other.variance
        return Scaling(
            weight, self.mean + share * step, variance + share * (1 - share) * np.square(step)
        )

    @property
    def scale(self) -> Array:
        """Standard deviation of each column; 1 where it is constant but for rounding."""
        deviation = np.sqrt(self.variance)
        rounding = 10 * np.finfo(np.float64).eps * np.abs(self.mean)
        return np.where(deviation > rounding, deviation, 1.0)

    def apply(self, x: Any) -> Array:
        """Return rows of an array or sparse matrix, standardised."""
        dense = x.toarray() if is_sparse(x) else np.asarray(x)
        return (dense.astype(np.float64) - self.mean) / self.scale


def is_sparse(x: Any) -> bool:
    """Whether it is a sparse matrix or array."""
    return bool(issparse(x))


class StandardisedRows:
    """Rows of an array or of a sparse matrix, standardised and dense once they are asked for.

    Stands where a loop wants a tensor of inputs of which it takes rows.
    """

    def __init__(
        self, x: Any, scaling: Scaling, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.is_sparse = is_sparse(x)
        self._x = csr_matrix(x) if self.is_sparse else x
        self._scaling = scaling
        self._dtype, self._device = dtype, device

    def __len__(self) -> int:
        return int(self._x.shape[0])

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Return the rows as a dense tensor (rows, columns)."""
        chosen = rows if isinstance(rows, slice) else rows.cpu().numpy()
        return torch.as_tensor(self._scaling.apply(self._x[chosen])).to(self._device, self._dtype)


def folded(
    network: nn.Module, inputs: Scaling, outputs: Scaling | None, *, log_outputs: bool = False
) -> tuple[list[Array], list[Array]]:
    """Return the weights and biases of a multilayer perceptron for inputs as they came.

    With inputs (x - m) / s, weights W and biases b, the first layer reads W / s and
    b - W (m / s); with outputs in units of S above M, the last one S W and S b + M.

    Args:
        network: Linear layers in the order in which they run, none with a norm after it.
        inputs: Scaling of its inputs.
        outputs: Scaling of its outputs, if they have one.
        log_outputs: Whether the outputs are logarithms of the scaled values.

    Returns:
        Weights of shape (inputs, outputs) and biases (outputs,), layer by layer, in float64.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    weights = [layer.weight.detach().cpu().double().numpy().T.copy() for layer in layers]
    biases = [layer.bias.detach().cpu().double().numpy().copy() for layer in layers]
    weights[0] = weights[0] / inputs.scale[:, None]
    biases[0] = biases[0] - inputs.mean @ weights[0]
    if outputs is not None and log_outputs:
        biases[-1] = biases[-1] + np.log(outputs.scale)
    elif outputs is not None:
        weights[-1] = weights[-1] * outputs.scale
        biases[-1] = biases[-1] * outputs.scale + outputs.mean
    return weights, biases
