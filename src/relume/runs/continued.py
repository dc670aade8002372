"""Facts of a training that was interrupted: what was known before, and what came after, as one."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from relume.runs.fact_json import kind_of
from relume.runs.facts import (
    Fact,
    InputFacts,
    LossFacts,
    ModuleFacts,
    NormFacts,
    OptimizerFacts,
    OverlapFacts,
    RecurrentFacts,
    Spread,
    WeightFacts,
)


def continued(before: Iterable[Fact], after: Iterable[Fact]) -> list[Fact]:
    """Return facts as if they came of one training: each of ``before``, gone on with ``after``.

    What adds up is added, what was seen first or last is of the first or the last. Rows that were
    seen on both sides count once only where that can be known: of overlaps the larger stands.

    Example:
        >>> early, late = (OptimizerFacts(number=0, kind="SGD", updates=n) for n in (3, 4))
        >>> continued([early], [late])[0].updates
        7
    """
    joined = {(kind_of(fact), fact.key): fact for fact in before}
    for fact in after:
        key = (kind_of(fact), fact.key)
        joined[key] = _JOIN[type(fact)](joined[key], fact) if key in joined else fact
    return list(joined.values())


def joined_spreads(a: Spread, b: Spread) -> Spread:
    """Return the spread of all values of two.

    References:
        Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", 1979, equation 2.1.
    """
    nonfinite = a.nonfinite + b.nonfinite
    if not (a.count and b.count):
        return replace(a if a.count else b, nonfinite=nonfinite)
    count = a.count + b.count
    mean, deviation = _pooled((a.count, a.mean, a.deviation), (b.count, b.mean, b.deviation))
    return Spread(
        count=count,
        mean=mean,
        deviation=deviation,
        least=min(a.least, b.least),
        greatest=max(a.greatest, b.greatest),
        nonfinite=nonfinite,
    )


def _pooled(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float]:
    """Return mean and standard deviation of two groups, each given as count, mean, deviation."""
    (n, mean_a, deviation_a), (m, mean_b, deviation_b) = a, b
    if not (n and m) or math.isnan(mean_a) or math.isnan(mean_b):
        return (mean_b, deviation_b) if math.isnan(mean_a) or not n else (mean_a, deviation_a)
    share = m / (n + m)
    apart = mean_b - mean_a
    variance = (1 - share) * deviation_a**2 + share * deviation_b**2
    variance += share * (1 - share) * apart**2
    return mean_a + share * apart, math.sqrt(variance)


def _input(a: InputFacts, b: InputFacts) -> InputFacts:
    pairs = [
        _pooled((a.rows, *x), (b.rows, *y))
        for x, y in zip(
            zip(a.feature_means, a.feature_deviations, strict=True),
            zip(b.feature_means, b.feature_deviations, strict=True),
            strict=False,
        )
    ]
    first = (a.first_nonfinite_step, b.first_nonfinite_step)
    return replace(
        a,
        batches=a.batches + b.batches,
        rows=a.rows + b.rows,
        values=joined_spreads(a.values, b.values),
        feature_means=tuple(mean for mean, _ in pairs),
        feature_deviations=tuple(deviation for _, deviation in pairs),
        constant_features=min(a.constant_features, b.constant_features),
        first_nonfinite_step=next((step for step in first if step is not None), None),
    )


def _overlap(a: OverlapFacts, b: OverlapFacts) -> OverlapFacts:
    return max(a, b, key=lambda fact: fact.training_rows)


def _loss(a: LossFacts, b: LossFacts) -> LossFacts:
    is_known_better = math.isnan(a.is_in_training_mode)
    mode, _ = _pooled((a.calls, a.is_in_training_mode, 0.0), (b.calls, b.is_in_training_mode, 0.0))
    return replace(
        b,
        step=a.step,
        calls=a.calls + b.calls,
        rows=a.rows + b.rows,
        prediction_shape=a.prediction_shape,
        target_shape=a.target_shape,
        is_broadcast=a.is_broadcast or b.is_broadcast,
        prediction=joined_spreads(a.prediction, b.prediction),
        is_unit_interval=a.is_unit_interval and b.is_unit_interval,
        is_normalised=a.is_normalised and b.is_normalised,
        target=joined_spreads(a.target, b.target),
        target_kind=a.target_kind or b.target_kind,
        class_counts=_added(a.class_counts, b.class_counts),
        predicted_counts=_added(a.predicted_counts, b.predicted_counts),
        ignored=a.ignored + b.ignored,
        first_loss=a.first_loss,
        is_in_training_mode=b.is_in_training_mode if is_known_better else mode,
        weighted=a.weighted or b.weighted,
    )


def _added(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip_longest(a, b, fillvalue=0))


def _module(a: ModuleFacts, b: ModuleFacts) -> ModuleFacts:
    return replace(
        b,
        order=a.order if a.order >= 0 else b.order,
        follows=a.follows or b.follows,
        eval_steps=a.eval_steps + b.eval_steps,
        training_steps=a.training_steps + b.training_steps,
    )


def _weight(a: WeightFacts, b: WeightFacts) -> WeightFacts:
    first = (a.first_nonfinite_step, b.first_nonfinite_step)
    return replace(
        b,
        is_optimised=a.is_optimised or b.is_optimised,
        weight_decay=b.weight_decay if math.isnan(a.weight_decay) else a.weight_decay,
        rate=b.rate if math.isnan(a.rate) else a.rate,
        armed_steps=a.armed_steps + b.armed_steps,
        gradient_steps=a.gradient_steps + b.gradient_steps,
        nonzero_gradient_steps=a.nonzero_gradient_steps + b.nonzero_gradient_steps,
        left_over_steps=a.left_over_steps + b.left_over_steps,
        first_nonfinite_step=next((step for step in first if step is not None), None),
        initial=a.initial,
        identical_units=(a.identical_units[0], b.identical_units[1]),
    )


def _optimizer(a: OptimizerFacts, b: OptimizerFacts) -> OptimizerFacts:
    return replace(b, groups=a.groups, updates=a.updates + b.updates)


def _norm(a: NormFacts, b: NormFacts) -> NormFacts:
    seen = [fact for fact in (a, b) if fact.passes] or [b]
    return replace(
        b if b.passes else a,
        passes=a.passes + b.passes,
        least_values=min(fact.least_values for fact in seen),
        least_rows=min(fact.least_rows for fact in seen),
        channel_drift=b.channel_drift if math.isnan(a.channel_drift) else a.channel_drift,
        eval_passes=a.eval_passes + b.eval_passes,
    )


def _recurrent(a: RecurrentFacts, b: RecurrentFacts) -> RecurrentFacts:
    if not (a.passes and b.passes):
        return b if b.passes else a
    share = b.passes / (a.passes + b.passes)
    growth = b.growth if a.growth <= 0 else a.growth * (b.growth / a.growth) ** share
    return replace(
        b,
        time_steps=max(a.time_steps, b.time_steps),
        growth=growth,
        passes=a.passes + b.passes,
    )


_JOIN: dict[type[Fact], Callable[[Any, Any], Fact]] = {
    InputFacts: _input,
    OverlapFacts: _overlap,
    LossFacts: _loss,
    ModuleFacts: _module,
    WeightFacts: _weight,
    OptimizerFacts: _optimizer,
    NormFacts: _norm,
    RecurrentFacts: _recurrent,
}
