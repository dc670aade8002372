"""The rules on batch norm, on records made by hand."""

import math

import numpy as np
import pytest

from relume.diagnosis.norms import evaluation_gap, excess_shift
from relume.diagnosis.reading import Reading
from relume.diagnosis.rules import channel_drift, tiny_batches, train_eval_gap
from relume.runs.facts import InputFacts, NormFacts, Phase
from relume.runs.records import Score
from tests.unit.diagnosis.hand_made import FALLING, STUCK, asked, make_run, unjudged


def norm(**changed: object) -> NormFacts:
    usual = {"name": "bn", "momentum": 0.1, "passes": 100, "least_values": 64, "least_rows": 64,
             "shift": 0.1, "spread_ratio": 1.0, "channel_drift": 0.8}  # fmt: skip
    return NormFacts(**(usual | changed))


def batches(rows: int) -> InputFacts:
    return InputFacts(name="x", phase=Phase.TRAINING, batches=100, rows=100 * rows, shape=(rows, 5))


def scores(times: float, *, losses: np.ndarray = FALLING) -> list[Score]:
    return [
        Score(step, Phase.EVALUATION, 200, times * float(losses[step - 1]))
        for step in range(20, 201, 20)
    ]


def run_with(fact: NormFacts, *, times: float = 3.0, rows: int = 64, losses=FALLING):
    return make_run(facts=[fact, batches(rows)], scores=scores(times), losses=losses)


def only(findings):
    (finding,) = findings
    return finding


def test_the_gap_is_that_of_the_losses_about_the_same_steps():
    run = run_with(norm())
    window = FALLING[[range(step - 10, step) for step in range(120, 201, 20)]]
    after = 3.0 * FALLING[np.arange(119, 200, 20)]
    expected = np.median(after / np.median(window, axis=1))
    assert math.isclose(evaluation_gap(Reading(run)), expected)
    assert evaluation_gap(Reading(run_with(norm(), times=1.2))) == 1.0
    assert math.isnan(evaluation_gap(Reading(make_run())))


@pytest.mark.parametrize(
    ("fact", "times", "is_found"),
    [
        (norm(shift=2.0), 3.0, True),
        (norm(spread_ratio=0.2), 3.0, True),
        (norm(spread_ratio=5.0), 3.0, True),
        (norm(shift=2.0), 1.1, False),
        (norm(), 3.0, False),  # over-fitting
        (norm(shift=0.45), 3.0, True),
        (norm(shift=0.6, channel_drift=2.0), 3.0, False),  # running means follow what moves
        (norm(shift=0.6, least_rows=2), 3.0, False),  # noise of two rows
        (norm(shift=2.0, tracks=False), 3.0, False),
        (norm(shift=2.0, passes=0), 3.0, False),
    ],
)
def test_the_gap_needs_running_statistics_that_are_off(fact, times, is_found):
    found = asked(train_eval_gap.RULE, run_with(fact, times=times))
    assert bool(found) == is_found
    if found:
        assert found[0].severity == "warning"
        assert found[0].first_step == 20


def test_a_small_momentum_is_named_as_the_cause():
    fact = norm(shift=2.0, momentum=0.002)
    assert "500 steps" in only(asked(train_eval_gap.RULE, run_with(fact))).cause


def test_the_gap_is_not_judged_without_an_evaluation_unless_statistics_cannot_follow():
    assert unjudged(train_eval_gap.RULE, make_run(facts=[norm()]))
    assert not asked(train_eval_gap.RULE, make_run(facts=[norm(shift=2.0)]))
    slow = norm(momentum=0.002, spread_ratio=0.2, channel_drift=math.nan)
    assert only(asked(train_eval_gap.RULE, make_run(facts=[slow]))).severity == "warning"
    followed = norm(momentum=0.01, spread_ratio=0.2, channel_drift=math.nan)
    assert not asked(train_eval_gap.RULE, make_run(facts=[followed]))  # within 100 of 200 steps
    assert not unjudged(train_eval_gap.RULE, make_run())


def test_the_error_of_a_mean_is_taken_off_the_shift():
    generator = np.random.default_rng(0)
    means = np.abs(generator.standard_normal((200_000, 4)).mean(axis=1)).mean()
    assert math.isclose(means, 1.0 - excess_shift(norm(shift=1.0, least_rows=4)), rel_tol=0.01)


@pytest.mark.parametrize(
    ("rows", "values", "losses", "expected"),
    [
        (3, 3, FALLING, "warning"),
        (3, 300, FALLING, "warning"),  # of a row, values resemble each other
        (3, 300, STUCK, "warning"),
        (6, 6, FALLING, "note"),
        (8, 8, FALLING, None),
        (64, 64, STUCK, None),
    ],
)
def test_tiny_batches(rows, values, losses, expected):
    fact = norm(least_rows=rows, least_values=values)
    found = asked(tiny_batches.RULE, run_with(fact, rows=rows, losses=losses))
    assert [each.severity for each in found] == ([expected] if expected else [])
    if found:
        assert found[0].evidence["rows"] == rows


def test_a_short_last_batch_is_a_note():
    fact = norm(least_rows=2, least_values=2)
    found = only(asked(tiny_batches.RULE, run_with(fact, rows=64)))
    assert found.severity == "note"
    assert "drop_last" in found.remedies[0].text
    assert unjudged(tiny_batches.RULE, make_run(facts=[fact]))


@pytest.mark.parametrize(
    ("fact", "times", "expected"),
    [
        (norm(shift=1.5, channel_drift=4.0), 3.0, "warning"),
        (norm(shift=1.5, channel_drift=4.0), 1.0, "note"),
        (norm(shift=0.2, channel_drift=40.0), 3.0, None),  # it moved, and has settled
        (norm(shift=0.4, channel_drift=0.1), 3.0, "warning"),  # they stay, and batches differ
        (norm(shift=0.4, channel_drift=0.1), 1.0, "note"),
        (norm(shift=0.4, channel_drift=4.0), 3.0, None),
        (norm(shift=1.5, channel_drift=0.1, momentum=0.001), 3.0, None),
        (norm(shift=1.0, channel_drift=4.0, least_rows=1), 3.0, None),
    ],
)
def test_channels_that_still_move(fact, times, expected):
    found = asked(channel_drift.RULE, run_with(fact, times=times))
    assert [each.severity for each in found] == ([expected] if expected else [])


def test_moving_channels_are_a_warning_where_no_evaluation_can_tell():
    run = make_run(facts=[norm(shift=0.6), batches(64)])
    assert only(asked(channel_drift.RULE, run)).severity == "warning"


def test_the_first_passes_are_not_judged():
    fact = norm(passes=10, shift=3.0, channel_drift=5.0)
    assert unjudged(channel_drift.RULE, run_with(fact))
    assert not asked(channel_drift.RULE, run_with(fact))
