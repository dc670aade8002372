"""A loss that was put together from other operations, read off the autograd graph.

On the way from the loss to the weights one operation brings in the target: it picks the outputs of
the classes, subtracts the target, or multiplies logarithms by it. What enters it is the prediction.
Values are known where torch has saved them for the backward pass. A loss function of torch that was
bound too early to be patched is told by its own node.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from relume.observe.graph import (
    Step,
    all_operations,
    inner_nodes,
    output_shape,
    path_of,
    saved,
    weights_of,
)
from relume.observe.losses import LOSSES, Form, LossFunction
from relume.observe.ownership import kind_of_node
from relume.observe.plain import has_plain_storage, is_plain
from relume.observe.sharding import is_readable

BY_CLASSES = LossFunction("by hand", Form.CLASSES)
BY_ELEMENTS = LossFunction("by hand", Form.ELEMENTS)
OF_LOGARITHMS = LossFunction("by hand", Form.ELEMENTS, threshold=-0.6931471805599453)
"""Predictions are logarithms of probabilities: above ln 0.5 they say the second class."""
OF_LOGITS = LossFunction("by hand", Form.ELEMENTS, threshold=0.0)
"""Predictions are log odds: above 0 they say the second class."""

_OF_TORCH = {
    "NllLoss": "nll_loss", "NllLoss2D": "nll_loss", "MseLoss": "mse_loss",
    "SmoothL1Loss": "smooth_l1_loss", "HuberLoss": "huber_loss",
    "BinaryCrossEntropy": "binary_cross_entropy",
    "BinaryCrossEntropyWithLogits": "binary_cross_entropy_with_logits",
}  # fmt: skip
"""Nodes that one of torch's loss functions makes."""
_FUNCTIONS = {function.name: function for function in LOSSES}

ROUNDING = 1e-4
"""Targets that lie so near to integers were integers."""

_SHAPES = {"Squeeze", "Unsqueeze", "View", "UnsafeView", "Reshape", "Alias"}
"""What changes a shape and leaves the order of the numbers."""

MOST_PRODUCTS = 1 << 20
"""Products that may be computed anew to know what a last layer answered."""

_LOGARITHMS = ("log", "log_softmax", "logsigmoid", "xlogy", "log1p")


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """A loss by hand; not kept beyond the call.

    Args:
        function: How its values are read.
        operations: All operations, from the loss back to the weights.
        head: Those that made the prediction, the last one first; None where it is not known which
            operation brings in the target.
        weights: The weights at the end.
        prediction: Its values; None where they are not known.
        target: Likewise.
        prediction_shape: Its shape; None where not known.
        is_broadcast: Whether it was broadcast to a larger shape.
    """

    function: LossFunction
    operations: tuple[str, ...]
    head: tuple[str, ...] | None
    weights: tuple[Tensor, ...]
    prediction: Tensor | None = None
    target: Tensor | None = None
    prediction_shape: tuple[int, ...] | None = None
    is_broadcast: bool = False


def read_loss(node: Any, made: Mapping[Any, Tensor] | None = None) -> Written | None:
    """Read a loss from the node that made it; None where the graph does not tell.

    Args:
        node: ``grad_fn`` of the loss.
        made: What nodes have made, as far as it is known otherwise than by what they have saved.
    """
    path = path_of(node)
    if path is None:
        return None
    operations, weights = all_operations(node), weights_of(path[-1].node)
    every = [find(path) for find in _FINDERS]
    found = min(
        (each for each in every if each is not None), key=lambda each: each[0], default=None
    )
    if found is None:
        return Written(BY_ELEMENTS, operations, None, weights)
    return _compared(path, found, operations, weights, made or {})


Found = tuple[int, LossFunction, Tensor | None]
"""Where on the path the target comes in, how values are read, and the target."""


def _made_by_torch(path: Sequence[Step]) -> Found | None:
    """Find the node of one of torch's loss functions."""
    for at, step in enumerate(path[:-1]):
        name = _OF_TORCH.get(kind_of_node(step.node))
        if name is None:
            continue
        target = saved(step.node, "target")
        is_known = isinstance(target, Tensor) and has_plain_storage(target)
        is_joined = name == "nll_loss" and path[at + 1].name == "log_softmax"
        function = _FUNCTIONS["cross_entropy" if is_joined else name]
        return at + is_joined, function, target if is_known else None
    return None


def _picked(path: Sequence[Step]) -> Found | None:
    """Find ``p[range(n), y]`` or ``p.gather(1, y)``."""
    for at, step in enumerate(path[:-1]):
        kind = kind_of_node(step.node)
        if kind == "Index":
            given = saved(step.node, "indices")
            index = given[-1] if given is not None and len(given) == 2 else None
            if isinstance(index, Tensor) and _is_class_index(index) and given[0] is not None:
                return at, BY_CLASSES, index
        if kind == "Gather":
            index = saved(step.node, "index")
            if isinstance(index, Tensor) and index.shape[-1:] == (1,) and index.ndim == 2:
                return at, BY_CLASSES, index[:, 0]
    return None


def _is_class_index(index: Tensor) -> bool:
    return has_plain_storage(index) and index.ndim == 1 and index.dtype in _INTEGERS


_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def _subtracted(path: Sequence[Step]) -> Found | None:
    """Find ``p - y``, where no gradient is asked of y and it is no single number."""
    for at, step in enumerate(path[:-1]):
        name = step.node.name()
        if name.startswith(("SubBackward0", "RsubBackward0")) and _has_data(step.node):
            is_reduced = any(before.name in {"mean", "sum", "norm"} for before in path[:at])
            logs = any(before.name in _LOGARITHMS for before in path[:at])
            if is_reduced and not logs:
                return at, BY_ELEMENTS, None
    return None


def _weighed(path: Sequence[Step]) -> Found | None:
    """Find ``y * log(p)``: the target is what logarithms are multiplied by."""
    for at, step in enumerate(path[:-1]):
        if kind_of_node(step.node) != "Mul" or not _has_data(step.node):
            continue
        following = next((after.name for after in path[at + 1 :] if after.name), "")
        if following in _LOGARITHMS:
            is_first = step.node.next_functions[0][0] is None
            target = saved(step.node, "self" if is_first else "other")
            is_number = not isinstance(target, Tensor) or target.ndim == 0
            if not is_number and has_plain_storage(target):
                return at, OF_LOGARITHMS, target
    return None


def _summed_up(path: Sequence[Step]) -> Found | None:
    """Find the normalising term of ``logsumexp(z) - z[range(n), y]``, and the classes beside it."""
    for at, step in enumerate(path[:-1]):
        if step.name == "logsumexp":
            return at, BY_CLASSES, _classes_beside(path[:at])
    return None


def _classes_beside(path: Sequence[Step]) -> Tensor | None:
    for step in path:
        for other in list(inner_nodes(step.node))[1:]:
            beside = path_of(other)
            found = _picked(beside) if beside is not None else None
            if found is not None:
                return found[2]
    return None


def _of_log_odds(path: Sequence[Step]) -> Found | None:
    """Find ``softplus(z) - z * y``, the cross-entropy of log odds."""
    for before, step in pairwise(path[:-1]):
        if step.name != "softplus" or kind_of_node(before.node) != "Sub":
            continue
        product = before.node.next_functions[1][0]
        if product is None or kind_of_node(product) != "Mul" or not _has_data(product):
            continue
        is_first = product.next_functions[0][0] is None
        target = saved(product, "self" if is_first else "other")
        if isinstance(target, Tensor) and target.ndim and has_plain_storage(target):
            return path.index(step), OF_LOGITS, target
    return None


_FINDERS = (_made_by_torch, _picked, _subtracted, _weighed, _summed_up, _of_log_odds)


def _has_data(node: Any) -> bool:
    """Whether one of two operands is data: nothing that a gradient is asked of."""
    operands = [below for below, _ in node.next_functions]
    return len(operands) == 2 and operands.count(None) == 1


def _compared(
    path: Sequence[Step],
    found: Found,
    operations: tuple[str, ...],
    weights: tuple[Tensor, ...],
    values: Mapping[Any, Tensor],
) -> Written:
    at, function, target = found
    rest = path[at + 1 :]
    head = tuple(step.name for step in rest if step.name)
    is_logged_late = function is BY_CLASSES and any(step.name == "log" for step in path[:at])
    node = path[at].node
    maker = rest[0].node
    shape, made = output_shape(maker), output_shape(node)
    is_broadcast = (
        function.form is Form.ELEMENTS
        and shape is not None
        and made is not None
        and math.prod(made) > math.prod(shape)
    )
    prediction = _values(node, maker, rest[0].name)
    if prediction is None and maker in values and not is_logged_late:
        prediction = values[maker].detach()
    if function is BY_ELEMENTS and target is None and at and not is_broadcast:
        is_as_made = {kind_of_node(step.node) for step in rest[:-1]} <= _SHAPES
        if prediction is None and is_as_made:
            prediction = _affine(rest[-1].node)
        target = _subtrahend(node, saved(path[at - 1].node, "self"), prediction)
    if is_logged_late:  # log(p[range(n), y]) is log(p)[range(n), y]
        head, prediction = ("log", *head), prediction.log() if prediction is not None else None
    return Written(
        function, operations, head, weights, prediction, target, shape, is_broadcast=is_broadcast
    )


def _affine(maker: Any) -> Tensor | None:
    """Return what a linear layer made, computed anew from what its node has saved."""
    if kind_of_node(maker) != "Addmm":
        return None
    bias = getattr(maker.next_functions[0][0], "variable", None)
    given = [bias, saved(maker, "mat1"), saved(maker, "mat2")]
    parts = [each.detach() for each in given if isinstance(each, Tensor) and _is_known(each)]
    if len(parts) < 3 or len({part.dtype for part in parts}) > 1:
        return None
    if parts[1].numel() * parts[2].shape[1] > MOST_PRODUCTS:
        return None
    return torch.addmm(*parts)


def _is_known(part: Tensor) -> bool:
    return is_plain(part) and is_readable(part)


def _subtrahend(node: Any, difference: Any, prediction: Tensor | None) -> Tensor | None:
    """Return the y of ``p - y`` or ``y - p``, from what the next operation has saved of it."""
    if prediction is None or not isinstance(difference, Tensor) or not is_plain(difference):
        return None
    if difference.numel() != prediction.numel():
        return None
    difference = difference.detach().reshape(prediction.shape)
    is_second = node.next_functions[0][0] is None  # y - p
    is_reversed = is_second or node.name().startswith("Rsub")
    target = prediction.add(difference, alpha=1 if is_reversed else -1)
    whole = target.round()
    if target.is_cpu:
        return whole if torch.allclose(target, whole, rtol=0, atol=ROUNDING) else target
    is_whole = torch.isclose(target, whole, rtol=0, atol=ROUNDING).all()
    return torch.where(is_whole, whole, target)  # waits for nothing


def _values(node: Any, maker: Any, made_by: str) -> Tensor | None:
    """Return the values of the prediction, where one of the two operations has saved them."""
    if kind_of_node(node) in {"Gather", "Logsumexp", "Softplus", *_OF_TORCH}:
        value = saved(node, "self")
    elif made_by == "log":
        value = saved(maker, "self")
        value = value.detach().log() if isinstance(value, Tensor) else None
    else:
        value = saved(maker, "result")
    return value.detach() if isinstance(value, Tensor) and is_plain(value) else None
