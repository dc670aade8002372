"""The loss and the learning rate over the steps, as they are drawn."""

from collections.abc import Callable, Sequence

import numpy as np

from relume.report.layers import short_number
from relume.report.parts import WindowCurves
from relume.report.timeline import added, group_windows, steps_of
from relume.runs.query import Run
from relume.runs.records import Sums, Window
from relume.runs.summary import WATCH

MOST_CURVE_POINTS = 300


def loss_curves(run: Run) -> WindowCurves:
    """Return the loss of a run: by its windows, or by its curve where that tells more.

    A watched training may have few windows, and one loss that is no number hides all others of its
    window; its curve has up to 512 buckets, from which such losses are left out.
    """
    windows = _by_windows(run.windows)
    told = sum(np.isfinite(windows.loss))
    if run.info.kind != WATCH or np.isfinite(run.curve.losses).sum() <= told:
        return windows
    return _by_curve(run)


def _by_windows(windows: Sequence[Window]) -> WindowCurves:
    groups = group_windows(windows, MOST_CURVE_POINTS)
    spans = [steps_of(windows, group) for group in groups]
    losses = [added([windows[i].loss for i in group]) for group in groups]
    return WindowCurves(
        step=tuple((first + last) / 2 for first, last in spans),
        loss=tuple(short_number(loss.mean) for loss in losses),
        loss_least=tuple(short_number(loss.least) for loss in losses),
        loss_greatest=tuple(short_number(loss.greatest) for loss in losses),
        learning_rate=tuple(short_number(windows[group[-1]].learning_rate) for group in groups),
    )


def _by_curve(run: Run) -> WindowCurves:
    curve = run.curve
    buckets = len(curve.losses)
    together = -(-buckets // MOST_CURVE_POINTS)
    starts = np.arange(0, buckets, together)
    ends = np.minimum(starts + together, buckets)
    last = np.minimum(ends * curve.bucket_steps, max(1, run.last_step))
    first = np.minimum(starts * curve.bucket_steps + 1, last)

    def grouped(values: Sums, summary: Callable[[Sums], float]) -> tuple[float, ...]:
        parts = (values[start:end] for start, end in zip(starts, ends, strict=True))
        known = (part[np.isfinite(part)] for part in parts)
        return tuple(short_number(summary(part)) if len(part) else np.nan for part in known)

    return WindowCurves(
        step=tuple(((first + last) / 2).tolist()),
        loss=grouped(curve.losses, np.mean),
        loss_least=grouped(curve.least, np.min),
        loss_greatest=grouped(curve.greatest, np.max),
        learning_rate=grouped(curve.rates, lambda rates: rates[-1]),
    )
