import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from relume.runs.query import Run
from relume.runs.records import (
    Layer,
    LayerWindow,
    Lifetimes,
    Moments,
    RunInfo,
    UnitActivity,
    Window,
)
from relume.runs.summary import dormant_units, falling_trend, summarise_layers


def activity(fired, rows=1000):
    fired = np.asarray(fired, np.int64)
    nothing = np.zeros(len(fired))
    return UnitActivity(rows, rows, fired, nothing, nothing, 0, nothing)


def run_of(fired_by_window, *, examination=None, can_die=True, held_out_rows=0):
    fired_by_window = np.asarray(fired_by_window)
    units = fired_by_window.shape[1]
    windows = tuple(
        Window(i + 1, i + 1, 1, Moments(), 0.1, (LayerWindow(activity(fired)),))
        for i, fired in enumerate(fired_by_window)
    )
    layers = (Layer("a", "relu" if can_die else "tanh", units, can_die),)
    examined = (activity(examination, 300),) if examination is not None else ()
    return Run(None, RunInfo(), layers, windows, (), (), examined, held_out_rows)


def test_dead_units_are_those_silent_at_the_final_weights():
    run = run_of(np.full((3, 4), 10), examination=[0, 5, 300, 0], held_out_rows=60)
    (layer,) = summarise_layers(run)
    assert layer.dead_units == (0, 3)
    assert layer.rows == 300
    assert layer.at_final_weights
    assert layer.firing_rate == pytest.approx((5 + 300) / 300 / 4)
    assert layer.firing_probability_bound == pytest.approx(3 / 60)


def test_rows_that_fitted_the_weights_bound_nothing():
    (layer,) = summarise_layers(run_of([[1, 1]], examination=[0, 5]))
    assert layer.dead_units == (0,)
    assert layer.firing_probability_bound is None


def test_the_rule_of_three_is_just_above_the_exact_bound():
    """Silent on m rows: the exact 95 % bound solves (1 - p)^m = 0.05."""
    for rows in (5, 60, 359, 10_000):
        run = run_of([[1, 1]], examination=[0, 5], held_out_rows=rows)
        bound = summarise_layers(run)[0].firing_probability_bound
        exact = 1 - 0.05 ** (1 / rows)
        assert exact <= bound <= exact * 1.35


def test_during_training_the_count_is_a_description():
    (layer,) = summarise_layers(run_of([[1, 1], [0, 7]]))
    assert layer.dead_units == (0,)
    assert not layer.at_final_weights
    assert layer.firing_probability_bound is None
    assert layer.to_json()["firing_probability_bound"] is None


def test_an_activation_without_dead_side_has_no_dead_units():
    (layer,) = summarise_layers(run_of([[0, 0]], can_die=False))
    assert layer.dead_units is None
    assert layer.dying_units is None


def test_nothing_observed_makes_no_table():
    assert summarise_layers(Run(None, RunInfo(), (), (), (), (), ())) == ()


def test_dying_units_fall_and_are_nearly_silent():
    windows = np.array([[900, 500, 3, 500, 4]] * 20)
    windows[:, 0] = np.linspace(900, 1, 20)  # falls to nearly nothing
    windows[:, 1] = np.linspace(500, 300, 20)  # falls, but fires often
    (layer,) = summarise_layers(run_of(windows, examination=[1, 100, 1, 150, 1]))
    assert layer.dying_units == (0,)


def test_steady_sparse_units_are_not_dying():
    rng = np.random.default_rng(0)
    windows = rng.poisson(3, size=(20, 500))
    examined = np.maximum(1, rng.poisson(1, 500))
    (layer,) = summarise_layers(run_of(windows, examination=examined))
    assert len(layer.dying_units) <= 2


def test_too_few_windows_say_nothing_of_dying():
    (layer,) = summarise_layers(run_of(np.ones((5, 2)), examination=[1, 1]))
    assert layer.dying_units is None


def test_the_trend_agrees_with_kendall():
    rng = np.random.default_rng(0)
    for ties in (False, True):
        rates = rng.normal(size=(25, 40)) - np.linspace(0, 2, 25)[:, None] * rng.random(40)
        rates = np.round(rates, 1) if ties else rates
        ours = falling_trend(rates)
        for unit in range(40):
            test = kendalltau(
                np.arange(25), rates[:, unit], alternative="less", method="asymptotic"
            )
            if test.statistic < 0:
                # Ours corrects for continuity, so that it is the more careful one.
                assert test.pvalue <= ours[unit] <= test.pvalue + 0.02
            else:
                assert ours[unit] == 1.0


def watched(fired, cuts, *, saturates=False, rows=100):
    """A watched run of one layer, every step armed, its windows ending after ``cuts``."""
    steps, units = fired.shape
    bounds = [0, *(cut for cut in cuts if 0 < cut < steps), steps]
    life = Lifetimes.unseen(units)
    for step, counts in enumerate(fired, start=1):
        life = life.after(step, counts, rows)
    windows = tuple(
        Window(
            first + 1, last, last - first, Moments(), 0.1,
            (LayerWindow(activity(fired[first:last].sum(0), rows * (last - first))),),
        )
        for first, last in itertools.pairwise(bounds)
    )  # fmt: skip
    layer = Layer("a", "tanh" if saturates else "relu", units, not saturates, None, "a.py:3",
                  saturates)  # fmt: skip
    return Run(None, RunInfo(kind="watch"), (layer,), windows, (), (life,), ())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 40), st.integers(0, 99), st.lists(st.integers(1, 39), unique=True).map(sorted),
    st.booleans(),
)  # fmt: skip
def test_in_a_watched_run_silence_is_that_of_the_last_rows_however_windows_merged(
    steps, seed, cuts, saturates
):
    rng = np.random.default_rng(seed)
    fired = rng.binomial(3, rng.choice([0.0, 0.03, 0.3, 1.0], 12), (steps, 12))
    fired *= np.arange(steps)[:, None] < rng.integers(1, steps + 1, 12)
    run = watched(fired, cuts, saturates=saturates)
    (layer,) = summarise_layers(run)
    needed = min(10, steps)  # steps of 100 rows each
    silent = tuple(
        unit for unit in range(12) if all(fired[step, unit] == 0 for step in range(steps)[-needed:])
    )
    assert layer.rows == 100 * needed
    assert layer.place == "a.py:3"
    assert (layer.saturated_units if saturates else layer.dead_units) == silent
    assert (layer.dead_units if saturates else layer.saturated_units) is None
    assert layer.dormant_units is None
    assert layer.idle_units == silent


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 999))
def test_dormant_units_are_those_with_hardly_any_output(units, values, seed):
    rng = np.random.default_rng(seed)
    output = rng.normal(size=(values, units)) * rng.choice([0.0, 1e-3, 0.02, 0.03, 1.0, 3.0], units)
    sizes = [math.sqrt(sum(x * x for x in column) / values) for column in output.T.tolist()]
    expected = [
        unit for unit, size in enumerate(sizes) if size <= 0.025 * math.fsum(sizes) / len(sizes)
    ]
    nothing = np.zeros(units)
    seen = UnitActivity(
        values, values, (output > 0).sum(0), output.sum(0), (output**2).sum(0), 0, nothing
    )
    layer = Layer("a", "gelu", units, can_die=False)
    run = Run(None, RunInfo(kind="watch"), (layer,), (
        Window(1, 1, 1, Moments(), 0.1, (LayerWindow(seen),)),
    ), (), (), ())  # fmt: skip
    (summary,) = summarise_layers(run)
    assert list(summary.dormant_units) == expected
    assert (summary.dead_units, summary.saturated_units) == (None, None)


def test_of_a_layer_that_overflowed_no_unit_is_called_dormant():
    for bad in (np.inf, np.nan):
        seen = activity([1, 1, 1])
        seen = replace(seen, total_square=np.array([0.0, 1.0, bad]))
        assert dormant_units(seen) == ()


def test_a_watched_unit_that_fired_often_is_silent_on_fewer_rows():
    """Of 1,000 rows they fired on 500, 20, 500, 800, and on none of the last silent_rows."""
    fired = np.array([500, 20, 500, 800])
    silent_rows = np.array([300, 300, 100, 0])
    run = replace(
        run_of([fired]),
        info=RunInfo(kind="watch"),
        lifetimes=(Lifetimes(np.array([5, 5, 8, 9]), np.array([6, 6, 9, -1]), silent_rows),),
    )
    (layer,) = summarise_layers(run)
    missed = fired / (1000 - silent_rows) * silent_rows
    expected = np.flatnonzero((silent_rows >= 256) & (missed >= 100))
    assert layer.dead_units == tuple(expected) == (0,)
    assert layer.rows == 300
