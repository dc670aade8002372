"""Records as the same training would have left them with larger batches, more steps, other units.

What a finding rests on must not hang on these. The records are changed, and nothing is trained:
every row is seen twice; every step takes two, each of half the update; amounts and their squared
errors come in other units.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from relume.diagnosis.codes import Code
from relume.diagnosis.norms import chance_shift
from relume.runs.facts import (
    Fact,
    InputFacts,
    LossFacts,
    ModuleFacts,
    NormFacts,
    OptimizerFacts,
    OverlapFacts,
    Spread,
    WeightFacts,
)
from relume.runs.records import Moments, UnitActivity
from relume.runs.run_file import Run

TIMES = 2
UNIT = 3.0


def with_larger_batches(run: Run) -> Run:
    """Return a run of which each batch had every row twice."""
    windows = tuple(
        replace(
            window,
            layers=tuple(replace(each, activity=_twice(each.activity)) for each in window.layers),
        )
        for window in run.windows
    )
    lives = tuple(replace(life, silent_rows=TIMES * life.silent_rows) for life in run.lifetimes)
    return replace(
        run,
        windows=windows,
        lifetimes=lives,
        examination=tuple(map(_twice, run.examination)),
        facts=tuple(_of_larger_batches(fact) for fact in run.facts),
        scores=tuple(replace(score, rows=TIMES * score.rows) for score in run.scores),
    )


def with_more_steps(run: Run) -> Run:
    """Return a run in which each step was two, of half the rate."""
    windows = tuple(
        replace(
            window,
            first_step=TIMES * (window.first_step - 1) + 1,
            last_step=TIMES * window.last_step,
            armed_steps=TIMES * window.armed_steps,
            weights=tuple(
                replace(each, update_ratio=_times(each.update_ratio, 1 / TIMES))
                for each in window.weights
            ),
        )
        for window in run.windows
    )
    curve = replace(run.curve, bucket_steps=TIMES * run.curve.bucket_steps)
    return replace(
        run,
        windows=windows,
        curve=curve,
        facts=tuple(_of_more_steps(fact) for fact in run.facts),
        scores=tuple(replace(score, step=TIMES * score.step) for score in run.scores),
    )


def in_other_units(run: Run) -> Run:
    """Return a run of which the targets, predictions and their squared errors are in other units.

    A training of classes has no units, and stays as it was.
    """
    if not any(fact.target_kind == "amounts" for fact in run.of(LossFacts)):
        return run
    square = UNIT**2
    curve = replace(
        run.curve,
        **{name: square * getattr(run.curve, name) for name in ("losses", "least", "greatest")},
    )
    windows = tuple(
        replace(
            window,
            loss=_times(window.loss, square),
            weights=tuple(
                replace(each, gradient_norm=_times(each.gradient_norm, square))
                for each in window.weights
            ),
        )
        for window in run.windows
    )
    return replace(
        run,
        windows=windows,
        curve=curve,
        facts=tuple(_of_other_units(fact) for fact in run.facts),
        scores=tuple(replace(score, loss=square * score.loss) for score in run.scores),
    )


CHANGES: Mapping[Callable[[Run], Run], frozenset[Code]] = {
    with_larger_batches: frozenset(
        {Code.BATCH_OF_ONE, Code.TINY_BATCHES, Code.DEAD_UNITS}  # silent on so many rows
    ),
    with_more_steps: frozenset(),
    in_other_units: frozenset(
        {Code.UNSCALED_TARGET, Code.BOUNDED_REGRESSION, Code.DIVERGING, Code.STARVED_LAYER}
    ),
}
"""Each change, with the codes that are about what it changes."""


def _twice(activity: UnitActivity) -> UnitActivity:
    return activity + activity


def _times(moments: Moments, factor: float) -> Moments:
    return Moments(
        moments.count, factor * moments.total, factor * moments.least, factor * moments.greatest
    )


def _counted(fact: Any, *names: str) -> Any:
    """Return a fact with some of its counts, or tuples of them, as large again."""
    grown = {}
    for name in names:
        value = getattr(fact, name)
        is_many = isinstance(value, tuple)
        grown[name] = tuple(TIMES * each for each in value) if is_many else TIMES * value
    return replace(fact, **grown)


def _spread_of_more(spread: Spread) -> Spread:
    return replace(spread, count=TIMES * spread.count, nonfinite=TIMES * spread.nonfinite)


def _scaled(spread: Spread) -> Spread:
    names = ("mean", "deviation", "least", "greatest")
    return replace(spread, **{name: UNIT * getattr(spread, name) for name in names})


def _of_larger_batches(fact: Fact) -> Fact:
    if isinstance(fact, InputFacts):
        shape = (TIMES * fact.shape[0], *fact.shape[1:]) if fact.shape else ()
        return replace(_counted(fact, "rows"), shape=shape, values=_spread_of_more(fact.values))
    if isinstance(fact, LossFacts):
        spreads = {name: _spread_of_more(getattr(fact, name)) for name in ("prediction", "target")}
        counts = ("rows", "class_counts", "predicted_counts", "ignored")
        return replace(_counted(fact, *counts), **spreads)
    if isinstance(fact, NormFacts):
        by_chance = chance_shift(fact) * (1 - 1 / math.sqrt(TIMES))
        return replace(_counted(fact, "least_values", "least_rows"), shift=fact.shift - by_chance)
    if isinstance(fact, OverlapFacts):
        return _counted(fact, "training_rows", "evaluation_rows", "shared_rows")
    return fact


def _of_more_steps(fact: Fact) -> Fact:
    counts = {
        WeightFacts: ("armed_steps", "gradient_steps", "nonzero_gradient_steps", "left_over_steps"),
        ModuleFacts: ("eval_steps", "training_steps"),
        OptimizerFacts: ("updates",),
        NormFacts: ("passes",),
        LossFacts: ("calls", "rows", "class_counts", "predicted_counts", "ignored"),
        InputFacts: ("batches", "rows"),
    }
    names = counts.get(type(fact), ())
    grown = _counted(fact, *names)
    if isinstance(fact, WeightFacts):
        return replace(grown, rate=fact.rate / TIMES)
    return grown


def _of_other_units(fact: Fact) -> Fact:
    if not isinstance(fact, LossFacts) or fact.target_kind != "amounts":
        return fact
    return replace(
        fact,
        prediction=_scaled(fact.prediction),
        target=_scaled(fact.target),
        first_loss=UNIT**2 * fact.first_loss,
    )
