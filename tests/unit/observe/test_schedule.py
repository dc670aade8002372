import math

import numpy as np
import pytest

from relume.observe.schedule import (
    FIRST_LOOKS,
    FIRST_STEPS,
    LOOK_EVERY,
    LOOK_SELDOM,
    PLANNED,
    Budget,
    FixedPlan,
    every,
)


def test_the_first_steps_and_every_tenth_are_armed():
    armed = every(10)
    assert [step for step in range(1, 41) if armed(step)] == [*range(1, 9), 10, 20, 30, 40]


def test_a_period_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        every(0)


def simulate(plain_s, own_s, *, steps=4000, share=0.01, **settings):
    """Return the armed steps, the share that watching took, and the budget itself."""
    budget = Budget(share, **settings)
    armed, spent_s, worked_s = [], 0.0, 0.0
    noise = np.random.default_rng(0)
    for step in range(1, steps + 1):
        is_armed = budget.is_armed(step)
        duration_s = plain_s * noise.uniform(0.9, 1.3)
        worked_s += duration_s
        if is_armed:
            armed.append(step)
            spent_s += own_s
            duration_s += own_s
        budget.note(duration_s, 0.3 * own_s if is_armed else 0.0, was_armed=is_armed)
    return armed, spent_s / worked_s, budget


def test_the_first_eight_steps_are_armed():
    armed, _, _ = simulate(1e-3, 1e-3)
    assert armed[:8] == list(range(1, 9))


@pytest.mark.parametrize("relative", [0.02, 0.07, 0.15, 0.3])
def test_watching_keeps_to_its_budget(relative):
    armed, share, budget = simulate(1e-3, relative * 1e-3)
    first = 8 * relative / 4000
    assert share <= 0.01 + first
    assert len(armed) >= 4000 / 64
    assert budget.cost_s == pytest.approx(relative * 1e-3, abs=2e-4)
    assert budget.plain_s == pytest.approx(1.1e-3, rel=0.1)


def test_gaps_stay_bounded_whatever_a_step_costs():
    armed, _, budget = simulate(1e-4, 1e-1)
    assert budget.period == 64
    gaps = np.diff(armed)
    assert gaps.max() <= 96
    assert np.mean(gaps[20:]) == pytest.approx(64, rel=0.1)
    assert len(set(gaps[20:])) > 10  # they keep time with nothing


def test_what_costs_nothing_is_armed_often():
    armed, _, _ = simulate(1.0, 1e-9)
    assert len(armed) > 500


def test_a_cheaper_training_is_armed_more_often_later():
    budget = Budget(0.01)
    for step in range(1, 2001):
        own_s = 0.5e-3 if step < 1000 else 0.02e-3
        is_armed = budget.is_armed(step)
        budget.note(1e-3 + own_s * is_armed, 0.0, was_armed=is_armed)
        if step == 999:
            early = budget.period
    assert early == 64
    assert budget.period < 10


def test_costs_are_unknown_before_both_kinds_of_step_were_seen():
    budget = Budget(0.01)
    assert math.isnan(budget.cost_s)
    assert math.isnan(budget.plain_s)
    budget.note(1.0, 0.5, was_armed=True)
    assert math.isnan(budget.cost_s)


def test_a_step_that_takes_no_time_is_no_reason_to_arm_all():
    budget = Budget(0.01)
    for step in range(1, 200):
        budget.note(0.0, 0.0, was_armed=budget.is_armed(step))
    assert budget.period == 64


def test_on_a_budget_everything_is_looked_at_first_and_then_on_every_fourth_armed_step():
    plan = Budget(1e9)  # affords every step
    looks = []
    for step in range(1, 400):
        if plan.is_armed(step):
            looks.append(plan.is_look)
        plan.note(1.0, 0.0, was_armed=looks[-1:] == [True])
    assert all(looks[: FIRST_STEPS + FIRST_LOOKS])
    later = looks[FIRST_STEPS + FIRST_LOOKS :]
    assert later[LOOK_EVERY - 1 :: LOOK_EVERY] == [True] * (len(later) // LOOK_EVERY)
    assert sum(later) == len(later) // LOOK_EVERY


def looked_at(*, plain_s: float) -> tuple[Budget, float]:
    """Return a plan after long use, and the share of the armed steps that were looked at."""
    plan, looks = Budget(0.01), []
    for step in range(1, 40_000):
        is_armed = plan.is_armed(step)
        if is_armed:
            looks.append(plan.is_look)
        more_s = (0.9e-3 if plan.is_look else 0.1e-3) if is_armed else 0.0
        plan.note(plain_s + more_s, 0.0, was_armed=is_armed)
    return plan, sum(looks[-160:]) / 160


def test_what_a_step_costs_is_weighted_by_how_many_are_looked_at():
    plan, looks = looked_at(plain_s=2e-3)
    assert looks == pytest.approx(1 / LOOK_EVERY, abs=0.01)
    assert plan.cost_s == pytest.approx(0.3e-3, rel=0.1)
    assert plan.period == math.ceil(0.3e-3 / (PLANNED * 0.01 * 2e-3))


def test_steps_too_short_for_the_budget_are_looked_at_more_seldom():
    plan, looks = looked_at(plain_s=1e-3)
    assert looks == pytest.approx(1 / LOOK_SELDOM, abs=0.01)
    assert plan.cost_s == pytest.approx(0.2e-3, rel=0.15)
    assert plan.period == 64


def test_a_fixed_period_looks_at_everything_on_every_armed_step():
    assert FixedPlan(3).is_look
