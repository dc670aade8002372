"""Weights of a sharded training (FSDP): gathered for a while and given back, never read by us.

Between two uses a gathered weight has no memory, and reading a sharded one would make the ranks
talk to each other where the training does not.
"""

import sys
from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from relume.observe.plain import has_plain_storage

_PACKAGE = "torch.distributed.fsdp"
_KINDS = frozenset({"FSDPModule", "FullyShardedDataParallel"})


def is_readable(weight: Tensor) -> bool:
    """Whether its numbers lie in this process now."""
    if not has_plain_storage(weight):
        return False
    return weight.numel() == 0 or weight.untyped_storage().nbytes() > 0


def is_sharded(module: nn.Module) -> bool:
    """Whether its weights, and those of its parts, are shards: ``fully_shard`` or its forerunner.

    Example:
        >>> is_sharded(nn.Linear(2, 3))
        False
    """
    return _PACKAGE in sys.modules and any(
        base.__name__ in _KINDS and base.__module__.startswith(_PACKAGE)
        for base in type(module).__mro__
    )


def sharded_parts(root: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of a model whose weights are shards; some may come twice."""
    if _PACKAGE in sys.modules:
        for module in root.modules():
            if is_sharded(module):
                yield from module.modules()


def are_gathered(weights: Iterable[Tensor], callers: Iterable[nn.Module | None]) -> bool:
    """Whether weights that are in use belong to a sharded module, or were given back already.

    Args:
        weights: What an operation read.
        callers: The modules that are being called.
    """
    if _PACKAGE not in sys.modules:
        return False
    return not all(map(is_readable, weights)) or any(
        module is not None and is_sharded(module) for module in callers
    )
