"""What the loss would have been untreated, and what is said of it."""

import numpy as np
import pytest
from scipy import stats

from relume.remedies.live.course import BLOCK_STEPS, Course
from relume.remedies.live.forecast import judge_course, judge_measured, sentence_of


def blocks(first, last):
    return np.arange(first + (BLOCK_STEPS + 1) / 2, last, BLOCK_STEPS)


def test_blocks_are_means_of_their_steps():
    losses = np.random.default_rng(0).random(37)
    course = Course()
    for start in (0, 7, 20):  # told in parts of any length
        end = {0: 7, 7: 20, 20: 37}[start]
        course.note([(i + 1, float(losses[i]), 0.1, False) for i in range(start, end)])
    steps, means = course.between(5, 37)
    assert steps.tolist() == [8, 13, 18, 23, 28, 33]
    np.testing.assert_allclose(means, losses[5:35].reshape(-1, 5).mean(axis=1))


def test_a_block_of_numbers_that_are_not_finite_is_none():
    course = Course()
    losses = [1.0, float("nan"), 1.0, float("inf"), 1.0] + [float("nan")] * 4 + [1.0]
    course.note([(i + 1, loss, 0.1, False) for i, loss in enumerate(losses)])
    _, means = course.between(0, 10)
    assert means[0] == 1.0
    assert np.isnan(means[1])


def test_a_power_of_the_step_is_extended_exactly():
    before, after = blocks(50, 100), blocks(150, 200)
    found = judge_course(
        (before, 3 * before**-0.5), (after, 0.5 * 3 * after**-0.5), confidence=0.95
    ).verdict
    treated = np.exp(np.log(0.5 * 3 * after**-0.5).mean())
    assert found.treated == pytest.approx(treated)
    # The power law says twice the treated; the straight line in the step says less than that.
    y, x = np.log(3 * before**-0.5), before
    line = stats.linregress(x, y)
    straight = line.intercept + line.slope * after.mean() - np.log(treated)
    assert found.gain == pytest.approx(treated * np.expm1((np.log(2) + straight) / 2))


def test_the_interval_is_that_of_both_lines():
    rng = np.random.default_rng(1)
    before, after = blocks(50, 150), blocks(200, 250)
    losses, treated = np.exp(rng.normal(0, 0.1, len(before))), np.exp(rng.normal(0, 0.1, 10))
    bounds = []
    for x, later in ((np.log(before), np.log(after)), (before, after)):
        n, m = len(x), len(after)
        line = stats.linregress(x, np.log(losses))
        scatter = np.log(losses) - line.intercept - line.slope * x
        residual = (scatter**2).sum() / (n - 2)
        own = max(residual, np.log(treated).var(ddof=1)) / m
        of_slope = residual * (later.mean() - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
        half = stats.t.ppf(0.975, n - 2) * np.sqrt(residual / n + of_slope + own)
        gain = line.intercept + line.slope * later.mean() - np.log(treated).mean()
        bounds.append((gain - half, gain + half))
    base = np.exp(np.log(treated).mean())
    low, high = min(b[0] for b in bounds), max(b[1] for b in bounds)
    found = judge_course((before, losses), (after, treated), confidence=0.95).verdict
    assert found.interval == pytest.approx((base * np.expm1(low), base * np.expm1(high)))
    assert not found.is_kept


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_losses_below_zero_are_judged_too(shift):
    before, after = blocks(50, 100), blocks(150, 200)
    noise = 0.1 * np.cos(before)
    found = judge_course((before, noise), (after, noise - shift), confidence=0.95).verdict
    assert found.is_kept == (shift > 0)


def test_without_a_trend_only_a_measured_gain_is_kept():
    before, after = blocks(0, 15), blocks(50, 100)
    wavy = 2 + 0.01 * np.cos(after)
    better = judge_course((before, wavy[:3]), (after, wavy / 2), confidence=0.95)
    same = judge_course((before, wavy[:3]), (after, wavy), confidence=0.95)
    assert better.verdict.is_kept
    assert not same.verdict.is_kept
    assert "no trend can be told from 3 blocks" in sentence_of(better, "kept")


def test_numbers_after_none_are_a_gain_and_none_is_a_loss():
    before, after = blocks(50, 100), blocks(150, 200)
    nothing = np.full(10, np.nan)
    gained = judge_course((before, nothing), (after, np.ones(10)), confidence=0.95)
    lost = judge_course((before, np.ones(10)), (after, nothing), confidence=0.95)
    assert gained.verdict.is_kept
    assert not lost.verdict.is_kept
    assert "untreated it is no number" in sentence_of(gained, "kept")
    assert "was no number with it" in sentence_of(lost, "undone")


def test_measured_losses_are_compared_by_welchs_interval():
    rng = np.random.default_rng(2)
    untreated, treated = rng.normal(1, 0.1, 10), rng.normal(0.5, 0.2, 10)
    found = judge_measured(untreated, treated, confidence=0.95).verdict
    theirs = stats.ttest_ind(untreated, treated, equal_var=False).confidence_interval(0.95)
    assert found.gain == pytest.approx(untreated.mean() - treated.mean())
    assert found.interval[0] <= theirs.low  # fewer degrees of freedom: wider
    assert found.interval[1] >= theirs.high
    assert found.interval[0] == pytest.approx(theirs.low, abs=0.05)
    assert found.is_kept
