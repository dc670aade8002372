"""What one call of a loss tells: values, classes, predictions; sums that add, read late.

On the CPU numbers are read at once; on other devices they stay there until they are asked for, so
that an armed step waits for nothing. No tensor of the training is kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.observe.losses import Form, Given, LossFunction
from relume.runs.facts import MOST_CLASSES

MOST_ROWS = 4096
MOST_VALUES = 1 << 16
LEAST_ROWS = 16
"""Rows of one call that are looked at: at most so many, evenly spread, and fewer of wide ones."""

MOST_WHOLE = 32
"""Whole numbers in a target that is no index are counted as classes below this."""

_NEAR = 1e-3
"""How far from 1 the sum of a distribution may be; half types round."""

Number = Any
"""A float or an array, or a tensor on another device than the CPU."""


@dataclass(slots=True, eq=False)
class Look:
    """What one call told.

    Args:
        rows: Rows in the call.
        loss: Mean over rows, as the loss's own mean would be.
        sums: Numbers that add up over calls.
        peaks: Numbers of which the greatest counts.
        is_training: Whether the model was in training mode; None where there is none.
    """

    rows: int
    loss: Number
    sums: dict[str, Number] = field(default_factory=dict)
    peaks: dict[str, Number] = field(default_factory=dict)
    is_training: bool | None = None


def see(
    function: LossFunction,
    given: Given,
    result: Tensor,
    *,
    is_full: bool,
    ruled_out: frozenset[str],
) -> Look:
    """Look at a call; call it without gradients.

    Args:
        function: What was called.
        given: Its arguments.
        result: What it returned.
        is_full: Whether ranges and kinds are looked at too, not classes and loss alone.
        ruled_out: What the target and the prediction are known not to be.
    """
    prediction = given.prediction.detach()
    rows = rows_of(function, prediction)
    kept: Number = rows
    if function.form is Form.CLASSES and given.target is not None and _is_index(given.target):
        kept = _read((given.target != given.ignore_index).sum())
    look = Look(rows, _mean(function, given, result.detach(), kept))
    weight = kept if isinstance(kept, Tensor) else float(kept)
    look.sums["loss"] = _where_any(weight, look.loss)
    look.sums["loss_rows"] = weight
    axis = class_axis(function, prediction)
    p, t = _samples(prediction, given.target, axis)
    if is_full:
        _spread(look, "prediction", p)
        if "normalised" not in ruled_out and p.shape[-1] > 1:
            look.peaks["not normalised"] = _read(_gap_to_normalised(p))
        if t is not None:
            _spread(look, "target", _without(t, given.ignore_index) if _is_index(t) else t)
    if t is not None and function.form is not Form.ALONE:
        if function.form is Form.CLASSES and _is_index(t):
            _see_classes(look, p, t, given.ignore_index)
        else:
            _see_elements(look, function, p, t, ruled_out)
    return look


def see_labels(look: Look, index: Tensor, width: int) -> None:
    """Count classes alone, where the predictions are not known."""
    labels = _rows(index.detach().reshape(-1, 1))[:, 0].long()
    is_kept = (labels >= 0) & (labels < width)
    if width <= MOST_CLASSES:
        look.sums["classes"] = _counts(torch.where(is_kept, labels, width), width)


def rows_of(function: LossFunction, prediction: Tensor) -> int:
    """Return how many rows a loss compares: of classes each position is one."""
    if function.form is Form.CLASSES:
        return prediction.numel() // max(1, prediction.shape[class_axis(function, prediction)])
    if function.name == "ctc_loss":
        return prediction.shape[1] if prediction.ndim == 3 else 1
    return prediction.shape[0] if prediction.ndim else 1


def class_axis(function: LossFunction, prediction: Tensor) -> int:
    """Return the axis along which a row's outputs lie."""
    is_channels_first = prediction.ndim > (1 if function.form is Form.CLASSES else 3)
    return 1 if is_channels_first else -1


def width_of(function: LossFunction, prediction: Tensor) -> int:
    """Return how many outputs of a row the loss compares."""
    if prediction.ndim == 0 or (prediction.ndim == 1 and function.form is not Form.CLASSES):
        return 1
    return prediction.shape[class_axis(function, prediction)]


def _mean(function: LossFunction, given: Given, result: Tensor, kept: Number) -> Number:
    """Return the loss as its own ``reduction="mean"`` would be, where that can be known."""
    if result.numel() != 1:
        return _read(result.float().sum() / result.numel())
    loss = _read(result.reshape(()).clone())
    if given.reduction != "sum":
        return loss
    if function.form is Form.CLASSES:
        return loss / kept if isinstance(kept, Tensor) or kept else math.nan
    is_by_row = function.form is Form.ALONE or function.name == "multilabel_soft_margin_loss"
    return loss / (rows_of(function, given.prediction) if is_by_row else _compared(given))


def _compared(given: Given) -> int:
    shape = given.prediction.shape
    return math.prod(broadcast_shape(shape, given.target.shape if given.target is not None else ()))


def broadcast_shape(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """Return the shape to which two are broadcast.

    Example:
        >>> broadcast_shape((5, 1), (5,))
        (5, 5)
    """
    pairs = zip_longest(reversed(first), reversed(second), fillvalue=1)
    return tuple(max(pair) if min(pair) else 0 for pair in pairs)[::-1]


def _where_any(weight: Number, loss: Number) -> Number:
    if isinstance(weight, Tensor):
        return torch.where(weight > 0, loss * weight, torch.zeros_like(weight))
    return loss * weight if weight else 0.0


def _samples(prediction: Tensor, target: Tensor | None, axis: int) -> tuple[Tensor, Tensor | None]:
    """Return evenly spread rows, (rows, width), and what belongs to them of the target.

    The target is (rows,) where it is an index of a class; where its shape is not the prediction's,
    its rows are its own.
    """
    p = prediction.reshape(-1, 1) if prediction.ndim < 2 and axis == -1 else prediction
    is_row = prediction.ndim == 1 and target is not None and target.ndim == 0
    if is_row and _is_index(target):
        p = prediction.reshape(1, -1)
    p = p.movedim(axis, -1) if p.ndim > 1 else p
    if target is None:
        return _rows(p), None
    t = target.detach()
    if _is_index(t) and t.numel() * p.shape[-1] == p.numel():
        return _rows(p), _rows(t.reshape(p.shape[:-1]).unsqueeze(-1), p.shape[-1])[:, 0]
    if t.shape == prediction.shape:
        t = t.reshape(-1, 1) if t.ndim < 2 else t.movedim(axis, -1)
    else:
        t = t.reshape(-1, 1) if t.ndim < 2 else t
    return _rows(p), _rows(t)


def _rows(values: Tensor, width: int | None = None) -> Tensor:
    """Return evenly spread rows of a tensor whose last axis is theirs: a small copy, (rows, n)."""
    width = values.shape[-1] if width is None else width
    most = min(MOST_ROWS, max(LEAST_ROWS, MOST_VALUES // max(1, width)))
    stride = -(-math.prod(values.shape[:-1]) // most)
    index: list[slice] = []
    for size in values.shape[:-1]:
        step = min(stride, max(1, size))
        index.append(slice(None, None, step))
        stride = -(-stride // step)
    return values[tuple(index)].reshape(-1, values.shape[-1])


def _is_index(target: Tensor | None) -> bool:
    return target is not None and not (target.is_floating_point() or target.is_complex())


def _without(index: Tensor, ignored: int) -> Tensor:
    """Return the targets that count; on other devices nothing, since it would have to be waited."""
    return index[index != ignored] if index.is_cpu else index[:0]


def _see_classes(look: Look, p: Tensor, t: Tensor, ignored: int) -> None:
    """Count the classes of an index, and those that have the largest output."""
    width = p.shape[-1]
    is_kept = (t != ignored) & (t >= 0) & (t < width)
    predicted = p.argmax(-1)
    look.sums["ignored"] = _read((t == ignored).sum())
    look.sums["judged"] = _read(is_kept.sum())
    look.sums["right"] = _read(((predicted == t) & is_kept).sum())
    if width <= MOST_CLASSES:
        look.sums["classes"] = _counts(torch.where(is_kept, t, width), width)
        look.sums["predicted classes"] = _counts(torch.where(is_kept, predicted, width), width)


def _see_elements(
    look: Look, function: LossFunction, p: Tensor, t: Tensor, ruled_out: frozenset[str]
) -> None:
    """Look at what kind of numbers a target holds, and count what may turn out to be classes."""
    if ruled_out >= {"binary", "whole", "one hot", "distribution"}:
        return
    low = -1 if function.is_signed else 0
    is_one, is_low = t == 1, t == low
    look.peaks["not binary"] = _read((~(is_one | is_low)).any())
    look.peaks["not a distribution"] = _read(((t < 0).any(-1) | (_gap(t.double().sum(-1)))).any())
    if function.is_amount:
        return
    is_aligned = t.shape == p.shape
    if "binary" not in ruled_out:
        _see_binary(look, function, p if is_aligned else None, is_one, is_low)
    if "whole" not in ruled_out and not function.is_signed and t.shape[-1] == 1:
        is_whole = (t == t.round()) & (t >= 0) & (t < MOST_WHOLE)
        look.peaks["not whole"] = _read((~is_whole).any())
        index = torch.where(is_whole, t, MOST_WHOLE).reshape(-1).long()
        look.sums["whole"] = _counts(index, MOST_WHOLE)
    is_row = t.shape[-1] > 1 and is_aligned and t.shape[-1] <= MOST_CLASSES
    if is_row and not {"one hot", "distribution"} <= ruled_out:
        _see_one_hot(look, p, t, is_one)


def _see_binary(
    look: Look, function: LossFunction, p: Tensor | None, is_one: Tensor, is_low: Tensor
) -> None:
    look.sums["binary"] = _pair(is_low, is_one)
    if p is None or function.threshold is None:
        return
    is_over = p > function.threshold
    look.sums["predicted binary"] = _pair(~is_over, is_over)
    look.sums["binary right"] = _read((is_over == is_one).sum())
    look.sums["binary judged"] = is_one.numel()


def _see_one_hot(look: Look, p: Tensor, t: Tensor, is_one: Tensor) -> None:
    """Count the classes of rows that say one by a 1, and those that have the largest output."""
    width = t.shape[-1]
    look.peaks["not one hot"] = _read((is_one.sum(-1) != 1).any())
    label, predicted = t.argmax(-1), p.argmax(-1)
    look.sums["classes"] = _counts(label, width)
    look.sums["predicted classes"] = _counts(predicted, width)
    look.sums["right"] = _read((label == predicted).sum())
    look.sums["judged"] = len(label)


def _spread(look: Look, name: str, values: Tensor) -> None:
    v = values.reshape(-1).double() if values.device.type != "mps" else values.reshape(-1).float()
    if not v.numel():
        return
    sums, peaks = look.sums, look.peaks
    if v.is_cpu and math.isfinite(total := v.sum().item()):
        sums[f"{name} count"], sums[f"{name} nonfinite"] = v.numel(), 0
        sums[f"{name} total"], sums[f"{name} squares"] = total, v.square().sum().item()
        least, greatest = torch.aminmax(v)
        peaks[f"{name} greatest"], peaks[f"{name} least"] = greatest.item(), -least.item()
        return
    is_finite = v.isfinite()
    known = torch.where(is_finite, v, 0.0)
    sums[f"{name} count"] = _read(is_finite.sum())
    sums[f"{name} nonfinite"] = _read((~is_finite).sum())
    sums[f"{name} total"], sums[f"{name} squares"] = _read(known.sum()), _read(known.square().sum())
    peaks[f"{name} greatest"] = _read(torch.where(is_finite, v, -math.inf).amax())
    peaks[f"{name} least"] = _read(-torch.where(is_finite, v, math.inf).amin())


def _gap_to_normalised(p: Tensor) -> Tensor:
    """Return whether any row sums to 1 neither by itself nor by its exponentials."""
    rows = p.float()
    return (_gap(rows.sum(-1)) | (rows < 0).any(-1)).any() & _gap(rows.logsumexp(-1).exp()).any()


def _gap(sums: Tensor) -> Tensor:
    return ~((sums - 1).abs() <= _NEAR)


def _pair(first: Tensor, second: Tensor) -> Number:
    return _read(torch.stack([first.sum(), second.sum()]))


def _counts(index: Tensor, width: int) -> Number:
    """Count each index below ``width``; there may be others."""
    if index.is_cpu:
        return torch.bincount(index, minlength=width)[:width].numpy()
    every = torch.arange(width, device=index.device)
    return (index.unsqueeze(-1) == every).sum(0)  # always the same, and waits for nothing


def _read(value: Tensor) -> Number:
    """Return a number as it is kept: read where that costs nothing."""
    if value.is_cpu:
        return value.item() if value.ndim == 0 else value.numpy()
    return value


def add(known: dict[str, Number], more: Mapping[str, Number]) -> None:
    """Add up by name; of arrays whose length changed the first is kept."""
    for name, value in more.items():
        before = known.get(name)
        if before is None:
            known[name] = value
        elif isinstance(before, float | int) and isinstance(value, float | int):
            known[name] = before + value
        elif np.shape(before) == np.shape(value):
            known[name] = before + _beside(value, before)


def keep_greatest(known: dict[str, Number], more: Mapping[str, Number]) -> None:
    """Keep the greatest by name."""
    for name, value in more.items():
        before = known.get(name)
        if before is None:
            known[name] = value
        elif isinstance(before, Tensor) or isinstance(value, Tensor):
            pair = (torch.as_tensor(before), torch.as_tensor(_beside(value, before)))
            known[name] = torch.where(pair[0] >= pair[1], *pair)
        else:
            known[name] = max(before, value)


def _beside(value: Number, before: Number) -> Number:
    """Return a number where the one before it lies; another device is rare, and waited for."""
    if isinstance(before, Tensor) and isinstance(value, Tensor):
        return value.to(before.device)
    if isinstance(value, Tensor):
        return value.cpu().numpy()
    return torch.as_tensor(value, device=before.device) if isinstance(before, Tensor) else value
