"""The loss of a training as it goes, in blocks of a few steps."""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from relume.observe.pending import Ended

BLOCK_STEPS = 5
MOST_BLOCKS = 4000

Numbers = NDArray[np.float64]


class Course:
    """Mean losses of blocks of five steps; the oldest are forgotten.

    Example:
        >>> course = Course()
        >>> course.note([(step, 1.0 / step, 0.1, False) for step in range(1, 16)])
        >>> [int(step) for step in course.between(0, 15)[0]]
        [3, 8, 13]
    """

    def __init__(self) -> None:
        self._blocks: deque[tuple[int, float]] = deque(maxlen=MOST_BLOCKS)
        self._open: list[float] = []

    def note(self, ended: Ended) -> None:
        """Take note of steps that have ended."""
        for number, loss, _, _ in ended:
            self._open.append(math.nan if loss is None else float(loss))
            if number % BLOCK_STEPS == 0:
                self._blocks.append((number, _mean(self._open)))
                self._open = []

    def between(self, after: int, last: int) -> tuple[Numbers, Numbers]:
        """Return the blocks of the steps from ``after`` + 1 to ``last``.

        Returns:
            The middle step of each block, and its mean loss: nan where most of it was no number.
        """
        found = [
            (step - (BLOCK_STEPS - 1) / 2, loss)
            for step, loss in self._blocks
            if after <= step - BLOCK_STEPS and step <= last
        ]
        steps, losses = zip(*found, strict=True) if found else ((), ())
        return np.array(steps, np.float64), np.array(losses, np.float64)


def _mean(losses: list[float]) -> float:
    """Return the mean of the finite losses; nan where they are fewer than half."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if 2 * len(finite) >= len(losses) and finite else math.nan
