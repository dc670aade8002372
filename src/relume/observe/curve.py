"""The loss of every step of a training, in a bounded number of buckets of equally many steps."""

import math

import numpy as np
import torch
from torch import Tensor

from relume.runs.loss_curve import Curve

MOST_BUCKETS = 512


class OpenCurve:
    """The curve of a training that is under way; the buckets double whenever there are too many.

    Example:
        >>> curve = OpenCurve()
        >>> for step in range(1, 1025):
        ...     curve.add(float(step), 0.1)
        >>> value = curve.value()
        >>> value.bucket_steps, len(value.losses), value.losses[:2].tolist()
        (2, 512, [1.5, 3.5])
    """

    def __init__(self) -> None:
        self._bucket_steps = 1
        self._steps = 0
        self._waiting: list[tuple[int, Tensor]] = []
        self._count = np.zeros(MOST_BUCKETS, np.int64)
        self._nonfinite = np.zeros(MOST_BUCKETS, np.int64)
        self._total = np.zeros(MOST_BUCKETS)
        self._least = np.full(MOST_BUCKETS, np.inf)
        self._greatest = np.full(MOST_BUCKETS, -np.inf)
        self._rates = np.full(MOST_BUCKETS, np.nan)

    def add(self, loss: float | Tensor | None, rate: float) -> None:
        """Add the next step; a loss on another device is read later."""
        bucket = self._steps // self._bucket_steps
        if bucket == MOST_BUCKETS:
            self._double()
            bucket = self._steps // self._bucket_steps
        self._steps += 1
        self._rates[bucket] = rate
        if isinstance(loss, Tensor):
            self._waiting.append((self._steps, loss))
        elif loss is not None:
            self._put(bucket, loss)

    def value(self) -> Curve:
        """Return the curve so far; cost: linear in the number of buckets."""
        if self._waiting:
            values = torch.stack([loss for _, loss in self._waiting]).tolist()
            for (step, _), loss in zip(self._waiting, values, strict=True):
                self._put((step - 1) // self._bucket_steps, loss)
            self._waiting.clear()
        used = slice(-(-self._steps // self._bucket_steps))
        is_seen = self._count[used] > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(is_seen, self._total[used] / self._count[used], np.nan)
        return Curve(
            self._bucket_steps,
            means,
            np.where(is_seen, self._least[used], np.nan),
            np.where(is_seen, self._greatest[used], np.nan),
            self._rates[used].copy(),
            self._nonfinite[used].copy(),
        )

    def _put(self, bucket: int, loss: float) -> None:
        if not math.isfinite(loss):
            self._nonfinite[bucket] += 1
            return
        self._count[bucket] += 1
        self._total[bucket] += loss
        self._least[bucket] = min(self._least[bucket], loss)
        self._greatest[bucket] = max(self._greatest[bucket], loss)

    def _double(self) -> None:
        """Merge adjacent pairs of buckets into the first half of the arrays."""
        half = MOST_BUCKETS // 2
        for array in (self._count, self._nonfinite, self._total):
            array[:half] = array[::2] + array[1::2]
            array[half:] = 0
        self._least[:half] = np.minimum(self._least[::2], self._least[1::2])
        self._greatest[:half] = np.maximum(self._greatest[::2], self._greatest[1::2])
        self._rates[:half] = self._rates[1::2]
        self._least[half:], self._greatest[half:], self._rates[half:] = np.inf, -np.inf, np.nan
        self._bucket_steps *= 2
