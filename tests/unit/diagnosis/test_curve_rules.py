"""The rules on curves and scores, on records made by hand: where they speak, and where not."""

import math

import numpy as np
import pytest

from relume.diagnosis.reading import Reading
from relume.diagnosis.rules import (
    channel_drift,
    diverging,
    memorising,
    over_fitting,
    over_training,
    plateau,
    rate_too_high,
    rate_too_low,
    starved_layer,
    update_ratio,
    vanishing_gradient,
)
from relume.diagnosis.waves import waves_of
from relume.runs.facts import InputFacts, LossFacts, NormFacts, Phase, Spread
from relume.runs.records import Score
from tests.unit.diagnosis.hand_made import (
    FALLING,
    STUCK,
    Matrix,
    asked,
    make_run,
    of_three_classes,
    unjudged,
)

AMOUNTS = LossFacts(
    function="mse_loss",
    phase=Phase.TRAINING,
    step=1,
    rows=6000,
    head=(),
    target_kind="amounts",
    target=Spread(count=6000, mean=0.0, deviation=1.0),
)
LEARNED = 0.1 + 0.9 * np.exp(-np.arange(200) / 20)
"""Losses of amounts of variance 1 of which nine tenths are learned."""


def only(findings):
    (finding,) = findings
    return finding


def scored(losses, right=math.nan, *, rows: int = 400, phase=Phase.EVALUATION) -> list[Score]:
    """Scores at even steps up to 200, of one share of right answers or of one each."""
    rights = np.broadcast_to(np.asarray(right, float), (len(losses),))
    steps = np.linspace(0, 200, len(losses) + 1)[1:]
    return [
        Score(int(step), phase, rows, float(loss), float(share))
        for step, loss, share in zip(steps, losses, rights, strict=True)
    ]


def of_amounts(evaluation, losses=LEARNED):
    scores = scored(evaluation) + scored([0.1] * 10, phase=Phase.TRAINING)
    return make_run(losses=losses, facts=[AMOUNTS], scores=scores, of_classes=False)


def of_classes(evaluation, right, *, rows: int = 400, learned: float = 0.98):
    scores = scored(evaluation, right, rows=rows)
    scores += scored([0.2] * 10, learned, rows=50, phase=Phase.TRAINING)
    return make_run(scores=scores, facts=[of_three_classes(phase=Phase.EVALUATION)])


@pytest.mark.parametrize(
    ("evaluation", "is_found"),
    [
        ([0.6] * 10, True),  # .9 of it learned, .4 carried over
        ([0.5] * 10, False),  # .5 carried over: more than half
        ([0.11] * 9 + [5.0], False),  # a single pass that went wrong
    ],
)
def test_over_fitting_of_amounts_is_what_does_not_carry_over(evaluation, is_found):
    run = of_amounts(evaluation)
    assert bool(asked(over_fitting.RULE, run)) is is_found


@pytest.mark.parametrize(
    ("evaluation", "right", "rows", "is_found"),
    [
        (0.5, 0.80, 400, True),  # a gap of .18
        (0.9, 0.90, 400, True),  # little carries over, and rows say so
        (0.9, 0.97, 400, False),  # sure and wrong on a few rows alone
        (0.9, 0.85, 20, False),  # too few rows to tell
        (1.5, 0.80, 26, True),  # few, but worse than guessing
        (0.5, 0.90, 400, False),
    ],
)
def test_over_fitting_of_classes(evaluation, right, rows, is_found):
    run = of_classes([evaluation] * 10, right, rows=rows)
    assert bool(asked(over_fitting.RULE, run)) is is_found


@pytest.mark.parametrize(
    ("right", "rows", "is_found"), [(0.34, 400, True), (0.9, 12, False), (0.34, 8, False),
                                    (0.7, 400, False)]
)  # fmt: skip
def test_memorising_needs_rows_that_prove_guessing(right, rows, is_found):
    assert bool(asked(memorising.RULE, of_classes([1.2] * 10, right, rows=rows))) is is_found


RISING = np.linspace(0.3, 0.6, 12)


def test_over_training_is_a_rise_beside_a_training_loss_that_falls_on():
    found = only(asked(over_training.RULE, of_amounts([0.4, *RISING])))
    assert found.severity == "warning"
    assert not asked(over_training.RULE, of_amounts([0.4, *(RISING / 10)]))  # of small losses
    rising = LEARNED[::-1]
    assert not asked(over_training.RULE, of_amounts([0.4, *RISING], losses=rising))
    assert not asked(over_training.RULE, of_amounts([0.5, 1.8, 0.4, *RISING]))  # it jumps anyway


@pytest.mark.parametrize(("last", "severity"), [(0.90, "warning"), (0.95, "note")])
def test_the_right_answers_of_few_rows_must_have_gone_beyond_chance(last, severity):
    losses = [0.4, 0.1, 0.2, 0.3, 0.4, 0.5]
    rights = [0.9, 0.99, *[last] * 4]
    scores = [
        Score(20 * (at + 1), "evaluation", 97, loss, right)
        for at, (loss, right) in enumerate(zip(losses, rights, strict=True))
    ]
    found = only(asked(over_training.RULE, make_run(scores=scores)))
    assert found.severity == severity


def path(length: float, **more: object):
    weights = [Matrix(name="fc.weight", update=length / 200)]
    return make_run(weights=weights, **more)


SLOW = np.linspace(1.1, 0.8, 200)


@pytest.mark.parametrize(
    ("length", "losses", "scores", "is_found"),
    [
        (0.2, SLOW, (), True),
        (2.0, SLOW, (), False),  # far from where it began: not the rate
        (0.2, FALLING, (), False),  # nearly all learned
        (0.5, SLOW, (), False),  # slowly, and not that short
        (0.5, np.linspace(1.1, 0.6, 200), (), True),
        (0.2, SLOW, [0.9, 0.9, 0.9, 0.9], False),  # the evaluation loss stands still
        (0.2, SLOW, [1.0, 0.95, 0.9, 0.85], True),
        (0.2, STUCK, (), False),
    ],
)
def test_a_training_ends_early_while_its_weights_have_hardly_moved(
    length, losses, scores, is_found
):
    run = path(length, losses=losses, scores=scored(scores) if scores else ())
    assert bool(asked(rate_too_low.RULE, run)) is is_found


def test_the_path_is_the_same_for_twice_the_steps_of_half_the_rate():
    long = make_run(losses=np.repeat(SLOW, 2), weights=[Matrix(name="fc.weight", update=0.2 / 400)])
    assert math.isclose(Reading(path(0.2)).path, Reading(long).path)


def test_an_evaluation_loss_that_nothing_carries_over_to_is_a_plateau():
    assert asked(plateau.RULE, of_amounts([1.05] * 10))
    assert not asked(plateau.RULE, of_amounts([1.05] * 3))
    assert not asked(plateau.RULE, of_amounts(list(np.linspace(1.05, 0.95, 10))))
    assert not asked(plateau.RULE, of_amounts([0.8] * 10))


def climbing(*peaks: float, jumps: int = 4) -> list:
    """Losses that start low by chance, with peaks in the first steps and some jumps later."""
    losses = np.linspace(2.0, 0.7, 200)
    losses[0] = 1.0
    losses[1 : 1 + len(peaks)] = peaks
    losses[100 : 100 + 5 * jumps : 5] = 5.2
    return asked(rate_too_high.RULE, make_run(losses=losses, facts=[AMOUNTS], of_classes=False))


def test_a_rate_is_not_too_high_because_single_batches_are_hard_and_the_first_was_easy():
    assert not climbing(3.2)  # batches of amounts with a long tail
    assert climbing(3.2, 3.4, 3.1, 3.3, jumps=20)
    assert climbing(12.0, jumps=20)
    assert not climbing(3.2, 3.4, 3.1, 3.3)  # one sign alone


def written_over(update=0.2, norm=1.0, deviation=0.1, losses=FALLING, scale=1.0) -> list:
    """Ask about a training whose first updates are large, and the others as usual."""
    updates = np.array([update, *[0.01] * 9])
    norms = np.array([norm, *[1.0] * 9])
    fact = {"initial": Spread(count=64, mean=0.1, deviation=deviation)}
    weights = [Matrix(name=name, update=updates, norm=norms, fact=fact) for name in ("a", "b")]
    return asked(rate_too_high.RULE, make_run(weights=weights, losses=scale * losses))


def test_first_updates_that_write_the_weights_over_are_a_rate_too_high():
    (found,) = written_over()
    assert (found.severity, found.first_step) == ("warning", 1)
    assert "updates are large" in found.message
    (found,) = written_over(losses=np.geomspace(1.1, 1e-4, 200))
    assert found.severity == "note"  # all there is was learned
    assert not written_over(update=0.08)  # as the largest of healthy trainings
    assert not written_over(norm=0.2)  # small weights that grow
    assert not written_over(deviation=0.0)  # all weights equal: they have no size of their own


def test_the_negative_of_a_loss_falls_without_end_and_no_rate_is_at_fault():
    losses = -np.geomspace(1.0, 1e9, 200)
    losses[150:] = np.nan
    run = make_run(losses=losses, weights=[Matrix(name="a", update=0.5)])
    assert "negative" in asked(diverging.RULE, run)[0].message
    assert not asked(rate_too_high.RULE, run)
    assert "negative" in unjudged(rate_too_high.RULE, run)[0].reason


@pytest.mark.parametrize(
    ("passes", "update", "is_found"),
    [
        (np.geomspace(0.9, 0.6, 30), 0.2, True),  # by a hundredth and a half each
        (np.geomspace(0.9, 0.6, 30), 1.0, False),  # the weights have gone their way
        (np.geomspace(0.9, 0.85, 30), 0.2, False),
        ([*np.geomspace(0.9, 0.6, 29), 0.65], 0.2, False),
    ],
)
def test_many_passes_that_fall_a_little_each_are_a_fall(passes, update, is_found):
    losses = np.linspace(1.08, 0.8, 200)
    scores = [
        Score(int(200 * (at + 1) / 30), "evaluation", 500, loss) for at, loss in enumerate(passes)
    ]
    weights = [Matrix(name="fc.weight", update=update / 200)]
    run = make_run(losses=losses, scores=scores, weights=weights)
    assert bool(asked(rate_too_low.RULE, run)) is is_found


def batch_norm(shift: float = 0.1) -> list:
    norm = NormFacts(name="bn", momentum=0.1, passes=100, least_values=32, least_rows=32,
                     shift=shift, spread_ratio=1.0, channel_drift=0.1)  # fmt: skip
    rows = InputFacts(name="x", phase=Phase.TRAINING, batches=200, rows=6400, shape=(32, 5))
    return [norm, rows]


NOISE = np.random.default_rng(0).normal(size=600)
SORTED = 0.5 + 0.2 * np.sin(2 * np.pi * np.arange(600) / 30) + 0.02 * NOISE
SAME_ORDER = 0.5 + 0.2 * np.tile(NOISE[:30], 20) + 0.02 * NOISE


def test_losses_of_rows_in_order_come_in_waves():
    waves = waves_of(Reading(make_run(losses=SORTED)))
    assert waves is not None
    assert waves.steps == pytest.approx(30, abs=2)
    assert waves.is_smooth
    again = waves_of(Reading(make_run(losses=SAME_ORDER)))
    assert again is not None
    assert (again.steps, again.is_smooth) == (30, False)
    scaled = waves_of(Reading(make_run(losses=1e6 * SORTED)))
    assert scaled is not None
    assert scaled.size == pytest.approx(waves.size)


@pytest.mark.parametrize("seed", range(8))
def test_shuffled_losses_have_no_waves(seed):
    draw = np.random.default_rng(seed)
    course = 0.2 + np.exp(-np.arange(300) / 60)
    for losses in (course * (1 + 0.3 * draw.normal(size=300)), course):
        assert waves_of(Reading(make_run(losses=losses))) is None


def test_batch_norm_beneath_waves_is_told():
    found = only(asked(channel_drift.RULE, make_run(losses=SORTED, facts=batch_norm())))
    assert found.severity == "warning"
    assert not asked(channel_drift.RULE, make_run(losses=SORTED))  # without batch norm
    in_order = make_run(losses=SAME_ORDER, facts=batch_norm())
    assert not asked(channel_drift.RULE, in_order)  # the same order, of no likeness
    assert asked(channel_drift.RULE, make_run(losses=SAME_ORDER, facts=batch_norm(0.25)))


def test_gradients_that_adam_makes_up_for_are_told_by_the_least_ones():
    def network(first: float) -> list[Matrix]:
        sizes = [first, 3 * first, 0.05, 0.1]
        return [Matrix(name=f"{at}.weight", gradient=size) for at, size in enumerate(sizes)]

    assert asked(vanishing_gradient.RULE, make_run(weights=network(1e-5), losses=SLOW))
    assert not asked(vanishing_gradient.RULE, make_run(weights=network(1e-3), losses=SLOW))


def test_a_rate_that_jumps_later_has_not_faded_before():
    run = path(2.0, losses=STUCK)
    rates = np.full(200, 1e-4)
    rates[100:120] = 1.0
    object.__setattr__(run.curve, "rates", rates)
    assert not asked(rate_too_low.RULE, run)
    rates = np.full(200, 1e-6)
    rates[:40] = 1e-2
    object.__setattr__(run.curve, "rates", rates)
    assert asked(rate_too_low.RULE, run)


@pytest.mark.parametrize(
    ("first", "last", "losses", "is_found"),
    [
        (0.05, 1.0, SLOW, True),
        (0.05, 1.0, LEARNED, False),  # it did well
        (0.05, 0.3, SLOW, False),
        (1e-4, 0.2, SLOW, False),  # small weights at first, and usual ones at last
    ],
)
def test_a_weight_that_outgrows_the_others_is_told(first, last, losses, is_found):
    def matrix(name: str, before: float, after: float) -> Matrix:
        sizes = {
            what: Spread(count=64, mean=0.0, deviation=size)
            for what, size in (("initial", before), ("final", after))
        }
        return Matrix(name=name, fact={"shape": (1, 64), **sizes})

    weights = [matrix("a.weight", 0.1, 0.11), matrix("b.weight", 0.1, 0.12),
               matrix("out.weight", first, last)]  # fmt: skip
    found = asked(update_ratio.RULE, make_run(weights=weights, losses=losses))
    assert [each.where for each in found] == (["out.weight"] if is_found else [])


def test_what_a_strong_decay_shrank_is_no_measure():
    norm = np.linspace(1, 0.2, 10)
    weights = [
        Matrix(name="0.weight", norm=norm, gradient=0.1, update=0.3, fact={"weight_decay": 0.5}),
        Matrix(name="1.weight", norm=norm, gradient=1e-9, update=1e-9, fact={"weight_decay": 0.5}),
    ]
    run = make_run(weights=weights, losses=STUCK)
    assert "weight decay" in only(asked(plateau.RULE, run)).message
    for rule in (starved_layer.RULE, update_ratio.RULE):
        assert not asked(rule, run)
        assert unjudged(rule, run)
