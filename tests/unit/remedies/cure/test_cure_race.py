"""Racing candidates on made-up curves: who is stopped, who wins, what it may cost."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import SettingsError
from relume.remedies.cure.budget import Budget, parse_budget
from relume.remedies.cure.gain import measure_gain, newcombe, student, wilson
from relume.remedies.cure.race import Rungs, best_of
from relume.remedies.cure.score import ScoreChoice

ACCURACY = ScoreChoice("accuracy", False, "")
LOSS = ScoreChoice("loss", True, "")


def race(final_scores, steps=100):
    """Run curves that rise linearly to their final scores; return those that came to their end."""
    rungs, finished = Rungs(steps), []
    for number, final in enumerate(final_scores):
        marks, seen = rungs.marks(), {}
        for step in rungs.at:
            seen[step] = final * step / steps
            if step in marks and seen[step] < marks[step]:
                break
        else:
            finished.append(number)
        rungs.add(seen)
    return finished


def test_losers_are_stopped_and_the_best_is_not():
    scores = [0.2, 0.9, 0.3, 0.1, 0.95, 0.5, 0.4, 0.97]
    finished = race(scores)
    assert finished == [0, 1, 2, 4, 7]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_whoever_is_best_so_far_always_finishes(scores):
    finished = race(scores)
    assert scores.index(max(scores)) in finished
    assert race(scores) == finished


def test_the_first_three_are_never_stopped_and_what_is_no_number_sets_no_mark():
    rungs = Rungs(8)
    assert rungs.at == (2, 4)
    for score in (math.nan, None, math.nan):
        rungs.add({2: score, 3: 1.0})
    assert rungs.marks() == {}
    rungs.add({2: math.nan})
    assert rungs.marks() == {}


def test_no_better_than_several_others_is_behind_where_one_is_better():
    rungs = Rungs(100)
    for score in (0.5, 0.5, 0.5):
        rungs.add({25: score})
    assert rungs.marks() == {25: 0.5}
    rungs.add({25: 0.9})
    assert 0.5 < rungs.marks()[25] < 0.5001


def test_a_run_of_one_step_has_no_rungs():
    assert Rungs(1).at == ()


def test_the_likelier_of_two_equals_wins():
    assert best_of([0.1, 0.899, 0.9], untreated=0.2) == 1
    assert best_of([0.1, 0.85, 0.9], untreated=0.2) == 2
    assert best_of([], untreated=0.2) is None
    assert best_of([-math.inf, 0.2], untreated=0.2) is None


def test_an_untreated_run_without_a_number_is_beaten_by_any_number():
    assert best_of([-math.inf, -3.0, 0.9], untreated=-math.inf) == 2
    assert best_of([-math.inf], untreated=-math.inf) is None


@pytest.mark.parametrize(("text", "runs"), [("24", 24), ("90s", 9), ("1.5m", 9), ("0.05h", 18)])
def test_budgets_are_runs_or_processor_time(text, runs):
    assert parse_budget(text).runs(untreated_cpu_s=10) == pytest.approx(runs)
    assert Budget(5).runs(100) == 5


@pytest.mark.parametrize("text", ["", "0", "-3", "ten", "5 days", "inf"])
def test_a_budget_that_is_none_is_told(text):
    with pytest.raises(SettingsError, match="--budget is a number of runs"):
        parse_budget(text)


def test_the_interval_of_the_gain_is_that_of_paired_differences():
    from scipy.stats import ttest_rel

    treated, untreated = [0.9, 0.85, 0.95, 0.91], [0.5, 0.55, 0.52, 0.49]
    gain = measure_gain(treated, untreated, ACCURACY)
    wanted = ttest_rel(treated, untreated).confidence_interval(0.95)
    assert (gain.low, gain.high) == pytest.approx((wanted.low, wanted.high))
    assert gain.is_proven
    assert not gain.is_harm
    assert measure_gain(treated, untreated, LOSS).is_harm


def test_runs_without_a_number_count_as_shares():
    gain = measure_gain([0.9, 0.8, 0.7], [math.nan, math.inf, math.nan], ACCURACY)
    assert gain.of_finished
    assert (gain.gain, gain.is_proven) == (1.0, True)
    assert not measure_gain([0.9, math.nan], [math.nan, math.nan], ACCURACY).is_proven


def test_shares_have_the_intervals_of_an_independent_implementation():
    from scipy.stats import binomtest

    for count, n in ((0, 3), (3, 3), (7, 20)):
        wanted = binomtest(count, n).proportion_ci(0.95, method="wilson")
        assert wilson(count, n) == pytest.approx((wanted.low, wanted.high))
    # Newcombe 1998, table II, method 10: examples (a) and (g)
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert newcombe(10, 10, 0, 20) == pytest.approx((1.0, 0.6791, 1.0), abs=1e-4)


def test_one_seed_has_no_interval():
    mean, low, high = student([0.3])
    assert mean == 0.3
    assert math.isnan(low)
    assert math.isnan(high)
    assert not measure_gain([0.9], [0.1], ACCURACY).is_proven
