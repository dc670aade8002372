"""Dropout with one mask for a whole batch, whatever its number of rows."""

import torch
from torch import Tensor, nn


class BatchwiseDropout(nn.Module):
    """Drop whole units: in training, each with probability p for all rows; the rest times 1/(1-p).

    What is drawn does not depend on the number of rows, so that a row of weight 2 and two equal
    rows train alike.

    References:
        Graham, Reizenstein, Robinson (2015), "Efficient batchwise dropout training using
        submatrices", arXiv:1502.02478.

    Example:
        >>> dropout = BatchwiseDropout(0.5)
        >>> a = dropout(torch.ones(3, 4))
        >>> bool((a == a[0]).all()), set(a.unique().tolist()) <= {0.0, 2.0}
        (True, True)
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, a: Tensor) -> Tensor:
        """Map (N, units, ...) to the same."""
        if not self.training:
            return a
        drawn = torch.rand(a.shape[1], device=a.device, dtype=a.dtype) >= self.p
        kept = drawn.to(a.dtype).reshape(-1, *[1] * (a.ndim - 2))
        return a * (kept / (1 - self.p))


def share_masks_(network: nn.Module) -> None:
    """Replace each ``nn.Dropout`` in a network by one whose mask all rows of a batch share."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, BatchwiseDropout(child.p))
