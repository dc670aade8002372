"""How a training does as a whole: what decides whether a symptom is a warning or a note."""

import math

import numpy as np

from relume.diagnosis.finding import Severity
from relume.diagnosis.loss_reading import OF_AMOUNTS, OF_CLASSES, is_by_hand
from relume.diagnosis.reading import Reading

WELL = 0.2
"""From this share of the loss of guessing taken away on, something was learned."""
POOR = 0.05
"""Below this share nothing was."""
BETTER_RIGHT = 0.1
"""A share of rows classified right this far above that of the commonest class was learned."""
BLOWN_UP = 10.0
"""A loss this many times that of guessing, or the first one, has blown up."""
FEWEST_LOSSES = 10
NEGATED = 2.0
"""A loss below zero that is this many times its first value goes on falling."""
STRONG_DECAY, DECAYED_NORM = 0.05, 0.75
"""A weight decay from which on, and a norm (last over first) below which, it has shrunk weights."""


def does_well(reading: Reading) -> bool:
    """Return whether the loss fell clearly below that of guessing, or below where it began."""
    return ends_finite(reading) and reading.learned >= WELL


def does_poorly(reading: Reading) -> bool:
    """Return whether nothing was learned, or the losses at the end are not finite.

    Never where the loss does not tell: several losses, adversaries, fewer than ``FEWEST_LOSSES``.
    """
    if not ends_finite(reading):
        return True
    if reading.is_adversarial or _is_shared(reading) or len(reading.losses) < FEWEST_LOSSES:
        return False
    return reading.learned < POOR and not _is_right(reading)


def severity(reading: Reading, *, is_structural: bool = False) -> Severity:
    """Return a warning where there is harm or structural evidence, and a note otherwise."""
    return Severity.WARNING if is_structural or does_poorly(reading) else Severity.NOTE


def blown_up_at(reading: Reading) -> int | None:
    """Return the step by which a loss was not finite, or ten times that at first and of guessing.

    None where none was.
    """
    curve = reading.run.curve
    steps = [int(step) for step in curve.steps[curve.nonfinite > 0]]
    if reading.early_loss > 0:
        known = [reading.early_loss, *([reading.chance] if math.isfinite(reading.chance) else [])]
        steps += [int(step) for step in reading.loss_steps[reading.losses > BLOWN_UP * max(known)]]
    return min(steps, default=None)


def is_decayed(reading: Reading) -> bool:
    """Return whether a strong weight decay shrank the weights, so that ratios to them mislead."""
    return reading.norm_change < DECAYED_NORM and reading.greatest_decay >= STRONG_DECAY


def is_negated(reading: Reading) -> bool:
    """Return whether a loss that cannot be negative falls below 0 without end: a wrong sign."""
    loss = reading.loss
    if loss is None or reading.is_adversarial or len(reading.losses) < FEWEST_LOSSES:
        return False
    if not reading.late_loss < min(-1.0, NEGATED * reading.losses[0]):
        return False
    never_negative = loss.function in (OF_CLASSES | OF_AMOUNTS) - {"nll_loss"}
    return never_negative or is_by_hand(loss, "pow", "log_softmax")


def ends_finite(reading: Reading) -> bool:
    """Return whether any loss of the last tenth of the curve was finite."""
    curve = reading.run.curve
    tail = slice(-max(1, len(curve.losses) // 10), None)
    return not (curve.nonfinite[tail].any() and np.isnan(curve.losses[tail]).all())


def _is_shared(reading: Reading) -> bool:
    """Return whether several losses are learned from, on about as many rows."""
    rows = [loss.rows for loss in reading.training_losses]
    return len(rows) > 1 and 2 * rows[1] >= rows[0]


def _is_right(reading: Reading) -> bool:
    """Return whether rows are classified right more often than by guessing, at the last look."""
    known = [score.right for score in reading.training_scores if math.isfinite(score.right)]
    counts = reading.loss.class_counts if reading.loss is not None else ()
    if not known or not sum(counts):
        return False
    return known[-1] > max(counts) / sum(counts) + BETTER_RIGHT
