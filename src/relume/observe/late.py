"""Reading numbers that were left where they were computed, all of them at once."""

from collections.abc import Sequence

import torch
from torch import Tensor


def read_scalars(waiting: Sequence[Tensor]) -> list[float]:
    """Return scalars of any devices and types as floats, in their order.

    Cost: each device is waited for once.

    Example:
        >>> read_scalars([torch.tensor(2.0), torch.tensor(0.5, dtype=torch.float16)])
        [2.0, 0.5]
    """
    known: dict[int, float] = {}
    for device in {value.device for value in waiting}:
        mine = [index for index, value in enumerate(waiting) if value.device == device]
        numbers = torch.stack([waiting[index].detach() for index in mine]).tolist()
        known.update(zip(mine, numbers, strict=True))
    return [known[index] for index in range(len(waiting))]
