"""Treatments of activations: one left out, some swapped, one put between two linear layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from relume.remedies.cure.inside.listener import ActivationCall, Listener
from relume.remedies.cure.inside.made import Makings, key_of
from relume.remedies.cure.place import CodePlace

STAND_INS = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "silu": functional.silu,
}


class Skip(Listener):
    """Leaves activations out.

    Args:
        keys: Which applications of which activations.
        makings: Knows where modules were made.
    """

    def __init__(self, keys: Sequence[Mapping[str, Any]], makings: Makings) -> None:
        self._keys = keys
        self._makings = makings

    def replace_activation(self, call: ActivationCall) -> Tensor | None:
        """Return what the activation was given."""
        return call.value if _is_meant(call, self._keys, self._makings) else None


class Swap(Listener):
    """Puts another activation in place of some.

    Args:
        keys: Which applications of which activations.
        to: Name of the other one.
        makings: Knows where modules were made.
    """

    def __init__(self, keys: Sequence[Mapping[str, Any]], to: str, makings: Makings) -> None:
        self._keys = keys
        self._to = STAND_INS[to]
        self._makings = makings

    def replace_activation(self, call: ActivationCall) -> Tensor | None:
        """Return what the other one gives."""
        if not _is_meant(call, self._keys, self._makings):
            return None
        return self._to(call.value)


class Insert(Listener):
    """Applies ReLU to what certain layers give.

    Args:
        layers: Their qualified names.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self._layers = layers
        self._models: list[nn.Module] = []

    def before_model(
        self, model: nn.Module, values: tuple[Any, ...], place: CodePlace | None
    ) -> tuple[Any, ...]:
        """Hook into the layers at the first call of a model."""
        if not any(each is model for each in self._models):
            self._models.append(model)
            modules = dict(model.named_modules())
            for name in self._layers:
                if name in modules:
                    modules[name].register_forward_hook(lambda _module, _args, out: out.relu())
        return values


def _is_meant(call: ActivationCall, keys: Sequence[Mapping[str, Any]], makings: Makings) -> bool:
    if not any(call.function == key["function"] for key in keys):
        return False
    return key_of(call.function, call.place, makings.of(call.module)) in keys
