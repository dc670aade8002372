"""The points of the loss: from the fine curve where there is one, and what they hold is true."""

import math
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.report.curves import window_curves
from relume.runs.loss_curve import Curve
from relume.runs.query import read_run

FACTORY = runpy.run_path(str(Path(__file__).with_name("run_factory.py")))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(FACTORY["write_run"](tmp_path_factory.mktemp("curves") / "run.sqlite"))


def curve_of(losses, bucket_steps):
    values, none = np.array(losses, float), np.zeros(len(losses))
    return Curve(bucket_steps, values, values - 1, values + 1, none + 0.1, none.astype(np.int64))


lists = st.lists(st.integers(0, 100), min_size=1, max_size=200)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(lists, st.integers(1, 8), st.integers(1, 40))
def test_every_bucket_is_in_one_point_and_means_stay_means(losses, bucket_steps, most):
    last = len(losses) * bucket_steps
    given_run = SimpleNamespace(windows=(), curve=curve_of(losses, bucket_steps), last_step=last)
    points = window_curves(given_run, most)
    assert len(points.step) <= most
    count = -(-len(losses) // most)
    parts = [losses[at : at + count] for at in range(0, len(losses), count)]
    assert points.loss == pytest.approx([np.mean(part) for part in parts], rel=1e-3)
    assert points.loss_greatest == pytest.approx([max(part) + 1 for part in parts], rel=1e-3)
    assert 1 <= points.step[0] <= points.step[-1] <= last


def test_a_bucket_without_a_finite_loss_is_a_gap(run):
    points = window_curves(replace(run, windows=(), curve=curve_of([1.0, math.nan, 3.0], 1)), 300)
    assert points.loss[::2] == (1.0, 3.0)
    assert math.isnan(points.loss[1])


def test_windows_stand_in_where_there_is_no_curve(run):
    points = window_curves(replace(run, curve=Curve.empty()), 300)
    assert len(points.step) == len(run.windows)
