"""Which tensors can be read, and what is odd about the others."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor


def is_plain(z: Tensor, *, may_be_complex: bool = False) -> bool:
    """Whether there is a real tensor of floats behind it: no fake, no wrapper of torch.func."""
    is_number = z.is_floating_point() or (may_be_complex and z.is_complex())
    return has_plain_storage(z) and is_number


def has_plain_storage(z: Tensor) -> bool:
    """Whether there is a real tensor behind it, of whatever type its numbers are."""
    kind = type(z)
    return (
        (kind is Tensor or kind is nn.Parameter)
        and z.layout is torch.strided
        and not z.is_meta
        and not z.is_nested
        and not is_functorch_wrapped_tensor(z)
    )


def has_values(z: Tensor) -> bool:
    """Whether it holds numbers that a training could change: no integers, no shape alone."""
    return (z.is_floating_point() or z.is_complex()) and z.device.type != "meta"


def oddity(z: Tensor) -> str:
    """Return what is odd about a tensor that is not plain."""
    if is_functorch_wrapped_tensor(z):
        return "torch.func"
    if type(z) not in {Tensor, nn.Parameter}:
        return type(z).__name__
    if z.is_nested:
        return "a nested tensor"
    return "complex numbers" if z.is_complex() else "a sparse tensor"


def floating(args: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the tensors among the arguments of a call, but those of masks and sizes."""
    for given in args:
        if isinstance(given, list | tuple):
            yield from floating(given)
        elif isinstance(given, Tensor) and (given.is_floating_point() or given.is_complex()):
            yield given
