"""Norms of weights, of their gradients and of their moves: one pass over memory for each.

float32 numbers on a CPU, side by side, are read by the C extension, if that was built; all others
by torch operations on their own device. On a CPU a norm is a float, elsewhere a scalar tensor, so
that nothing waits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from relume.kernels.unit_sums import IS_NATIVE

Norm: TypeAlias = float | Tensor

if IS_NATIVE:
    from relume.kernels._native import copy_squares, squares, total

_PLAIN: Final = (Tensor, nn.Parameter)


def norm(tensors: Sequence[Tensor]) -> Norm:
    """Return the L2 norm of all numbers of some tensors.

    Example:
        >>> norm([torch.tensor([3.0]), torch.tensor([[4.0]])])
        5.0
    """
    if all(map(is_native, tensors)):
        return math.sqrt(sum(squares(x.data_ptr(), 0, x.numel()) for x in tensors))
    with torch.no_grad():
        return joined([x.float() for x in torch._foreach_norm(list(tensors))])  # noqa: SLF001


def keep(tensors: Sequence[Tensor], copies: Sequence[Tensor]) -> Norm:
    """Copy tensors into others of the same shape and type; return their norm."""
    if _are_native(tensors, copies):
        pairs = zip(tensors, copies, strict=True)
        return math.sqrt(sum(copy_squares(x.data_ptr(), c.data_ptr(), x.numel()) for x, c in pairs))
    with torch.no_grad():
        torch._foreach_copy_(list(copies), list(tensors))
    return norm(copies)


def distance(
    tensors: Sequence[Tensor], others: Sequence[Tensor], room: Callable[[Tensor], Tensor]
) -> Norm:
    """Return the L2 norm of the difference of some tensors from others of the same shape.

    Args:
        tensors: The ones.
        others: The others.
        room: Returns memory for a tensor like the one given; asked where torch computes.
    """
    if _are_native(tensors, others):
        pairs = zip(tensors, others, strict=True)
        return math.sqrt(sum(squares(x.data_ptr(), y.data_ptr(), x.numel()) for x, y in pairs))
    with torch.no_grad():
        moved = [
            torch.linalg.vector_norm(torch.sub(x, y, out=room(x))).float()
            for x, y in zip(tensors, others, strict=True)
        ]
        return joined(moved)


def sample(x: Tensor, most: int) -> tuple[float, float] | None:
    """Return mean and mean square of the first numbers of a tensor, at most so many.

    None where the extension cannot read it.
    """
    many = min(x.numel(), most)
    if not (many and is_native(x)):
        return None
    try:
        address = x.data_ptr()
    except RuntimeError:  # of a transform: it has no memory of its own
        return None
    return total(address, 0, many) / many, squares(address, 0, many) / many


def is_native(x: Tensor) -> bool:
    """Whether the extension can read it."""
    return (
        IS_NATIVE
        and x.dtype is torch.float32
        and type(x) in _PLAIN
        and x.is_cpu
        and x.layout is torch.strided
        and x.is_contiguous()
        and not x.is_neg()
    )


def _are_native(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(
        is_native(x) and is_native(y) and x.numel() == y.numel()
        for x, y in zip(tensors, others, strict=True)
    )


def joined(norms: Sequence[Norm]) -> Norm:
    """Return the norm of a whole from those of its parts, at least one.

    Example:
        >>> joined([3.0, 4.0])
        5.0
    """
    floats = [part for part in norms if isinstance(part, float)]
    if len(floats) == len(norms):
        return math.hypot(*floats)
    parts = [part for part in norms if isinstance(part, Tensor)]
    whole: Tensor = torch.linalg.vector_norm(torch.stack(parts))
    return whole.item() if whole.device.type == "cpu" else whole
