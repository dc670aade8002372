"""Which weights follow on which by linear operations alone, read off the autograd graph."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import torch
from torch import Tensor

MOST_NODES = 20_000
"""Nodes of the graphs of one step that are looked at."""

_MISSING = object()
_LAID_OUT = frozenset({"T", "Transpose", "ToCopy", "Expand", "View", "Permute", "Clone"})
_INPUT_AT = {"Addmm": 1, "Baddbmm": 1, "Addbmm": 1, "Mm": 0, "Bmm": 0, "Linear": 0, "Mv": 0,
             "Addmv": 1, "Convolution": 0, "ConvolutionOverrideable": 0}  # fmt: skip
"""Which operand of a product is its input."""

_JOINT = ("Bmm", "Mm", "Baddbmm", "ScaledDotProduct", "EfficientAttention", "FlashAttention")
_LINEAR = frozenset({
    "View", "UnsafeView", "ReshapeAlias", "Transpose", "Permute", "T", "Alias", "Add", "Sub",
    "Rsub", "Neg", "Squeeze", "Unsqueeze", "Expand", "Clone", "ToCopy", "Slice", "Select", "Split",
    "SplitWithSizes", "Unbind", "Stack", "Cat", "AsStrided", "Mean", "Sum", "ConstantPadNd",
    "NativeDropout", "Unfold", "Im2Col", "Repeat", "Roll", "Flip", "AvgPool1D", "AvgPool2D",
    "AvgPool3D", "AdaptiveAvgPool1D", "AdaptiveAvgPool2D", "AdaptiveAvgPool3D",
    "MkldnnAdaptiveAvgPool2D", "UnsafeSplit", "Swapaxes", "Swapdims", "Movedim",
    "PixelShuffle", "Contiguous",
})  # fmt: skip
_SCALING = frozenset({"Mul", "Div"})


class _Origin(Enum):
    """Where a value comes from, when not from one module's weights alone."""

    CONSTANT = auto()  # data and parameters
    SEVERAL = auto()
    ATTENTION = auto()
    ELSEWHERE = auto()  # behind a nonlinearity, a normalisation, or what is not known


@dataclass(slots=True)
class LinearPaths:
    """What the graphs of a step say, by names of modules.

    Attributes:
        sources: The module that each one follows on; None where there is none, or not only one.
        attention: Modules that make queries, keys or values, or read what attention returns.
        summed: Modules whose input sums what several others made.
    """

    sources: dict[str, str | None] = field(default_factory=dict)
    attention: set[str] = field(default_factory=set)
    summed: set[str] = field(default_factory=set)


class PathFinder:
    """Walks graphs from their ends to the data.

    Args:
        owners: Name of the module that has a parameter, by the ``id`` of the parameter.

    Attributes:
        paths: What was found.
    """

    def __init__(self, owners: Mapping[int, str]) -> None:
        self.paths = LinearPaths()
        self._owners = owners
        self._origins: dict[Any, _Origin | str] = {None: _Origin.CONSTANT}

    def walk(self, end: Any) -> None:
        """Walk up from a node of a graph; cost: a few microseconds a node."""
        waiting = [end]
        while waiting and len(self._origins) < MOST_NODES:
            node = waiting[-1]
            if node in self._origins:
                waiting.pop()
                continue
            ahead = [above for above, _ in node.next_functions if above not in self._origins]
            if ahead:
                waiting.extend(ahead)
            else:
                waiting.pop()
                self._origins[node] = self._origin(node)

    def _origin(self, node: Any) -> _Origin | str:
        kind = kind_of_node(node)
        if kind == "torch::autograd::AccumulateGrad":
            return _Origin.CONSTANT
        owner = self._owner(node, kind)
        if owner is not None:
            self._note(owner, self._origins_of_input(node, kind))
            return owner
        above = [self._origins[each] for each, _ in node.next_functions]
        if kind.startswith(_JOINT):
            self.paths.attention.update(each for each in above if isinstance(each, str))
            return _Origin.ATTENTION
        if kind in _SCALING and not _is_scaling(node):
            return _Origin.ELSEWHERE
        is_linear = kind in _LINEAR or kind in _SCALING or kind.startswith("Upsample")
        return _together(above) if is_linear else _Origin.ELSEWHERE

    def _owner(self, node: Any, kind: str) -> str | None:
        """Return the module whose weights an operation multiplies by, or looks up."""
        if kind not in _INPUT_AT and not kind.startswith("Embedding"):
            return None
        input_at = _INPUT_AT.get(kind, -1)
        for index, (operand, _) in enumerate(node.next_functions):
            leaf = _leaf(operand) if index != input_at else None
            if leaf is not None and leaf.ndim > 1 and id(leaf) in self._owners:
                return self._owners[id(leaf)]
        return None

    def _origins_of_input(self, node: Any, kind: str) -> _Origin | str:
        if kind not in _INPUT_AT:
            return _Origin.CONSTANT
        return self._origins[node.next_functions[_INPUT_AT[kind]][0]]

    def _note(self, module: str, origin: _Origin | str) -> None:
        source = origin if isinstance(origin, str) and origin != module else None
        if self.paths.sources.setdefault(module, source) != source:
            self.paths.sources[module] = None
        if origin is _Origin.ATTENTION:
            self.paths.attention.add(module)
        if origin is _Origin.SEVERAL:
            self.paths.summed.add(module)


def ends_of(output: Any, depth: int = 4) -> Iterator[Any]:
    """Yield the nodes that made the tensors in what a module returned."""
    if isinstance(output, Tensor):
        if output.grad_fn is not None:
            yield output.grad_fn
    elif depth and isinstance(output, Mapping):
        yield from ends_of(list(output.values()), depth - 1)
    elif depth and isinstance(output, list | tuple):
        for each in output:
            yield from ends_of(each, depth - 1)


def kind_of_node(node: Any) -> str:
    """Return the name of an operation: ``AddmmBackward0`` is ``Addmm``."""
    return str(node.name()).partition("Backward")[0]


def _together(origins: list[_Origin | str]) -> _Origin | str:
    """Return the origin of a sum."""
    distinct = set(origins) - {_Origin.CONSTANT}
    if len(distinct) < 2:
        return distinct.pop() if distinct else _Origin.CONSTANT
    is_known = distinct.isdisjoint({_Origin.ELSEWHERE, _Origin.ATTENTION})
    return _Origin.SEVERAL if is_known else _Origin.ELSEWHERE


def _leaf(operand: Any) -> Tensor | None:
    while operand is not None and kind_of_node(operand) in _LAID_OUT:
        operand = operand.next_functions[0][0]
    leaf = getattr(operand, "variable", None)
    return leaf if isinstance(leaf, Tensor) else None


def _is_scaling(node: Any) -> bool:
    """Whether a product has one factor that is a constant, a parameter, or a mask of dropout."""
    operands = [operand for operand, _ in node.next_functions]
    moving = [o for o in operands if o is not None and not hasattr(o, "variable")]
    if len(moving) > 1 or (kind_of_node(node) == "Div" and moving and operands[0] is not moving[0]):
        return False
    if any(o is not None and hasattr(o, "variable") for o in operands):
        return True
    if len(operands) == 1:
        return True  # by a number
    other = "other" if operands and operands[0] is not None else "self"
    constant = _saved(node, other)
    return constant is not None and (constant.numel() == 1 or _is_dropout_mask(constant))


def _saved(node: Any, name: str) -> Tensor | None:
    """Return a tensor that a node keeps, unless somebody's hook would have to be called for it."""
    raw = getattr(node, f"_raw_saved_{name}", None)
    if raw is None or getattr(raw, "unpack_hook", _MISSING) is not None:
        return None
    found = getattr(node, f"_saved_{name}", None)
    return found if isinstance(found, Tensor) else None


def _is_dropout_mask(mask: Tensor) -> bool:
    """Whether it holds zeros and one other number above 1, as dropout has it.

    A mask of zeros and ones may be a rectifier written by hand. Other devices than the CPU would
    have to be waited for; dropout is one operation there.
    """
    if not mask.is_cpu or not mask.is_floating_point():
        return False
    with torch.no_grad():
        some = mask.detach().reshape(-1)[:4096]
        kept = some[some != 0]
        return not len(kept) or bool((kept[0] > 1) & (kept == kept[0]).all())
