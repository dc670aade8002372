"""Batch norm in training beside batch norm in evaluation: what its rules share."""

import math

import numpy as np

from relume.diagnosis.reading import Reading
from relume.runs.facts import NormFacts

GAP = 1.5
"""An evaluation loss this many times the training loss of the same time is a gap."""
LEAST_GAP = 0.1
"""And the difference is at least this share of the loss of guessing."""
SHIFT = 0.27
"""Batch means off the running means by this many running standard deviations, beyond chance.

Shuffled batches of the healthy trainings for tuning stay below 0.1 of them; where all channels move
together, as between sources of data, 0.24 was seen.
"""
MOVING_SHIFT = 0.75
"""The same where the running means themselves move, or may: those follow behind while it learns."""
DRIFT = 1.0
"""Running means that have moved by this many standard deviations since they settled do move."""
SMALL_MOMENTUM = 0.02
"""Below it, running statistics follow batches within more than fifty steps."""
SPREAD = 2.0
"""Batch variances this many times the running ones, or less than one part in as many."""


def trained_norms(reading: Reading) -> tuple[NormFacts, ...]:
    """Return the batch norms that were seen in training."""
    return tuple(fact for fact in reading.run.of(NormFacts) if fact.passes)


def excess_shift(fact: NormFacts) -> float:
    """Return the shift beyond what means of so few rows are off by chance; nan if not known.

    A mean of n values is off by sqrt(2 / (pi n)) of their standard deviation on average. The
    positions of a row (pixels, time steps) resemble one another, so that n counts rows.
    """
    return fact.shift - chance_shift(fact)


def chance_shift(fact: NormFacts) -> float:
    """Return by how many standard deviations means of so few rows are off on average."""
    return math.sqrt(2 / (math.pi * max(1, fact.least_rows)))


def shift_limit(fact: NormFacts) -> float:
    """Return the shift from which on running means are not those of the batches."""
    return SHIFT if fact.channel_drift < DRIFT else MOVING_SHIFT


def is_off(fact: NormFacts) -> bool:
    """Return whether the running statistics are not those of the batches."""
    is_spread = fact.spread_ratio > SPREAD or fact.spread_ratio < 1 / SPREAD
    return fact.tracks and (excess_shift(fact) > shift_limit(fact) or is_spread)


def evaluation_gap(reading: Reading) -> float:
    """Return the median of evaluation over training loss, at the same steps, later half of passes.

    nan where there are no such losses, or they are not above zero; 1 at least where the
    difference is too small to count.
    """
    scores = [score for score in reading.evaluation_scores if math.isfinite(score.loss)]
    pairs = [(score.loss, _training_loss(reading, score.step)) for score in scores]
    known = [(after, before) for after, before in pairs[len(pairs) // 2 :] if before > 0]
    if not known:
        return math.nan
    after, before = np.median(np.array(known), axis=0)
    scale = reading.chance if math.isfinite(reading.chance) else reading.early_loss
    if after - before < LEAST_GAP * scale:
        return 1.0
    return float(np.median([after / before for after, before in known]))


def _training_loss(reading: Reading, step: int) -> float:
    """Return the training loss about a step: the median over a twentieth of the run before it."""
    near = (reading.loss_steps <= step) & (reading.loss_steps > step - reading.steps / 20)
    before = reading.losses[near]
    if len(before):
        return float(np.median(before))
    scores = [score.loss for score in reading.training_scores if score.step <= step]
    return scores[-1] if scores else math.nan
