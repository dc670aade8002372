"""The loss that is drawn is the one that was recorded."""

from dataclasses import replace

import numpy as np
import pytest

from relume.report.loss_curves import MOST_CURVE_POINTS, loss_curves
from relume.runs.loss_curve import Curve
from relume.runs.records import Moments, RunInfo


def with_curve(run, losses, kind="watch", windows=None):
    losses = np.asarray(losses, float)
    steps = -(-run.last_step // len(losses))
    rates = np.linspace(1, 2, len(losses))
    zeros = np.zeros(len(losses), np.int64)
    curve = Curve(steps, losses, losses - 1, losses + 1, rates, zeros)
    windows = run.windows if windows is None else windows
    return replace(run, info=RunInfo(kind=kind), curve=curve, windows=windows)


def test_a_curve_that_tells_more_is_drawn(digits_run):
    losses = np.arange(100.0)
    curves = loss_curves(with_curve(digits_run, losses))
    assert curves.loss == pytest.approx(losses)
    assert curves.loss_least == pytest.approx(losses - 1)
    assert curves.loss_greatest == pytest.approx(losses + 1)
    assert curves.step == pytest.approx(2 + 3 * np.arange(100.0))
    assert (curves.learning_rate[0], curves.learning_rate[-1]) == (1, 2)


def test_of_too_many_buckets_neighbours_go_together(digits_run):
    losses = np.tile([1.0, 3.0], 256)
    curves = loss_curves(with_curve(digits_run, losses))
    assert len(curves.step) == 256 <= MOST_CURVE_POINTS
    assert set(curves.loss) == {2.0}
    assert set(curves.loss_least) == {0.0}
    assert set(curves.loss_greatest) == {4.0}
    assert max(curves.step) <= digits_run.last_step


def test_one_loss_that_is_no_number_hides_no_others(digits_run):
    nan = Moments.of(float("nan"))
    windows = tuple(replace(window, loss=nan) for window in digits_run.windows)
    losses = [2.0, 1.0, np.nan, np.nan]
    curves = loss_curves(with_curve(digits_run, losses, windows=windows))
    assert curves.loss == pytest.approx(losses, nan_ok=True)


@pytest.mark.parametrize(("kind", "count"), [("watch", 5), ("fit", 200)])
def test_windows_are_drawn_where_they_tell_as_much_and_for_a_fit(digits_run, kind, count):
    curves = loss_curves(with_curve(digits_run, np.ones(count), kind))
    assert curves == loss_curves(digits_run)
