"""A treatment of batches: rows with missing values are left out."""

from typing import Any

import torch
from torch import Tensor

from relume.remedies.cure.inside.listener import Listener


class DropRows(Listener):
    """Leaves out the rows of a batch in which a value of any of its tensors is not finite."""

    def batch(self, batch: Any) -> Any:
        """Return the batch without them; None where none is left."""
        if not isinstance(batch, (tuple, list)) or not batch:
            return batch
        if not all(isinstance(each, Tensor) and each.ndim for each in batch):
            return batch
        kept = torch.ones(len(batch[0]), dtype=torch.bool)
        for each in batch:
            kept &= each.reshape(len(each), -1).isfinite().all(1).cpu()
        if not bool(kept.any()):
            return None
        return type(batch)(each[kept.to(each.device)] for each in batch)
