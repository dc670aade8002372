"""Numbers beside their place in quantile bins: where a dense layer may bend, given beforehand."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from relume.errors import SettingsError
from relume.nn.arguments import integer

NARROWEST = 1e-6
"""Width of a bin below which it joins the next: the slope inside stays below a million."""


class PiecewiseLinearEncoding(nn.Module):
    """Append to x, for some features and each of their bins, the place in the bin.

    The place in the bin from t_k to t_(k+1) is min(1, max(0, (x - t_k) / (t_(k+1) - t_k))) - 1/2:
    what is learnt stays piecewise linear in x. Beyond the outer bins x itself goes on alone.

    Args:
        features: The number of features of x.
        binned: The positions of the features that have bins.
        bins: The most bins a feature has.

    Attributes:
        outputs: The number of features that come out, features + len(binned) * bins.
        low: (len(binned), bins), where each bin begins.
        slope: The same shape, one over its width; 0 for a bin that is not there, whose place is 0.

    References:
        Gorishniy, Rubachev, Babenko (2022), "On embeddings for numerical features in tabular deep
        learning", arXiv:2203.05556, section 3.2: the same but for the shift, and x is kept.

    Example:
        >>> encoding = PiecewiseLinearEncoding(2, binned=[1], bins=2)
        >>> encoding.fit_(np.array([[9, 0], [9, 1], [9, 4]], np.float32))
        >>> encoding(torch.tensor([[9.0, 0.5], [9.0, 40.0]]))
        tensor([[ 9.0000,  0.5000,  0.0000, -0.5000],
                [ 9.0000, 40.0000,  0.5000,  0.5000]])
    """

    low: Tensor
    slope: Tensor

    def __init__(self, features: int, *, binned: Sequence[int], bins: int) -> None:
        super().__init__()
        integer("bins", bins)
        if len(set(binned)) < len(binned) or not all(0 <= at < features for at in binned):
            raise SettingsError(
                f"binned must be different positions below {features}; got {list(binned)}"
            )
        self.binned = tuple(binned)
        self.outputs = features + len(binned) * bins
        self.register_buffer("low", torch.zeros(len(binned), bins))
        self.register_buffer("slope", torch.zeros(len(binned), bins))

    def fit_(self, x: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
        """Set the bins to the quantiles of training rows (rows, features).

        Values that stand in many rows make fewer bins; a feature with less than three values, none.

        Cost: a sort of each binned feature.
        """
        bins = self.low.shape[1]
        self.low.zero_()
        self.slope.zero_()
        for row, at in enumerate(self.binned):
            column = x[:, at].astype(np.float64)
            if np.isin(column, (column.min(), column.max())).all():
                continue
            edges = np.quantile(column, np.linspace(0, 1, bins + 1))
            edges = edges[np.diff(edges, prepend=-np.inf) > NARROWEST]
            count = len(edges) - 1
            self.low[row, :count] = torch.from_numpy(edges[:-1])
            self.slope[row, :count] = torch.from_numpy(1 / np.diff(edges))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, features) to (N, outputs)."""
        chosen = x[:, list(self.binned), None]
        places = ((chosen - self.low) * self.slope).clamp(0, 1) - 0.5 * (self.slope > 0)
        return torch.cat([x, places.flatten(1)], dim=1)
