"""Facts before and after an interruption, against those of all the values at once."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.runs.continued import continued, joined_spreads
from relume.runs.facts import (
    InputFacts,
    LossFacts,
    ModuleFacts,
    NormFacts,
    OptimizerFacts,
    OverlapFacts,
    Phase,
    RecurrentFacts,
    Spread,
    WeightFacts,
)

VALUES = st.lists(st.floats(-100, 100), min_size=0, max_size=20)


def spread(values):
    if not len(values):
        return Spread()
    return Spread(
        count=len(values),
        mean=float(np.mean(values)),
        deviation=float(np.std(values)),
        least=float(np.min(values)),
        greatest=float(np.max(values)),
    )


@settings(deadline=None, derandomize=True, max_examples=60)
@given(VALUES, VALUES)
def test_two_spreads_make_that_of_all_values(a, b):
    joined, whole = joined_spreads(spread(a), spread(b)), spread([*a, *b])
    assert joined.count == whole.count
    for name in ("mean", "deviation", "least", "greatest"):
        assert getattr(joined, name) == pytest.approx(getattr(whole, name), abs=1e-6, nan_ok=True)


def test_the_moments_of_features_are_pooled_by_rows():
    x = np.random.default_rng(0).normal(size=(30, 3)) * [1, 5, 0.1] + [0, 3, -2]

    def facts(rows):
        return InputFacts(
            name="x",
            phase=Phase.TRAINING,
            rows=len(rows),
            batches=1,
            feature_means=tuple(rows.mean(0)),
            feature_deviations=tuple(rows.std(0)),
        )

    (joined,) = continued([facts(x[:7])], [facts(x[7:])])
    assert (joined.rows, joined.batches) == (30, 2)
    np.testing.assert_allclose(joined.feature_means, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(joined.feature_deviations, x.std(0), rtol=1e-12)


def test_what_was_first_stays_first_and_what_is_last_is_new():
    early = LossFacts(
        function="cross_entropy",
        phase=Phase.TRAINING,
        step=1,
        calls=3,
        rows=30,
        class_counts=(10, 20),
        predicted_counts=(30,),
        first_loss=2.5,
        is_in_training_mode=1.0,
    )
    late = LossFacts(
        function="cross_entropy",
        phase=Phase.TRAINING,
        step=40,
        calls=1,
        rows=10,
        class_counts=(1, 2, 7),
        predicted_counts=(4, 6),
        first_loss=0.5,
        is_in_training_mode=0.0,
    )
    (joined,) = continued([early], [late])
    assert (joined.step, joined.first_loss, joined.calls, joined.rows) == (1, 2.5, 4, 40)
    assert (joined.class_counts, joined.predicted_counts) == ((11, 22, 7), (34, 6))
    assert joined.is_in_training_mode == 0.75


def test_weights_keep_their_beginning():
    early = WeightFacts(
        name="w", armed_steps=4, gradient_steps=4, initial=spread([1]), identical_units=(3, 2)
    )
    late = WeightFacts(
        name="w",
        armed_steps=5,
        gradient_steps=1,
        initial=spread([2]),
        final=spread([3]),
        identical_units=(1, 0),
        first_nonfinite_step=9,
        rate=0.1,
    )
    (joined,) = continued([early], [late])
    assert (joined.armed_steps, joined.gradient_steps) == (9, 5)
    assert (joined.initial.mean, joined.final.mean) == (1, 3)
    assert (joined.identical_units, joined.first_nonfinite_step, joined.rate) == ((3, 0), 9, 0.1)


def test_counts_add_and_the_rest_is_of_the_side_that_knows():
    before = [
        ModuleFacts(name="a", kind="Linear", order=2, eval_steps=1, training_steps=5),
        NormFacts(name="n", passes=3, least_rows=8, least_values=80, shift=0.5),
        RecurrentFacts(name="r", kind="RNN", growth=4.0, passes=1, time_steps=9),
        OptimizerFacts(number=0, kind="SGD", updates=7),
        OverlapFacts(training_rows=50, evaluation_rows=20, shared_rows=2),
    ]
    after = [
        ModuleFacts(name="a", kind="Linear", order=-1, training_steps=2),
        NormFacts(name="n", passes=1, least_rows=4, least_values=90, shift=0.1),
        RecurrentFacts(name="r", kind="RNN", growth=1.0, passes=1, time_steps=5),
        OptimizerFacts(number=0, kind="SGD", updates=3),
        OverlapFacts(training_rows=10, evaluation_rows=20, shared_rows=0),
        ModuleFacts(name="new", kind="ReLU"),
    ]
    module, norm, recurrent, optimizer, overlap, new = continued(before, after)
    assert (module.order, module.eval_steps, module.training_steps) == (2, 1, 7)
    assert (norm.passes, norm.least_rows, norm.least_values, norm.shift) == (4, 4, 80, 0.1)
    assert (recurrent.growth, recurrent.time_steps) == (2.0, 9)
    assert optimizer.updates == 10
    assert (overlap.training_rows, overlap.shared_rows, new.name) == (50, 2, "new")
    assert math.isnan(overlap.training_repeats)
