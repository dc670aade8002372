"""The functions of torch that apply an activation, and how the live values of each are read."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from relume.observe.plain import is_plain


class Silence(StrEnum):
    """What it is called when no value of a unit was live."""

    DEAD = "dead"  # constant output, gradient exactly zero
    SATURATED = "saturated"  # bounded output at its ends, gradient nearly zero
    DORMANT = "dormant"  # hardly any output; the gradient still flows


class Source(StrEnum):
    """Which tensor tells whether a unit is live."""

    OUTPUT = "output"
    INPUT = "input"  # read before the call, which may overwrite it
    NONZERO = "nonzero"  # the output, live on both sides of zero


@dataclass(frozen=True, slots=True)
class Reading:
    """How one call of an activation is read: a value is live where ``low < v < high``.

    Args:
        activation: Name in the catalogue, or torch's own.
        silence: What it is called when no value of a unit is live.
        source: Which tensor is compared.
        low: Lower end of the live interval.
        high: Its upper end.
        slope: The slopes of a parametric ReLU, where it has some.
        gate_axis: Of a gated unit, the axis whose second half is the gates, which are read.
        keeps_units: Whether there are as many units as its weights have rows.
    """

    activation: str
    silence: Silence = Silence.DORMANT
    source: Source = Source.OUTPUT
    low: float = 0.0
    high: float = math.inf
    slope: Tensor | None = None
    gate_axis: int | None = None
    keeps_units: bool = True

    def read_part(self, z: Tensor) -> Tensor:
        """Return the part of the input that has the units of the output."""
        if self.gate_axis is None:
            return z
        half = z.shape[self.gate_axis] // 2
        return z.detach().narrow(self.gate_axis, half, half)


Reader = Callable[[Sequence[Any], Mapping[str, Any]], Reading | None]


@dataclass(frozen=True, slots=True)
class Rectifier:
    """One function of torch that is observed.

    Args:
        places: The names under which torch has it, as ``(namespace, attribute)``.
        read: From the arguments of a call to its reading; None where the call is no activation.
        is_arithmetic: Whether it also has other uses (a clamp in a loss): then a call counts only
            where the weights that feed it are found.
    """

    places: tuple[tuple[str, str], ...]
    read: Reader
    is_arithmetic: bool = False


STEEP = 0.01
"""A bounded activation is live where its slope exceeds this share of its greatest."""
_TANH_END = math.sqrt(1 - STEEP)
_SIGMOID_END = (1 - _TANH_END) / 2
_SOFTSIGN_END = 1 - math.sqrt(STEEP)


def _always(reading: Reading) -> Reader:
    return lambda _args, _named: reading


def _argument(
    args: Sequence[Any], named: Mapping[str, Any], position: int, name: str, default: Any
) -> Any:
    return args[position] if len(args) > position else named.get(name, default)


def _leaky_relu(args: Sequence[Any], named: Mapping[str, Any]) -> Reading:
    slope = _argument(args, named, 1, "negative_slope", 0.01)
    if slope == 0:
        return RELU
    return Reading("leaky_relu", source=Source.OUTPUT if slope > 0 else Source.INPUT)


def _prelu(args: Sequence[Any], named: Mapping[str, Any]) -> Reading:
    weight = _argument(args, named, 1, "weight", None)
    slope = weight if isinstance(weight, Tensor) else None
    return Reading("prelu", source=Source.INPUT, slope=slope)


def _threshold(args: Sequence[Any], named: Mapping[str, Any]) -> Reading | None:
    threshold = _argument(args, named, 1, "threshold", None)
    value = _argument(args, named, 2, "value", None)
    if not (_is_number(threshold) and _is_number(value)):
        return None
    name = "relu" if threshold == value == 0 else "thresholded_relu"
    return Reading(name, Silence.DEAD, Source.INPUT, low=float(threshold))


def _hardtanh(args: Sequence[Any], named: Mapping[str, Any]) -> Reading | None:
    low = _argument(args, named, 1, "min_val", -1.0)
    high = _argument(args, named, 2, "max_val", 1.0)
    return _clipping("hardtanh", low, high)


def _clamp(args: Sequence[Any], named: Mapping[str, Any]) -> Reading | None:
    low = _argument(args, named, 1, "min", None)
    high = _argument(args, named, 2, "max", None)
    if low != 0 or not _is_number(low) or not (high is None or _is_number(high)):
        return None
    return _clipping("relu", low, math.inf if high is None else high)


def _clipping(name: str, low: Any, high: Any) -> Reading | None:
    if not (_is_number(low) and _is_number(high)):
        return None
    if low == 0:
        name = {6.0: "relu6", math.inf: "relu"}.get(float(high), name)
        return Reading(
            name, Silence.DEAD
        )  # above its upper end a unit still varies: it is read as live
    return Reading(name, Silence.SATURATED, low=float(low), high=float(high))


def _larger_than_zero(args: Sequence[Any], named: Mapping[str, Any]) -> Reading | None:
    """``maximum(x, 0)``: the other tensor is zero, and on the CPU, so that looking costs little."""
    other = _argument(args, named, 1, "other", None)
    if type(other) is not Tensor or other.requires_grad or not is_plain(other):
        return None
    if other.device.type != "cpu" or bool(other.count_nonzero()):
        return None
    return RELU


def _glu(args: Sequence[Any], named: Mapping[str, Any]) -> Reading:
    """A gated linear unit is silent where its gate is shut: below 1 % open."""
    axis = _argument(args, named, 1, "dim", -1)
    shut = math.log(STEEP / (1 - STEEP))
    return Reading("glu", source=Source.INPUT, low=shut, gate_axis=axis, keeps_units=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


RELU = Reading("relu", Silence.DEAD)
GELU = Reading("gelu")
TANH = Reading("tanh", Silence.SATURATED, low=-_TANH_END, high=_TANH_END)
SIGMOID = Reading("sigmoid", Silence.SATURATED, low=_SIGMOID_END, high=1 - _SIGMOID_END)
_HARDSWISH = Reading("hardswish", Silence.DEAD, Source.INPUT, low=-3.0)
_TORCH, _METHODS, _NN, _F = "torch", "torch.Tensor", "torch._C._nn", "torch.nn.functional"


def _places(*names: str, among: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((space, name) for space in among for name in names)


RECTIFIERS: tuple[Rectifier, ...] = (
    Rectifier(_places("relu", "relu_", among=(_TORCH, _METHODS)), _always(RELU)),
    Rectifier(_places("relu_", among=(_F,)), _always(RELU)),
    Rectifier(_places("relu6", "relu6_", among=(_NN,)), _always(Reading("relu6", Silence.DEAD))),
    Rectifier((*_places("hardtanh", "hardtanh_", among=(_NN,)), (_F, "hardtanh_")), _hardtanh),
    Rectifier(
        _places("clamp", "clamp_", "clip", "clip_", among=(_TORCH, _METHODS)),
        _clamp,
        is_arithmetic=True,
    ),
    Rectifier(
        _places("clamp_min", "clamp_min_", among=(_TORCH, _METHODS)), _clamp, is_arithmetic=True
    ),
    Rectifier(
        _places("maximum", "max", "fmax", among=(_TORCH, _METHODS)),
        _larger_than_zero,
        is_arithmetic=True,
    ),
    Rectifier(
        (*_places("threshold", "threshold_", among=("torch._VF", _TORCH)), (_F, "threshold_")),
        _threshold,
        is_arithmetic=True,
    ),
    Rectifier(
        (*_places("leaky_relu", "leaky_relu_", among=(_NN,)), (_F, "leaky_relu_")), _leaky_relu
    ),
    Rectifier(((_TORCH, "prelu"), (_METHODS, "prelu"), (_F, "prelu")), _prelu),
    Rectifier(
        (*_places("rrelu", "rrelu_", among=(_TORCH,)), (_F, "rrelu_")),
        _always(Reading("rrelu", source=Source.INPUT)),
    ),
    Rectifier((*_places("elu", "elu_", among=(_NN,)), (_F, "elu_")), _always(Reading("elu"))),
    Rectifier(
        (*_places("selu", "selu_", among=(_TORCH,)), (_F, "selu_")), _always(Reading("selu"))
    ),
    Rectifier(
        (*_places("celu", "celu_", among=(_TORCH,)), (_F, "celu_")), _always(Reading("celu"))
    ),
    Rectifier(((_NN, "gelu"), (_F, "gelu")), _always(GELU)),
    Rectifier(_places("silu", "silu_", among=(_NN,)), _always(Reading("silu"))),
    Rectifier(_places("mish", "mish_", among=(_NN,)), _always(Reading("mish"))),
    Rectifier(
        ((_NN, "softplus"), (_F, "softplus")),
        _always(Reading("softplus", source=Source.INPUT)),
    ),
    Rectifier(_places("hardswish", "hardswish_", among=(_NN,)), _always(_HARDSWISH)),
    Rectifier(
        _places("hardsigmoid", "hardsigmoid_", among=(_NN,)),
        _always(Reading("hardsigmoid", Silence.SATURATED, high=1.0)),
    ),
    Rectifier(
        _places("tanh", "tanh_", among=(_TORCH, _METHODS)),
        _always(TANH),
        is_arithmetic=True,
    ),
    Rectifier(
        _places("sigmoid", "sigmoid_", among=(_TORCH, _METHODS)),
        _always(SIGMOID),
        is_arithmetic=True,
    ),
    Rectifier(((_F, "logsigmoid"),), _always(Reading("log_sigmoid", source=Source.INPUT))),
    Rectifier(
        _places("hardshrink", among=(_TORCH, _METHODS, _F)),
        _always(Reading("hardshrink", Silence.DEAD, Source.NONZERO)),
    ),
    Rectifier(
        ((_NN, "softshrink"), (_F, "softshrink")),
        _always(Reading("softshrink", Silence.DEAD, Source.NONZERO)),
    ),
    Rectifier(((_F, "tanhshrink"),), _always(Reading("tanhshrink", source=Source.NONZERO))),
    Rectifier(
        ((_F, "softsign"),),
        _always(Reading("softsign", Silence.SATURATED, low=-_SOFTSIGN_END, high=_SOFTSIGN_END)),
    ),
    Rectifier(((_NN, "glu"),), _glu),
)
"""Every function that is observed, in-place forms and methods too.

Functions of ``torch.nn.functional`` that only call one of these (``relu``, ``elu``, ``tanh``) are
seen through it, and so are the modules of ``torch.nn``.
"""


def namespace(name: str) -> Any:
    """Return the module or class that a place names.

    Example:
        >>> namespace("torch.Tensor") is Tensor
        True
    """
    found: Any = torch
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found
