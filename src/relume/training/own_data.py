"""Batches for a training with a step of one's own: cut from rows by us, or taken as they come."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from relume.errors import DataError, SettingsError
from relume.training.loop import epoch_generator, in_batches

BATCH_SIZE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows that are cut into batches here, in an order that seed and epoch give.

    Args:
        take: Makes a batch of the rows with these numbers.
        count: How many there are.
        batch_size: Rows a batch; a last batch of a single row joins the one before.
        seed: Of the order.
    """

    take: Callable[[Tensor], Any]
    count: int
    batch_size: int
    seed: int
    once = False

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return len(in_batches(torch.arange(self.count), self.batch_size))

    def epoch(self, number: int) -> Iterator[Any]:
        """Return the batches of an epoch, which counts from 1."""
        order = torch.randperm(self.count, generator=epoch_generator(self.seed, number))
        return map(self.take, in_batches(order, self.batch_size))

    def in_order(self) -> Iterator[Any]:
        """Return every row once, in its own order."""
        return map(self.take, in_batches(torch.arange(self.count), self.batch_size))


@dataclass(frozen=True, slots=True, eq=False)
class GivenBatches:
    """Batches that come made; an epoch is one pass.

    Args:
        source: What gives them.
    """

    source: Iterable[Any]

    @property
    def once(self) -> bool:
        """Whether it can be read only once, as a generator can."""
        return isinstance(self.source, Iterator)

    @property
    def count(self) -> int | None:
        """How many rows there are: not known."""
        return None

    @property
    def steps(self) -> int | None:
        """Batches in an epoch; ``None`` where the source does not know."""
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return None

    def epoch(self, _: int) -> Iterator[Any]:
        """Return the batches of an epoch."""
        return iter(self.source)

    def in_order(self) -> Iterator[Any]:
        """Return every batch once."""
        return iter(self.source)


def batches_of(
    data: Any, batch_size: int | None, seed: int, device: torch.device
) -> Rows | GivenBatches:
    """Return the batches of data.

    Args:
        data: A tensor or array, a tuple of them with rows of the same number, or a torch Dataset:
            cut into batches and shuffled here. Anything else that can be iterated, such as a
            DataLoader or a list: each item is a batch.
        batch_size: Rows a batch, where they are cut here.
        seed: Of the order, where they are cut here.
        device: Where tensors and arrays are brought; other batches stay where they are. Arrays of
            float64 become torch's default dtype.

    Raises:
        DataError: It holds nothing, rows that do not match, or cannot be iterated.
        SettingsError: A batch size for batches that come made.
    """
    size = batch_size or BATCH_SIZE
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, Tensor | np.ndarray):
        (column,) = columns = _columns((data,))
        return Rows(lambda rows: _taken(column, rows, device), _rows(columns), size, seed)
    if isinstance(data, tuple) and data and all(isinstance(x, Tensor | np.ndarray) for x in data):
        columns = _columns(data)

        def take(rows: Tensor) -> tuple[Tensor, ...]:
            return tuple(_taken(column, rows, device) for column in columns)

        return Rows(take, _rows(columns), size, seed)
    if isinstance(data, IterableDataset):
        # A loader draws the seed of its workers; from our generator, not from the caller's.
        return GivenBatches(DataLoader(data, size, generator=epoch_generator(seed, 0)))
    if isinstance(data, Dataset):
        return _of_dataset(data, size, seed)
    if batch_size is not None:
        raise SettingsError(
            f"batch_size={batch_size} has no effect on batches that come made (data is a "
            f"{type(data).__name__}); leave it out, or give tensors or a Dataset"
        )
    return _given(data)


def _given(data: Any) -> GivenBatches:
    if isinstance(data, str | bytes | dict) or not hasattr(data, "__iter__"):
        raise DataError(
            f"data must be tensors, arrays, a Dataset or batches that can be iterated, such as a "
            f"DataLoader; got a {type(data).__name__}"
        )
    given = GivenBatches(data)
    if given.steps == 0:
        raise DataError(f"data holds no batch: the {type(data).__name__} is empty")
    return given


def _of_dataset(data: Dataset[Any], size: int, seed: int) -> Rows:
    try:
        count = len(data)  # type: ignore[arg-type]
    except TypeError:
        raise DataError(
            f"the Dataset {type(data).__name__} has no length; give it through a DataLoader"
        ) from None
    if not count:
        raise DataError(f"data holds no row: the {type(data).__name__} is empty")
    return Rows(
        lambda rows: default_collate([data[row] for row in rows.tolist()]), count, size, seed
    )


def _columns(arrays: Iterable[Any]) -> list[Tensor]:
    return [x if isinstance(x, Tensor) else _from_numpy(x) for x in arrays]


def _from_numpy(array: "np.ndarray[Any, Any]") -> Tensor:
    if array.dtype.kind not in "biuf":
        raise DataError(f"an array of dtype {array.dtype} holds no numbers to learn from")
    tensor = torch.tensor(array)
    return tensor.to(torch.get_default_dtype()) if tensor.dtype == torch.float64 else tensor


def _rows(columns: list[Tensor]) -> int:
    lengths = [len(column) if column.ndim else 0 for column in columns]
    if len(set(lengths)) > 1:
        shown = ", ".join(map(str, lengths))
        raise DataError(f"the tensors of data must have the same number of rows; got {shown}")
    if lengths[0] == 0:
        raise DataError("data holds no row: the tensor is empty")
    return lengths[0]


def _taken(column: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    return column[rows.to(column.device)].to(device)
