"""Reading a loss off the autograd graph: plain names of operations, back to the weights.

Reads only: names, shapes and what torch has saved anyway. What hooks of saved tensors would have to
compute again (checkpoints, tensors moved elsewhere) is left alone.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from relume.observe.ownership import PRODUCTS, feeding, kind_of_node, leaves_of

MOST_NODES = 64
"""Nodes walked before the search is given up."""

_SILENT = frozenset({
    "View", "UnsafeView", "Reshape", "ReshapeAlias", "T", "Transpose", "Permute", "Squeeze",
    "Unsqueeze", "Expand", "Slice", "Select", "Index", "Alias", "Clone", "ToCopy", "AsStrided",
    "Unbind", "Split", "SplitWithSizes", "Chunk", "Narrow", "Detach", "Contiguous", "Copy",
    "CopySlices", "Unflatten", "Flatten", "IndexSelect", "MaskedSelect", "Gather", "Identity",
    "Stack", "Cat", "Movedim", "Swapaxes", "Unfold", "Flip", "Roll", "Repeat", "Copys",
})  # fmt: skip
"""Views, reshapes, indexing, casts: they change no number."""

_OPAQUE = ("CompiledFunction", "Checkpoint", "jit::", "DifferentiableGraph")
"""Behind these the graph does not tell."""

_PLAIN = {
    "LogSigmoid": "logsigmoid", "ClampMin": "clamp", "ClampMax": "clamp",
    "NativeDropout": "dropout", "FusedDropout": "dropout", "SafeSoftmax": "softmax",
    "PreluKernel": "prelu", "RreluWithNoise": "rrelu", "NativeLayerNorm": "layer_norm",
    "NativeBatchNorm": "batch_norm", "CudnnBatchNorm": "batch_norm",
    "NativeGroupNorm": "group_norm", "LinalgVectorNorm": "norm", "Maximum": "maximum",
    "NllLoss2D": "nll_loss", "Log1P": "log1p",
}  # fmt: skip

_ALWAYS_WEIGHTS = re.compile("^(Addmm|Linear|Embedding.*|.*Convolution.*|.*Rnn.*)$")
"""Operations that read weights, also where these are computed from others."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """How a prediction was made; not kept beyond the call.

    Args:
        operations: From the prediction back to the weights, the last one first.
        weights: The weights; empty where they are no leaves.
    """

    operations: tuple[str, ...]
    weights: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node of a path, and its operation by its plain name; empty where it changes nothing."""

    node: Any
    name: str


def head_of(node: Any) -> Head | None:
    """Return the operations from a node back to the weights; None where the graph does not tell.

    Cost: a few microseconds for each node on the way.
    """
    path = path_of(node)
    if path is None:
        return None
    return Head(tuple(step.name for step in path[:-1] if step.name), weights_of(path[-1].node))


def path_of(node: Any) -> list[Step] | None:
    """Return the nodes from one back to the first that reads weights, along first operands.

    Returns:
        The last of them reads the weights; None where none is reached.
    """
    path: list[Step] = []
    while node is not None and len(path) < MOST_NODES:
        kind = kind_of_node(node)
        if any(part in node.name() for part in _OPAQUE):
            return None
        if reads_weights(node, kind):
            return [*path, Step(node, "")]
        name = plain_name(node, kind)
        path.append(Step(node, name))
        node = _exponent(node) if name == "softmax" and kind == "Div" else _first_inner(node)
    return None


def _first_inner(node: Any) -> Any:
    return next(inner_nodes(node), None)


def _exponent(quotient: Any) -> Any:
    """Return what a softmax by hand was taken of: ``exp(z)`` or ``exp(z - max(z))``, over sums."""
    below = _first_inner(_first_inner(quotient))
    if below is None or kind_of_node(below) != "Sub":
        return below
    other = below.next_functions[1][0]
    is_shift = other is None or kind_of_node(other) in {"Max", "Amax"}
    return _first_inner(below) if is_shift else below


def _is_by_hand(node: Any, first: str, second: str) -> bool:
    """Whether the two operands were made by these operations."""
    kinds = [below and kind_of_node(below) for below, _ in node.next_functions]
    return kinds == [first, second]


def all_operations(node: Any) -> tuple[str, ...]:
    """Return the plain names of all operations back to the weights, branch after branch."""
    names: list[str] = []
    waiting, seen = [node], set[Any]()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        kind = kind_of_node(node)
        if not reads_weights(node, kind):
            names.append(plain_name(node, kind))
            waiting.extend(reversed(list(inner_nodes(node))))
    return tuple(name for name in names if name)


def is_marked(node: Any, mark: str) -> bool:
    """Whether a node or one that it was computed from carries a mark."""
    waiting, seen = deque([node]), set[Any]()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.popleft()
        if node in seen:
            continue
        seen.add(node)
        if mark in node.metadata:
            return True
        waiting.extend(inner_nodes(node))
    return False


def inner_nodes(node: Any) -> Iterator[Any]:
    """Yield the nodes that one was computed from, but leaves."""
    for below, _ in node.next_functions:
        if below is not None and not hasattr(below, "variable"):
            yield below


def reads_weights(node: Any, kind: str) -> bool:
    """Whether an operation makes its output from weights: by a product, or nothing but leaves."""
    if _ALWAYS_WEIGHTS.match(kind):
        return True
    if kind in PRODUCTS:
        return any(True for _ in leaves_of(node))
    has_inner = next(inner_nodes(node), None) is not None
    return not has_inner and any(below is not None for below, _ in node.next_functions)


def weights_of(node: Any) -> tuple[Tensor, ...]:
    """Return the leaves that an operation reads, matrices first."""
    fed = feeding(node)
    if fed is not None and fed.product is node:
        return fed.weights
    found: list[Tensor] = []
    waiting = deque([(node, 0)])
    while waiting:
        node, depth = waiting.popleft()
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found.append(leaf)
        elif depth < 3:  # a weight that is computed from others lies no deeper
            waiting.extend((below, depth + 1) for below, _ in node.next_functions if below)
    return tuple(sorted(found, key=lambda leaf: -leaf.ndim))


def plain_name(node: Any, kind: str) -> str:
    """Return what an operation is called by a person; empty where it changes no number.

    Example:
        >>> import torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> plain_name((p := torch.log_softmax(x, 0)).grad_fn, kind_of_node(p.grad_fn))
        'log_softmax'
    """
    if kind.rstrip("s") in _SILENT or kind in _SILENT:
        return ""
    if kind == "Mul" and _is_noise(node):
        return "dropout"
    if kind == "Div" and _is_by_hand(node, "Exp", "Sum"):
        return "softmax"
    if kind == "Sub" and any(
        below is not None and kind_of_node(below) == "Logsumexp"
        for below, _ in node.next_functions[1:]
    ):
        return "log_softmax"
    if kind == "Add" and sum(1 for _ in inner_nodes(node)) < 2 and _adds_leaf(node):
        return ""  # the bias of a product written out by hand
    return _PLAIN.get(kind) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()


def saved(node: Any, name: str) -> Any:
    """Return what torch saved in a node; None where it saved nothing that lies there as it was."""
    raw = getattr(node, f"_raw_saved_{name}", None)
    parts = raw if isinstance(raw, list | tuple) else [raw]
    if any(part is not None and getattr(part, "unpack_hook", part) is not None for part in parts):
        return None
    if raw is None:
        return None
    try:
        return getattr(node, f"_saved_{name}")
    except RuntimeError:  # freed, or overwritten since
        return None


def output_shape(node: Any) -> tuple[int, ...] | None:
    """Return the shape of what an operation made; None where it is not known."""
    known = getattr(node, "_input_metadata", None)
    return tuple(int(size) for size in known[0].shape) if known else None


def _adds_leaf(node: Any) -> bool:
    return any(hasattr(below, "variable") for below, _ in node.next_functions)


def _is_noise(node: Any) -> bool:
    """Whether a product is by the mask of a dropout: zeros, and one number of at least 1."""
    operands = [below for below, _ in node.next_functions]
    if operands.count(None) != 1:
        return False
    other = saved(node, "self" if operands[0] is None else "other")
    if not isinstance(other, Tensor) or not other.is_cpu or other.ndim == 0:
        return False
    values = set(other.detach().reshape(-1)[:256].tolist()) - {0.0}
    return len(values) == 1 and min(values) > 1.0
