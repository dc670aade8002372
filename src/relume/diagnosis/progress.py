"""How a training does as a whole: whether its loss fell, and below that of guessing."""

import math
from dataclasses import dataclass

import numpy as np

from relume.diagnosis.finding import Severity
from relume.diagnosis.reading import Reading, chance_loss
from relume.runs.facts import OptimizerFacts
from relume.runs.records import Sums

FEWEST_LOSSES = 10
WELL = 0.8
"""A loss below this share of that of guessing shows that something was learned."""
POOR = 0.95
"""A loss above this share of that of guessing, or of the first one, has learned nothing."""
BLOWN_UP = 10.0
"""A loss this many times that of guessing, or the first one, has blown up."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the loss began and ended, beside that of guessing; nan where not known.

    Args:
        first: Median of the first twentieth of the losses.
        last: Median of the last tenth; infinite where the last losses are not finite.
        chance: Loss of the best constant prediction.
        right: Share of training rows classified right, last on record, less the share of the
            commonest class.
        can_judge: Whether the loss says how well the training does: one optimizer, one loss.
    """

    first: float = math.nan
    last: float = math.nan
    chance: float = math.nan
    right: float = math.nan
    can_judge: bool = True

    @property
    def is_well(self) -> bool:
        """Whether the loss fell clearly, and below that of guessing where this is known."""
        limit = self.chance if self.chance > 0 else self.first
        return self.last < WELL * limit and (self.last < self.first or self.chance > 0)

    @property
    def is_poor(self) -> bool:
        """Whether nothing was learned: the loss is no better than guessing, or not finite."""
        if math.isinf(self.last):
            return True
        if not self.can_judge or self.is_well or self.right > 0.1:
            return False
        limit = self.chance if self.chance > 0 else self.first
        return limit > 0 and self.last >= POOR * limit

    @property
    def has_blown_up(self) -> bool:
        """Whether the loss ended far above where it began and above guessing, or not finite."""
        if math.isinf(self.last):
            return True
        limits = [abs(each) for each in (self.first, self.chance) if math.isfinite(each)]
        return bool(limits) and self.last > BLOWN_UP * max(limits)

    def severity(self, *, is_structural: bool = False) -> Severity:
        """Return a warning where there is harm or structural evidence, and a note otherwise."""
        return Severity.WARNING if is_structural or self.is_poor else Severity.NOTE


def progress(reading: Reading) -> Progress:
    """Return how a training does; all nan where there are fewer than ``FEWEST_LOSSES`` losses."""
    losses = _losses(reading)
    if not _ends_finite(reading):
        return Progress(first=_median(losses[:1]), last=math.inf)
    if len(losses) < FEWEST_LOSSES:
        return Progress(can_judge=False)
    main = [loss for loss in reading.training_losses if 2 * loss.rows >= _most_rows(reading)]
    is_single = len(main) == 1 and len(reading.run.of(OptimizerFacts)) <= 1
    return Progress(
        first=_median(losses[: max(1, len(losses) // 20)]),
        last=_median(losses[-max(3, len(losses) // 10) :]),
        chance=chance_loss(main[0]) if is_single and not main[0].weighted else math.nan,
        right=_right(reading),
        can_judge=is_single,
    )


def _losses(reading: Reading) -> Sums:
    """Return the curve, or the means of windows where there is none."""
    if len(reading.losses):
        return reading.losses
    means = np.array([window.loss.mean for window in reading.run.windows])
    return means[np.isfinite(means)]


def _ends_finite(reading: Reading) -> bool:
    curve = reading.run.curve
    if not len(curve.losses):
        return all(
            math.isfinite(w.loss.total) for w in reading.run.windows[-1:] if w.loss.count
        )
    tail = slice(-max(1, len(curve.losses) // 10), None)
    return not (curve.nonfinite[tail].any() and np.isnan(curve.losses[tail]).all())


def _most_rows(reading: Reading) -> int:
    return max((loss.rows for loss in reading.training_losses), default=0)


def _right(reading: Reading) -> float:
    known = [score.right for score in reading.training_scores if math.isfinite(score.right)]
    counts = reading.loss.class_counts if reading.loss is not None else ()
    if not known or not sum(counts):
        return math.nan
    return known[-1] - max(counts) / sum(counts)


def _median(values: Sums) -> float:
    return float(np.median(values)) if len(values) else math.nan
