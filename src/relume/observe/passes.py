"""How many rows a forward pass has."""

from collections.abc import Mapping

from torch import Tensor


def leading_rows(batch: object) -> int | None:
    """Return the length of the first tensor in a batch; ``None`` where there is none.

    Example:
        >>> import torch
        >>> leading_rows({"name": "x", "x": (torch.zeros(5, 2), torch.zeros(5))})
        5
    """
    if isinstance(batch, Tensor):
        return batch.size(0) if batch.ndim else 1  # a nested tensor has no shape
    if isinstance(batch, Mapping):
        batch = tuple(batch.values())
    if isinstance(batch, tuple | list):
        found = (leading_rows(part) for part in batch)
        return next((rows for rows in found if rows is not None), None)
    return None
