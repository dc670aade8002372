"""Batch norm whose batches differ from one another, or whose channels still move at the end.

What it detects
    Batch-norm layers of which the means of the last batches lay off the running means by more
    than a fifth of a running standard deviation beyond chance, while the running means stay where
    they are; or by more than three quarters of one, where these moved by a whole deviation since
    they settled. Small momenta, with which they follow nothing, are left to ``train-eval-gap``.
    Or else batch norm beneath a training loss that repeats itself pass after pass, as it does where
    the rows are not shuffled, and that is smooth from batch to batch, or whose batch means are off
    by more than a quarter beyond chance: the rows lie in an order of likeness.

Why it matters
    The running statistics follow batches slowly: where those differ from one another (rows sorted
    by class, sources in turn) or drift, evaluation uses statistics of the past.

What else it could be
    The first steps of a training, in which everything moves; a rate that is still high. Where
    evaluation losses show no harm it is a note.

Remedies, with safety
    Shuffle the rows (changes training); lower the rate (changes training); group or layer norm
    (changes model).

Options
    ``SHIFT`` 0.27 running standard deviations beyond the error of a mean of so many rows: batches
    of shuffled rows stay below a tenth. ``MOVING_SHIFT`` 0.75 from ``DRIFT`` 1 on, since running
    means follow behind what moves. A warning where the evaluation loss shows a gap (1.5 times
    the training loss), the training does poorly, or no evaluation loss was observed that could
    tell, and always where the loss repeats itself (``relume.diagnosis.waves``), with ``LIKE`` 1.25
    for the batch means. ``FEWEST_PASSES`` 20: before, running statistics are still
    arriving.

References:
    Ioffe & Szegedy, "Batch normalization", ICML 2015; Wu & Johnson, "Rethinking 'Batch' in
    BatchNorm", arXiv:2105.07576, section 4 (batches of one domain).
"""

import math
from collections.abc import Iterator, Sequence

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety
from relume.diagnosis.norms import (
    GAP,
    SMALL_MOMENTUM,
    chance_shift,
    evaluation_gap,
    excess_shift,
    shift_limit,
    trained_norms,
)
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.waves import Waves, waves_of
from relume.runs.facts import NormFacts
from relume.runs.wording import short

FEWEST_PASSES = 20
LIKE = 1.25

REMEDIES = (
    Advice("shuffle the rows", Safety.CHANGES_TRAINING),
    Advice("lower the learning rate", Safety.CHANGES_TRAINING),
    Advice("use group or layer norm", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield one finding for the batch norm whose channels move most."""
    norms = trained_norms(reading)
    if norms and max(fact.passes for fact in norms) < FEWEST_PASSES:
        yield NotJudged(Code.CHANNEL_DRIFT, f"fewer than {FEWEST_PASSES} training passes")
        return
    moving = [
        fact
        for fact in norms
        if fact.tracks
        and excess_shift(fact) > shift_limit(fact)
        and not fact.momentum < SMALL_MOMENTUM
    ]
    waves = _ordered(reading, norms)
    if moving or waves is not None:
        yield _found(reading, moving or norms, waves)


def _ordered(reading: Reading, norms: Sequence[NormFacts]) -> Waves | None:
    """Return the waves of the loss if the rows seem to come in an order of likeness."""
    waves = waves_of(reading) if norms and not reading.is_adversarial else None
    if waves is None:
        return None
    is_off = any(fact.shift >= LIKE * chance_shift(fact) for fact in norms)
    return waves if waves.is_smooth or is_off else None


def _found(reading: Reading, moving: Sequence[NormFacts], waves: Waves | None) -> Finding:
    worst = max(moving, key=excess_shift)
    gap = evaluation_gap(reading)
    seen = f"the means of the last ones lie {short(worst.shift)} running deviations off the rest"
    if waves is not None:
        seen = f"the loss goes up and down by {waves.size:.0%}, the same every {waves.steps} steps"
    return Finding(
        code=Code.CHANNEL_DRIFT,
        severity=severity(
            reading, is_structural=waves is not None or math.isnan(gap) or gap >= GAP
        ),
        message=f"the batches of {worst.name} are not like the ones before: {seen}",
        where=worst.name,
        evidence={
            "period": waves.steps if waves is not None else None,
            "correlation": waves.correlation if waves is not None else None,
            "shift": worst.shift,
            "channel_drift": worst.channel_drift,
            "layers": len(moving),
            "passes": worst.passes,
            "threshold": shift_limit(worst),
        },
        cause="the rows come in an order" if waves is not None else "",
        strength=max(1.0, excess_shift(worst) / shift_limit(worst)),
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.CHANNEL_DRIFT,
    "channel-drift",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.TRAIN_EVAL_GAP,
            Code.OSCILLATING,
            Code.PLATEAU,
            Code.OVER_FITTING,
            Code.CLASS_NEVER_PREDICTED,
        }
    ),
)
