"""Batches of rows with their targets: kept apart for judging, and what a model scores on them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relume.errors import DataError
from relume.observe.modes import evaluating
from relume.observe.passes import leading_rows
from relume.remedies.circuit import call
from relume.remedies.memory import free_bytes
from relume.remedies.patient import Sample

Loss = Callable[[Any, Any], Tensor]
"""From outputs and targets to the loss of each row, or to one number."""

EVERY = 10
"""Every tenth batch is kept apart."""
SHARE = 0.25
"""Share of the free memory that batches may take."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Batches to learn from, and others to judge by.

    Args:
        train: Can be gone through more than once.
        held_out: Likewise; none of it is trained on.
    """

    train: Iterable[Any]
    held_out: Iterable[Any]

    @classmethod
    def of(cls, loader: Iterable[Any], held_out: Iterable[Any] | None) -> "Rows":
        """Return the parts: as given, or every tenth batch of the loader kept apart.

        Raises:
            DataError: The loader holds too little to keep something apart, or too much to be held
                in memory for that.
        """
        if held_out is not None:
            return cls(_again(loader), _again(held_out))
        batches = list(_that_fit(loader))
        if len(batches) < 2:
            raise DataError(
                f"the loader gives {len(batches)} batches, and one is kept apart to judge by; give "
                "smaller batches, or other rows as held_out"
            )
        apart = batches[EVERY - 1 :: EVERY] or batches[-1:]
        return cls([each for each in batches if not any(each is one for one in apart)], apart)


def _again(batches: Iterable[Any]) -> Iterable[Any]:
    return list(_that_fit(batches)) if isinstance(batches, Iterator) else batches


def _that_fit(loader: Iterable[Any]) -> Iterator[Any]:
    size, most = 0, SHARE * free_bytes(torch.device("cpu"))
    for batch in loader:
        size += sum(each.numel() * each.element_size() for each in tensors_in(batch))
        if size > most:
            raise DataError(
                f"the rows do not fit into a quarter of the free memory ({most / 1e9:,.1f} GB); "
                "give rows to judge by as held_out, and a loader that can be gone through again"
            )
        yield batch


def tensors_in(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch."""
    parts = batch.values() if isinstance(batch, dict) else batch
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, dict | tuple | list):
        for each in parts:
            yield from tensors_in(each)


def on_device(batch: Any, model: nn.Module) -> Any:
    """Return a batch where the model is."""
    parameter = next(model.parameters(), None)
    return batch if parameter is None else _moved(batch, parameter.device)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(each, device) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_moved(each, device) for each in value]
    return value


def samples(batches: Iterable[Any], model: nn.Module) -> Iterator[Sample]:
    """Yield what a model is called with for each batch."""
    for batch in batches:
        yield Sample.of(on_device(batch, model))


def targets_of(batch: Any) -> Any:
    """Return the targets of a batch: its second part; a dict, which the loss reads, whole.

    Raises:
        DataError: It has none.
    """
    if isinstance(batch, dict):
        return batch
    if isinstance(batch, tuple | list) and len(batch) >= 2:
        return batch[1]
    raise DataError("a batch has no targets: give batches of (inputs, targets)")


def usual_loss(output: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each row: cross-entropy for classes, squared error for amounts."""
    if _is_classes(output, y):
        losses: Tensor = cross_entropy(output, y.long(), reduction="none")
    else:
        losses = (output - y.to(output).view_as(output)).square()
    return losses.reshape(len(losses), -1).mean(dim=1)


def _is_classes(output: Any, y: Any) -> bool:
    if not isinstance(output, Tensor) or not isinstance(y, Tensor):
        raise DataError("outputs and targets are no tensors: give a loss that takes them")
    return not y.is_floating_point() and output.ndim == y.ndim + 1


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model scores on batches.

    Args:
        metric: What the values are.
        higher_is_better: Of the metric.
        pairs_of: What has a value each: ``row``, or ``batch``.
        values: In the order of the rows.
    """

    metric: str
    higher_is_better: bool
    pairs_of: str
    values: list[float]


@torch.no_grad()
def scores(
    model: nn.Module, batches: Iterable[Any], loss: Loss | None, *, by_accuracy: bool
) -> Scores:
    """Score a model in eval mode: right or wrong for classes, else the loss, row by row.

    Args:
        model: It.
        batches: Of inputs and targets.
        loss: From outputs and targets; None: the usual one.
        by_accuracy: Whether classes are scored by accuracy where there is no loss of one's own.

    Raises:
        DataError: A batch has no targets, or there is no batch.
    """
    values: list[float] = []
    is_accuracy, is_by_row = False, True
    with evaluating(model):
        for each in batches:
            batch = on_device(each, model)
            output, y = call(model, Sample.of(batch)), targets_of(batch)
            if loss is None and by_accuracy and _is_classes(output, y):
                is_accuracy = True
                right = (output.argmax(dim=1) == y).float()
                values += right.reshape(len(right), -1).mean(dim=1).tolist()
                continue
            losses = (loss or usual_loss)(output, y)
            is_by_row = is_by_row and losses.ndim > 0 and len(losses) == leading_rows(batch)
            values += losses.flatten().tolist()
    if not values:
        raise DataError("there is no row to judge by; give at least one batch")
    metric = "held-out accuracy" if is_accuracy else "held-out loss"
    return Scores(metric, is_accuracy, "row" if is_by_row else "batch", values)
