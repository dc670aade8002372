"""Telling the forward passes of one step apart, where a step holds several."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class Passes:
    """The forward passes through a model: each is an outermost call of one of its modules.

    A discriminator called on real and on generated rows makes two passes, and the rows of both
    count; a cell called at every time step within one call of its network makes one.

    Attributes:
        number: Of the present pass, from 1.
        rows: Its rows: the length of the first tensor that it was called with.
    """

    def __init__(self) -> None:
        self.number = 0
        self.rows = 0
        self._depth = 0

    def attach(self, modules: Iterable[nn.Module]) -> list[RemovableHandle]:
        """Hang the hooks that tell where a pass begins and ends, also by an exception."""
        hooks: list[RemovableHandle] = []
        for module in modules:
            hooks.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
            hooks.append(module.register_forward_hook(self._leave, always_call=True))
        return hooks

    def _enter(self, _: nn.Module, inputs: tuple[object, ...], named: dict[str, object]) -> None:
        if self._depth == 0:
            self.number += 1
            self.rows = leading_rows((inputs, named)) or 0
        self._depth += 1

    def _leave(self, _: nn.Module, __: object, ___: object) -> None:
        self._depth -= 1


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
