"""Which weights feed an activation, read off the autograd graph; reads only."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

T = TypeVar("T")

MOST_NODES = 200
"""Nodes walked before the search is given up: between weights and activation there are few."""

_CHANNELS_FIRST = ("Convolution", "BatchNorm", "GroupNorm", "InstanceNorm", "ConvTranspose")
PRODUCTS = ("Addmm", "Mm", "Bmm", "Baddbmm", "Linear", "Mv", "Dot", "Addmv", "Matmul", "Addbmm")
_NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RmsNorm")
_PASSED = (
    "View", "Reshape", "Unsafe", "Transpose", "Permute", "T", "Alias", "Add", "Sub", "Mul", "Div",
    "Squeeze", "Unsqueeze", "Expand", "Clone", "ToCopy", "Slice", "Select", "Split", "Chunk", "Cat",
    "Dropout", "NativeDropout", "Checkpoint", "AsStrided", "Unbind", "Stack", "Narrow", "Flatten",
    "Contiguous", "Copy", "Identity", "MaxPool", "AvgPool", "AdaptiveAvgPool", "Mean", "Pad",
    "Embedding", "Detach", "Where", "Index", "Swapaxes", "Movedim", "Unfold", "Unflatten",
    "Complex",
)  # fmt: skip

_INPUT_AT = {"Addmm": 1, "Baddbmm": 1, "Addbmm": 1, "Mm": 0, "Bmm": 0, "Linear": 0, "Matmul": 0}
"""Which operand of a product is its input, unless that is a parameter."""

_LAID_OUT = ("T", "Transpose", "ToCopy", "Expand", "View", "Permute")
"""What may stand between a product and its weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Feeding:
    """The weights that feed an activation.

    Args:
        weights: The leaves of the nearest product: a matrix or kernel first, then its bias.
        is_channels_first: Whether the unit axis of what it makes is 1.
        product: That product, a node of the graph.
    """

    weights: tuple[Tensor, ...]
    is_channels_first: bool
    product: Any


def feeding(node: Any, *, is_arithmetic: bool = False) -> Feeding | None:
    """Return the weights nearest above a node of the autograd graph.

    Walks from the node through reshapes, sums, norms and dropout to the first product that reads a
    leaf; anything else (a distance, a reduction) ends the search on that branch.

    Args:
        node: ``grad_fn`` of the pre-activation; None where there is no graph.
        is_arithmetic: Whether the activation may be none: behind a difference, as in the margin of
            a loss, it is none.

    Cost: a few microseconds for each node on the way.
    """
    if node is None:
        return None
    is_channels_first = None
    waiting, seen = deque([node]), set[Any]()
    biases: list[Tensor] = []
    while waiting and len(seen) < MOST_NODES:
        node = waiting.popleft()
        if node is None or node in seen:
            continue
        seen.add(node)
        name = kind_of_node(node)
        if is_channels_first is None and (_is_one(name, _NORMS) or _is_one(name, _CHANNELS_FIRST)):
            is_channels_first = _is_one(name, _CHANNELS_FIRST)
        biases.extend(_biases(node, name))
        if _is_one(name, PRODUCTS) or "Convolution" in name:
            weights = _matrices_first((*leaves_of(node), *biases))
            if weights:
                first = "Convolution" in name if is_channels_first is None else is_channels_first
                return Feeding(weights, first, node)
        if _is_passed(name) and not (is_arithmetic and name == "Sub"):
            waiting.extend(below for below, _ in node.next_functions)
    return None


def sources(product: Any, outputs: Mapping[Any, T]) -> tuple[T, ...]:
    """Return which activations a product reads, with no other product between them.

    Args:
        product: A node of the graph.
        outputs: What to return for the node that made the output of each activation.
    """
    found: list[T] = []
    waiting, seen = deque([product]), set[Any]()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.popleft()
        for below, _ in node.next_functions:
            if below is None or below in seen:
                continue
            seen.add(below)
            if below in outputs:
                found.append(outputs[below])
            elif not (
                _is_one(kind_of_node(below), PRODUCTS) or "Convolution" in kind_of_node(below)
            ):
                waiting.append(below)
    return tuple(found)


def _biases(node: Any, name: str) -> Iterator[Tensor]:
    """Yield the vectors that a sum adds: the bias of a product written out by hand."""
    for operand, _ in node.next_functions if name == "Add" else ():
        leaf = getattr(operand, "variable", None)
        if leaf is not None and leaf.ndim == 1:
            yield leaf


def _matrices_first(leaves: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Return the leaves of a product, matrices and kernels first; none without one of these."""
    ordered = sorted(leaves, key=lambda leaf: -leaf.ndim)
    return tuple(ordered) if ordered and ordered[0].ndim > 1 else ()


def unit_axis(
    z: Tensor, weights: Sequence[Tensor], *, is_channels_first: bool, keeps_units: bool = True
) -> int:
    """Return the unit axis: the usual one of what feeds it, unless only another one fits."""
    usual = 1 if is_channels_first or (not weights and z.ndim in {4, 5}) else z.ndim - 1
    units = {size for weight in weights for size in weight.shape[:1]}
    # A matrix written out by hand may have its units second.
    units.update(w.shape[-1] for w in weights if w.ndim == 2 and not isinstance(w, nn.Parameter))
    if weights and keeps_units and z.shape[usual] not in units:
        fitting = [axis for axis in range(1, z.ndim) if z.shape[axis] in units]
        if len(fitting) == 1:
            return fitting[0]
    return usual


def _is_passed(name: str) -> bool:
    return any(_is_one(name, kinds) for kinds in (_NORMS, _PASSED, PRODUCTS))


def leaves_of(node: Any) -> Iterator[Tensor]:
    """Yield the leaves that a product reads: directly, transposed, or cast to another type.

    Its input is none of them, though it is a leaf where its gradient is asked for.
    """
    input_at = _INPUT_AT.get(kind_of_node(node), 0 if "Convolution" in kind_of_node(node) else -1)
    for index, (operand, _) in enumerate(node.next_functions):
        below = operand
        while below is not None and _is_one(kind_of_node(below), _LAID_OUT):
            below = below.next_functions[0][0]
        leaf = getattr(below, "variable", None)
        if leaf is not None and (index != input_at or isinstance(leaf, nn.Parameter)):
            yield leaf


def kind_of_node(node: Any) -> str:
    """Return the name of an operation: ``AddmmBackward0`` is ``Addmm``."""
    return str(node.name()).partition("Backward")[0].rpartition("::")[2]


def _is_one(name: str, kinds: tuple[str, ...]) -> bool:
    return any(name == kind or (len(kind) > 3 and kind in name) for kind in kinds)
