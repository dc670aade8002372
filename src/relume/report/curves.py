"""Loss and learning rate over the steps: from the fine curve of a run, else from its windows."""

from collections.abc import Callable
from math import nan

import numpy as np

from relume.report.layers import short_number
from relume.report.parts import WindowCurves
from relume.report.timeline import added, group_windows, steps_of
from relume.runs.loss_curve import Curve
from relume.runs.query import Run
from relume.runs.records import Sums


def window_curves(run: Run, most: int) -> WindowCurves:
    """Return at most ``most`` points; those of the curve where it has more of them than windows.

    Args:
        run: The records.
        most: Most points.
    """
    if np.isfinite(run.curve.losses).sum() > min(len(run.windows), most):
        return _of_curve(run.curve, run.last_step, most)
    groups = group_windows(run.windows, most)
    spans = [steps_of(run.windows, group) for group in groups]
    losses = [added([run.windows[i].loss for i in group]) for group in groups]
    rates = [run.windows[group[-1]].learning_rate for group in groups]
    return WindowCurves(
        step=tuple((first + last) / 2 for first, last in spans),
        loss=tuple(short_number(loss.mean) for loss in losses),
        loss_least=tuple(short_number(loss.least) for loss in losses),
        loss_greatest=tuple(short_number(loss.greatest) for loss in losses),
        learning_rate=tuple(map(short_number, rates)),
    )


def _of_curve(curve: Curve, last_step: int, most: int) -> WindowCurves:
    """Return the buckets of a curve, as many together as must be; all hold equally many steps."""
    count = -(-len(curve.losses) // most)
    first = np.arange(0, len(curve.losses), count) * curve.bucket_steps + 1
    last = np.minimum(first + count * curve.bucket_steps - 1, last_step)

    def reduced(values: Sums, reduce: Callable[[Sums], float]) -> tuple[float, ...]:
        groups = (values[at : at + count] for at in range(0, len(values), count))
        known = (group[np.isfinite(group)] for group in groups)
        return tuple(short_number(float(reduce(each))) if len(each) else nan for each in known)

    return WindowCurves(
        step=tuple(((first + last) / 2).tolist()),
        loss=reduced(curve.losses, np.mean),
        loss_least=reduced(curve.least, np.min),
        loss_greatest=reduced(curve.greatest, np.max),
        learning_rate=reduced(curve.rates, lambda rates: rates[-1]),
    )
