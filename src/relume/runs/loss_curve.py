"""The loss over a whole training: its trend, where windows are too coarse to show it."""

from dataclasses import dataclass

import numpy as np

from relume.runs.records import Counts, Sums


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The loss over the whole training, in buckets of equally many steps.

    Args:
        bucket_steps: Steps in each bucket; bucket i holds those from ``i * bucket_steps + 1`` on.
        losses: Mean loss of each bucket, float64; nan where none was seen.
        least: Least loss of each bucket; nan likewise.
        greatest: Greatest loss of each bucket; nan likewise.
        rates: Learning rate of its last step; nan where not known.
        nonfinite: Losses in it that were no finite number, int64; they are in none of the others.
    """

    bucket_steps: int
    losses: Sums
    least: Sums
    greatest: Sums
    rates: Sums
    nonfinite: Counts

    @classmethod
    def empty(cls) -> "Curve":
        """Return the curve before the first step."""
        nothing = np.zeros(0)
        return cls(1, nothing, nothing, nothing, nothing, np.zeros(0, np.int64))

    @property
    def steps(self) -> Counts:
        """The last step of each bucket, int64."""
        return (np.arange(len(self.losses)) + 1) * self.bucket_steps
