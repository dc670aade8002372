"""The layers of a run as they are shown: a line of the table, the dead units, the course."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from relume.report.cells import unit_cells
from relume.report.heatmap import heat_map, resolution
from relume.report.parts import DeadUnit, LayerPart, neediest
from relume.report.timeline import added, group_windows, steps_of
from relume.report.wording import printable
from relume.runs.query import Run
from relume.runs.records import NEVER, Cause, Moments, Window
from relume.runs.summary import LayerSummary, last_seen, summarise_layers

MOST_DEAD_LISTED = 1000
"""Of all layers together."""
MOST_DRAWN_LAYERS = 60


def layer_parts(run: Run) -> tuple[tuple[LayerPart, ...], tuple[tuple[int, int], ...]]:
    """Return the layers, and the columns that their courses share."""
    summaries = summarise_layers(run)
    drawn = neediest(summaries, MOST_DRAWN_LAYERS)
    widest = max((run.layers[index].units for index in drawn), default=0)
    most_rows, most_columns = resolution(widest, len(drawn))
    groups = group_windows(run.windows, most_columns, armed=True)
    columns = tuple(steps_of(run.windows, group) for group in groups)
    run_units = sum(layer.units for layer in run.layers)
    listed = shared([len(each.dead_units or each.saturated_units or ()) for each in summaries])
    parts = []
    for index, summary in enumerate(summaries):
        part = _table_part(run, index, summary, listed[index], run_units)
        if groups and index in drawn:
            part = replace(
                part,
                gradient_norm=_course(run.windows, groups, index, "gradient_norm"),
                update_ratio=_course(run.windows, groups, index, "update_ratio"),
                heat=heat_map(
                    [window.layers[index] for window in run.windows],
                    groups,
                    _order(run, index),
                    most_rows,
                ),
            )
        parts.append(part)
    return tuple(parts), columns


def shared(wanted: Sequence[int], most: int = MOST_DEAD_LISTED) -> tuple[int, ...]:
    """Return how many of each are listed, at most ``most`` in all: small numbers go in whole.

    Example:
        >>> shared([5, 900, 0, 700]), shared([3, 4])
        ((5, 498, 0, 497), (3, 4))
    """
    listed = [0] * len(wanted)
    left = most
    by_size = sorted(range(len(wanted)), key=lambda index: (wanted[index], -index))
    for place, index in enumerate(by_size):
        listed[index] = min(wanted[index], left // (len(by_size) - place))
        left -= listed[index]
    return tuple(listed)


def _table_part(
    run: Run, index: int, summary: LayerSummary, listed: int, run_units: int
) -> LayerPart:
    layer = run.layers[index]
    idle = summary.dead_units or summary.saturated_units or ()
    final = index < len(run.examination)
    seen = run.examination[index] if final else last_seen(run, index)
    return LayerPart(
        summary=replace(
            summary,
            name=printable(summary.name, 120),
            activation=printable(summary.activation, 60),
            place=None if summary.place is None else printable(summary.place, 120),
        ),
        owner=None if layer.owner is None else printable(layer.owner, 120),
        can_die=layer.can_die,
        firing_probability_bound=summary.firing_probability_bound,
        dead=tuple(_dead_unit(run, index, unit) for unit in idle[:listed]),
        gradient_norm=(),
        update_ratio=(),
        heat=None,
        saturates=summary.saturated_units is not None,
        cells=unit_cells(seen, idle, summary.dying_units or (), run_units) if seen.rows else None,
    )


def _dead_unit(run: Run, index: int, unit: int) -> DeadUnit:
    """What is known of the death of a unit: from its certificate, else from its lifetime."""
    known = run.deaths[index : index + 1] or run.lifetimes[index : index + 1]
    if not known:
        return DeadUnit(unit, None)
    deaths = run.deaths[index] if index < len(run.deaths) else None
    cause = Cause(int(deaths.cause[unit])) if deaths is not None else Cause.UNKNOWN
    change = float(deaths.row_change[unit]) if deaths is not None else math.nan
    lives = run.lifetimes[index] if index < len(run.lifetimes) else known[0]
    return DeadUnit(
        unit,
        _step_or_none(lives.last_fired[unit]),
        _step_or_none(lives.first_silent[unit]),
        "" if cause in {Cause.UNKNOWN, Cause.ALIVE} else cause.name.lower(),
        short_number(change, 3) if math.isfinite(change) else None,
    )


def _order(run: Run, index: int) -> NDArray[np.int64]:
    """Units as they are drawn: silent ones by their last firing, then the others by their rate."""
    seen = [window.layers[index].activity for window in run.windows]
    seen.extend(run.examination[index : index + 1])
    observed = [activity for activity in seen if activity.rows]
    units = run.layers[index].units
    rate = observed[-1].firing_rate if observed else np.zeros(units)
    known = index < len(run.lifetimes)
    last_fired = run.lifetimes[index].last_fired if known else np.zeros(units, np.int64)
    return np.lexsort((np.where(rate > 0, 0, last_fired), rate)).astype(np.int64)


def _course(
    windows: Sequence[Window], groups: Sequence[range], index: int, name: str
) -> tuple[float, ...]:
    moments: list[Moments] = [getattr(window.layers[index], name) for window in windows]
    return tuple(short_number(added([moments[i] for i in group]).mean, 3) for group in groups)


def short_number(value: float, digits: int = 4) -> float:
    """Round to a few digits; what a curve shows is not more exact."""
    return float(f"{value:.{digits}g}")


def _step_or_none(step: int) -> int | None:
    return None if step == NEVER else int(step)
