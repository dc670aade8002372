"""The loss of every step of a training, in a bounded number of buckets of equally many steps."""

import math

import numpy as np
from torch import Tensor

from relume.observe.late import read_scalars
from relume.observe.pending import Ended
from relume.runs.loss_curve import Curve

MOST_BUCKETS = 512


class OpenCurve:
    """The curve of a training that is under way; the buckets double whenever there are too many.

    Example:
        >>> curve = OpenCurve()
        >>> curve.add([(step, float(step), 0.1, False) for step in range(1, 1025)])
        >>> value = curve.value()
        >>> value.bucket_steps, len(value.losses), value.losses[:2].tolist()
        (2, 512, [1.5, 3.5])
    """

    def __init__(self) -> None:
        self._bucket_steps = 1
        self._steps = 0
        self._waiting: list[tuple[int, Tensor]] = []
        self._buckets: list[_Bucket] = []
        self._numbers = np.empty((MOST_BUCKETS, 5))  # of the buckets that are full
        self._full = 0

    def add(self, ended: Ended) -> None:
        """Add the next steps; a loss on another device is read later."""
        for _, loss, rate, _ in ended:
            if self._steps == len(self._buckets) * self._bucket_steps:
                if len(self._buckets) == MOST_BUCKETS:
                    self._double()
                self._buckets.append(_Bucket())
            bucket = self._buckets[-1]
            bucket.rate = rate
            if isinstance(loss, Tensor):
                self._waiting.append((self._steps, loss))
            elif loss is not None:
                bucket.add(loss)
            self._steps += 1

    def resume(self, curve: Curve, steps: int) -> None:
        """Go on from a curve, of which every step had a loss.

        Args:
            curve: What ``value`` gave.
            steps: Steps in it.
        """
        self._bucket_steps, self._steps, self._full = curve.bucket_steps, steps, 0
        self._buckets = [
            _Bucket.of(curve, index, min(curve.bucket_steps, steps - index * curve.bucket_steps))
            for index in range(len(curve.losses))
        ]

    def value(self) -> Curve:
        """Return the curve so far; cost: linear in the buckets that are new, but for a copy."""
        if self._waiting:
            values = read_scalars([loss for _, loss in self._waiting])
            for (place, _), loss in zip(self._waiting, values, strict=True):
                self._buckets[place // self._bucket_steps].add(loss)
            self._full = min(self._full, self._waiting[0][0] // self._bucket_steps)
            self._waiting.clear()
        for index in range(self._full, len(self._buckets)):
            self._numbers[index] = self._buckets[index].numbers()
        self._full = max(0, len(self._buckets) - 1)
        losses, least, greatest, rates, nonfinite = self._numbers[: len(self._buckets)].T.copy()
        return Curve(self._bucket_steps, losses, least, greatest, rates, nonfinite.astype(np.int64))

    def _double(self) -> None:
        """Merge adjacent pairs of buckets."""
        pairs = zip(self._buckets[::2], self._buckets[1::2], strict=True)
        self._buckets = [early.merged(late) for early, late in pairs]
        self._bucket_steps *= 2
        self._full = 0


class _Bucket:
    """The losses of some steps, and the rate of the last one."""

    __slots__ = ("count", "greatest", "least", "nonfinite", "rate", "total")

    def __init__(self) -> None:
        self.count = self.nonfinite = 0
        self.total = 0.0
        self.least, self.greatest = math.inf, -math.inf
        self.rate = math.nan

    @classmethod
    def of(cls, curve: Curve, index: int, steps: int) -> "_Bucket":
        bucket = cls()
        bucket.rate, bucket.nonfinite = float(curve.rates[index]), int(curve.nonfinite[index])
        bucket.count = steps - bucket.nonfinite
        if bucket.count:
            bucket.total = float(curve.losses[index]) * bucket.count
            bucket.least = float(curve.least[index])
            bucket.greatest = float(curve.greatest[index])
        return bucket

    def add(self, loss: float) -> None:
        if not math.isfinite(loss):
            self.nonfinite += 1
            return
        self.count += 1
        self.total += loss
        self.least = min(self.least, loss)
        self.greatest = max(self.greatest, loss)

    def merged(self, late: "_Bucket") -> "_Bucket":
        late.count += self.count
        late.nonfinite += self.nonfinite
        late.total += self.total
        late.least = min(self.least, late.least)
        late.greatest = max(self.greatest, late.greatest)
        return late

    def numbers(self) -> tuple[float, float, float, float, int]:
        """Return mean, least, greatest, rate, and how many were not finite."""
        if not self.count:
            return (math.nan, math.nan, math.nan, self.rate, self.nonfinite)
        return (self.total / self.count, self.least, self.greatest, self.rate, self.nonfinite)
