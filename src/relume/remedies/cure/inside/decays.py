"""Treatments of an optimizer when it is made: its momentum and its weight decay."""

from typing import Any

from torch.optim import Optimizer

from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.place import CodePlace

DECAY = "weight_decay"


class Momentum(Listener):
    """Sets the momentum of optimizers that have one.

    Args:
        momentum: How much.
    """

    def __init__(self, momentum: float) -> None:
        self._momentum = momentum

    def optimizer_made(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Set it."""
        for options in (*optimizer.param_groups, optimizer.defaults):
            if options.get("momentum"):
                options["momentum"] = self._momentum


class WeightDecay(Listener):
    """Multiplies the weight decay, of all parameters or of vectors and numbers alone.

    Args:
        factor: By what; where ``spares``, 1.
        spares: Whether slopes, biases and the scales of norms, none of which has two axes, are
            spared.
    """

    def __init__(self, factor: float, *, spares: bool = False) -> None:
        self._factor = factor
        self._spares = spares

    def optimizer_made(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Multiply it."""
        for options in (*optimizer.param_groups, optimizer.defaults):
            if DECAY in options:
                options[DECAY] = options[DECAY] * self._factor
        if self._spares:
            optimizer.param_groups[:] = [
                part for group in optimizer.param_groups for part in _parted(group)
            ]


def _parted(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a group as two, what has fewer than two axes in the second, without decay."""
    spared = [each for each in group["params"] if each.ndim < 2]
    decayed = [each for each in group["params"] if each.ndim >= 2]
    parts = [group | {"params": decayed}, group | {"params": spared, DECAY: 0.0}]
    return [part for part in parts if part["params"]]
