"""A run split over processes, each with a file of its own, is the run when it is read."""

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.runs.records import (
    NEVER,
    Cause,
    Deaths,
    Layer,
    LayerWindow,
    Lifetimes,
    Metric,
    Moments,
    RunInfo,
    UnitActivity,
    Unobserved,
    Window,
)
from relume.runs.run_file import Run
from relume.runs.shards import merge_deaths, merge_lifetimes, merge_shards

LAYERS = (Layer("a", "relu", 4, True), Layer("b", "tanh", 2, False))
ROWS = 6
quick = settings(max_examples=40, deadline=None, derandomize=True)


class Process:
    """What one process of a training saw: counts of each armed step, layer by layer."""

    def __init__(self, fired, losses):
        self.fired, self.losses = fired, losses  # steps × units of each layer; steps

    def run(self, cuts):
        """Its run, with windows that end after the steps in ``cuts``."""
        steps = len(self.losses)
        bounds = [0, *sorted({cut for cut in cuts if 0 < cut < steps}), steps]
        spans = itertools.pairwise(bounds)
        lives = [Lifetimes.unseen(layer.units) for layer in LAYERS]
        for step in range(steps):
            lives = [
                life.after(step + 1, fired[step], ROWS)
                for life, fired in zip(lives, self.fired, strict=True)
            ]
        windows = tuple(
            Window(
                first + 1, last, last - first,
                sum(map(Moments.of, self.losses[first:last]), Moments()), 0.1,
                tuple(self.layer(fired[first:last], first) for fired in self.fired),
            )
            for first, last in spans
        )  # fmt: skip
        return Run(
            Path("run.sqlite"), RunInfo(status="finished"), LAYERS, windows, (), tuple(lives), (),
            unobserved=(Unobserved("lstm", "a.py:1", steps),),
        )  # fmt: skip

    def layer(self, fired, first):
        rows, total = ROWS * len(fired), fired.sum(0)
        sums = total.astype(np.float64)
        seen = UnitActivity(rows, rows, total, sums, 2 * sums, rows, 3 * sums)
        return LayerWindow(seen, Moments.of(float(first)), Moments.of(1.0), Moments.of(2.0))


def processes(count, steps, seed):
    rng = np.random.default_rng(seed)
    rates = [rng.choice([0.0, 0.02, 0.1, 0.5], layer.units) for layer in LAYERS]
    until = [rng.integers(1, steps + 1, layer.units) for layer in LAYERS]
    return [
        Process(
            [
                rng.binomial(ROWS, rate, (steps, len(rate)))
                * (np.arange(steps)[:, None] < last)
                for rate, last in zip(rates, until, strict=True)
            ],
            rng.integers(0, 99, steps).astype(float).tolist(),
        )
        for _ in range(count)
    ]  # fmt: skip


@quick
@given(
    st.integers(1, 5), st.integers(1, 30), st.integers(0, 999), st.sets(st.integers(1, 30)),
    st.sets(st.integers(1, 30)),
)  # fmt: skip
def test_merging_the_shards_gives_the_run(count, steps, seed, cuts, further_cuts):
    parts = processes(count, steps, seed)
    # Other processes may write shorter windows, as long as theirs fit into those of the first.
    finer = cuts | further_cuts
    merged = merge_shards([part.run(finer if at else cuts) for at, part in enumerate(parts)])
    bounds = [0, *sorted(cut for cut in cuts if cut < steps), steps]
    assert merged.shards == count
    assert [(w.first_step, w.last_step) for w in merged.windows] == [
        (first + 1, last) for first, last in itertools.pairwise(bounds)
    ]
    for window in merged.windows:
        span = slice(window.first_step - 1, window.last_step)
        losses = [loss for part in parts for loss in part.losses[span]]
        assert window.armed_steps == len(losses)
        loss = window.loss
        assert (loss.count, loss.total) == (len(losses), sum(losses))
        assert (loss.least, loss.greatest) == (min(losses), max(losses))
        for index, layer in enumerate(window.layers):
            fired = sum(part.fired[index][span].sum(0) for part in parts)
            assert layer.activity.fired.tolist() == fired.tolist()
            assert layer.activity.rows == ROWS * len(losses)
            assert layer.activity.absolute_gradient.tolist() == (3 * fired).tolist()
    for index, life in enumerate(merged.lifetimes):
        together = sum(part.fired[index] for part in parts)
        for unit, course in enumerate(together.T):
            fires = np.flatnonzero(course)
            last = int(fires[-1]) + 1 if len(fires) else NEVER
            silent_since = NEVER if last == steps else (1 if last == NEVER else last + 1)
            assert (life.last_fired[unit], life.first_silent[unit]) == (last, silent_since)
            silent_rows = 0 if last == steps else (steps - max(last, 0)) * ROWS * count
            assert life.silent_rows[unit] >= silent_rows
            assert (life.silent_rows[unit] == 0) == (silent_rows == 0)
    assert merged.unobserved == (Unobserved("lstm", "a.py:1", steps * count),)


@quick
@given(st.integers(1, 20), st.integers(0, 999))
def test_merging_knows_no_order(steps, seed):
    a, b, c = (part.run(()).lifetimes[0] for part in processes(3, steps, seed))
    for one, other in (
        (merge_lifetimes(a, b), merge_lifetimes(b, a)),
        (
            merge_lifetimes(merge_lifetimes(a, b), c),
            merge_lifetimes(a, merge_lifetimes(b, c)),
        ),
        (merge_lifetimes(a, Lifetimes.unseen(4)), a),
    ):
        for name in ("last_fired", "first_silent", "silent_rows"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def deaths(*units):
    last_fired, first_silent, row_change, cause = zip(*units, strict=True)
    arrays = (np.array(last_fired), np.array(first_silent), np.array(row_change, float))
    return Deaths(*arrays, np.array(cause, np.int8))


def test_the_process_that_saw_a_unit_last_tells_why_it_died():
    unseen = (NEVER, NEVER, np.nan, Cause.UNKNOWN)
    one = deaths(
        (10, 20, 8.0, Cause.LARGE_UPDATE), (10, 20, 1.0, Cause.RATE_STEP),
        (30, NEVER, np.nan, Cause.ALIVE), (10, 20, 1.0, Cause.UNKNOWN), unseen,
    )  # fmt: skip
    other = deaths(
        (5, 10, 1.0, Cause.UNKNOWN), (30, 40, 2.0, Cause.INPUT_DRIFT),
        (10, 20, 9.0, Cause.LARGE_UPDATE), (10, 20, 3.0, Cause.GRADIENT_SPIKE),
        (NEVER, 1, np.nan, Cause.FROM_START),
    )  # fmt: skip
    for merged in (merge_deaths(one, other), merge_deaths(other, one)):
        assert merged.cause.tolist() == [
            Cause.LARGE_UPDATE, Cause.INPUT_DRIFT, Cause.ALIVE, Cause.GRADIENT_SPIKE,
            Cause.FROM_START,
        ]  # fmt: skip
        assert merged.last_fired.tolist() == [10, 30, 30, 10, NEVER]
        assert merged.first_silent.tolist() == [20, 40, NEVER, 20, 1]
        assert merged.row_change[[0, 1, 3]].tolist() == [8.0, 2.0, 3.0]
        assert np.isnan(merged.row_change[[2, 4]]).all()


def test_layers_met_in_another_order_are_the_same_layers():
    first, second = (part.run(()) for part in processes(2, 5, seed=0))
    turned = replace(
        second,
        layers=second.layers[::-1],
        lifetimes=second.lifetimes[::-1],
        windows=tuple(replace(each, layers=each.layers[::-1]) for each in second.windows),
    )
    merged, expected = merge_shards([first, turned]), merge_shards([first, second])
    assert merged.layers == LAYERS
    for got, put in zip(merged.windows, expected.windows, strict=True):
        for a, b in zip(got.layers, put.layers, strict=True):
            assert a.activity.fired.tolist() == b.activity.fired.tolist()


def test_a_shard_that_ran_longer_goes_into_the_last_bucket():
    short, long = processes(1, 4, seed=0)[0].run({2}), processes(1, 9, seed=1)[0].run({2, 6})
    merged = merge_shards([short, long])
    assert [(w.first_step, w.last_step) for w in merged.windows] == [(1, 2), (3, 9)]
    assert Counter(w.armed_steps for w in merged.windows) == Counter([4, 9])


def test_of_several_processes_the_worst_ending_counts():
    run = processes(1, 3, seed=0)[0].run(())
    runs = [replace(run, info=RunInfo(status=status)) for status in ("finished", "interrupted")]
    assert merge_shards(runs).info.status == "interrupted"
    runs.append(replace(run, info=RunInfo(status="failed")))
    assert merge_shards(runs).info.status == "failed"
    assert merge_shards(runs[:1]).info.status == "finished"
    idle = replace(run, layers=(), windows=(), lifetimes=(), info=RunInfo(status="running"))
    assert merge_shards([idle, runs[0]]).info.status == "finished"
    assert merge_shards([replace(idle, info=RunInfo(status="failed")), runs[0]]).info.status == (
        "failed"
    )


def test_a_score_is_told_by_the_first_process_that_has_it():
    run = processes(1, 3, seed=0)[0].run(())
    first = replace(run, metrics=(Metric("a", 1, 0.5), Metric("a", 2, 0.6)))
    second = replace(run, metrics=(Metric("a", 1, 0.1), Metric("b", 1, 0.2)))
    assert merge_shards([first, second]).metrics == (*first.metrics, Metric("b", 1, 0.2))
