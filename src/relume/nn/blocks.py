"""What the networks are built of: the chosen activation with its width, normalisation, heads."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from relume.errors import SettingsError
from relume.nn.arguments import choice, integer
from relume.nn.facts import Activation, Kind
from relume.nn.registry import build_activation, get_activation


class ComplexPairs(nn.Module):
    """Apply a complex activation to pairs of real features.

    Of the features along ``axis`` the first half are the real parts, the second half the
    imaginary parts, going in and coming out.

    Args:
        activation: A module that takes and returns complex tensors.
        axis: The feature axis; its length must be even.
    """

    def __init__(self, activation: nn.Module, axis: int) -> None:
        super().__init__()
        self.complex = activation
        self.axis = axis

    def forward(self, z: Tensor) -> Tensor:
        """Map (..., 2 m, ...) real numbers to as many."""
        real, imaginary = z.chunk(2, self.axis)
        a = self.complex(torch.complex(real, imaginary))
        return torch.cat((a.real, a.imag), self.axis)


@dataclass(frozen=True)
class ActivationChoice:
    """An activation of the catalogue with the parameters that a network uses it with."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no name and no parameters.

        Raises:
            SettingsError: The name is not a text, or a parameter that is a number is not given one.
            UnknownNameError: There is no such activation.
        """
        if not isinstance(self.name, str):
            raise SettingsError(f"activation must be a name of the catalogue; got {self.name!r}")
        if not isinstance(self.parameters, Mapping):
            raise SettingsError(
                f"parameters of {self.name} must be names with values; got {self.parameters!r}"
            )
        for name, value in self.parameters.items():
            if _is_number(self.entry.defaults.get(name)) and not _is_number(value):
                raise SettingsError(f"{name} of {self.name} must be a number; got {value!r}")

    @property
    def entry(self) -> Activation:
        """The entry of the catalogue."""
        return get_activation(self.name)

    def outputs(self, wanted: int) -> int:
        """Return the width that the activation can deliver: ``wanted``, or the next even number.

        Concatenated relu and the complex activations deliver features in pairs.
        """
        if self.entry.kind in (Kind.DOUBLING, Kind.COMPLEX):
            return wanted + wanted % 2
        return wanted

    def inputs(self, outputs: int) -> int:
        """Return how many features the layer before must deliver for ``outputs`` to come out."""
        if "pieces" in self.parameters:  # maxout: how many inputs compete for an output
            return outputs * integer("pieces", self.parameters["pieces"], least=2)
        return self.entry.input_features(outputs)

    def module(self, outputs: int, *, axis: int = -1) -> nn.Module:
        """Return a new module that delivers ``outputs`` features along ``axis``."""
        features = self.inputs(outputs)
        if self.entry.kind is Kind.COMPLEX:
            inner = build_activation(
                self.name, features=features // 2, axis=axis, **self.parameters
            )
            return ComplexPairs(inner, axis)
        return build_activation(self.name, features=features, axis=axis, **self.parameters)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def normalisation(kind: str | None, features: int, *, spatial: bool = False) -> nn.Module | None:
    """Return a new normalisation of ``features`` features, or None.

    Args:
        kind: ``"batch"``; ``"layer"`` (of an image: over its channels and places together); None.
        features: The width, or the number of channels.
        spatial: Whether the features are channels of an image.

    Raises:
        SettingsError: ``kind`` is none of these.
    """
    choice("norm", kind, (None, "batch", "layer"))
    if kind == "batch":
        return nn.BatchNorm2d(features) if spatial else nn.BatchNorm1d(features)
    if kind == "layer":
        return nn.GroupNorm(1, features) if spatial else nn.LayerNorm(features)
    return None


def named_blocks(**modules: nn.Module | None) -> nn.Sequential:
    """Return the modules in sequence under their names; None is left out.

    Example:
        >>> list(dict(named_blocks(linear=nn.Linear(2, 3), norm=None).named_children()))
        ['linear']
    """
    present = {name: module for name, module in modules.items() if module is not None}
    return nn.Sequential(OrderedDict(present))


def dropout_after(activation: ActivationChoice, share: float) -> nn.Module | None:
    """Return a new dropout for what the activation delivers, or None where none is dropped.

    After SELU it is alpha dropout, which keeps the mean and the variance of its outputs (Klambauer
    et al. 2017, arXiv:1706.02515, section 3).
    """
    if not share:
        return None
    return nn.AlphaDropout(share) if activation.entry.name == "selu" else nn.Dropout(share)


def dense_block(
    inputs: int, outputs: int, activation: ActivationChoice, *, norm: str | None, dropout: float
) -> nn.Sequential:
    """Return linear, norm, activation, dropout."""
    features = activation.inputs(outputs)
    return named_blocks(
        linear=nn.Linear(inputs, features, bias=norm is None),
        norm=normalisation(norm, features),
        activation=activation.module(outputs),
        dropout=dropout_after(activation, dropout),
    )


class Heads(nn.ModuleDict):
    """Several linear heads on the same features, by name.

    A module's name may hold no dot and no name that a module has already (``type``, ``keys``):
    such a head is kept under a name near it, and its output under its own.
    """

    def __init__(self, features: int, outputs: Mapping[str, int]) -> None:
        super().__init__()
        self._keys: dict[str, str] = {}
        for name, width in outputs.items():
            key = name.replace(".", "_")
            while hasattr(self, key):
                key += "_"
            self[key] = nn.Linear(features, width)
            self._keys[name] = key

    def forward(self, a: Tensor) -> dict[str, Tensor]:
        """Return the output of each head."""
        return {name: self[key](a) for name, key in self._keys.items()}


class HeadedNetwork(nn.Module):
    """A network whose last part is one linear ``head``, or several named ``heads``."""

    def _add_heads(self, features: int, outputs: int | Mapping[str, int]) -> None:
        """Add the heads; called last, since layers stand in the order in which they run."""
        if isinstance(outputs, int):
            self.head = nn.Linear(features, outputs)
        else:
            self.heads = Heads(features, outputs)

    def _apply_heads(self, a: Tensor) -> Tensor | dict[str, Tensor]:
        heads = self.heads if "heads" in self._modules else self.head
        result: Tensor | dict[str, Tensor] = heads(a)
        return result
