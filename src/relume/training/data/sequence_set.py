"""Sequences with their targets, as they were read: nothing is split or scaled yet."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.training.data.wording import counted


@dataclass(frozen=True, slots=True, eq=False)
class SequenceSet:
    """Sequences of features, all of as many steps; where some are shorter, the rest is padding.

    Args:
        name: What a person knows them by.
        values: (sequences, steps, features), float32; 0 in the padding, whatever stood there.
        lengths: (sequences,), int64, how many steps of each are there; None: all of them.
        target: (sequences,) the target as it was read, named as its array; None where unknown.
        digest: SHA-256 of the raw data.
        test: The set's own test part.
    """

    name: str
    values: NDArray[np.float32]
    lengths: NDArray[np.int64] | None
    target: pl.Series | None
    digest: str
    test: "SequenceSet | None" = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def steps(self) -> int:
        """The steps of the longest sequence."""
        return self.values.shape[1] if self.lengths is None else int(self.lengths.max())

    @property
    def present(self) -> NDArray[np.bool_] | None:
        """(sequences, steps), whether a step is there; None: all are."""
        if self.lengths is None:
            return None
        marks: NDArray[np.bool_] = np.arange(self.values.shape[1]) < self.lengths[:, None]
        return marks


def described(steps: int, features: int, *, padded: bool = False) -> str:
    """Say what sequences of a shape are.

    Example:
        >>> described(100, 2), described(30, 1, padded=True)
        ('sequences of 100 steps of 2 features', 'sequences of at most 30 steps of 1 feature')
    """
    length = f"at most {counted(steps, 'step')}" if padded else counted(steps, "step")
    return f"sequences of {length} of {counted(features, 'feature')}"
