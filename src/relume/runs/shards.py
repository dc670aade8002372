"""Adding up what several processes of one run recorded, each in a file of its own."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from relume.runs.records import (
    NEVER,
    Cause,
    Deaths,
    Layer,
    Lifetimes,
    Metric,
    UnitActivity,
    Unobserved,
    Window,
)
from relume.runs.run_file import Run

Part = TypeVar("Part")

_STATUSES = ("failed", "interrupted", "running")
"""The first of these that any process ended with is the status of the run."""


def merge_shards(runs: Sequence[Run], damaged: Sequence[Path] = ()) -> Run:
    """Return the run that its shards make up.

    Windows go into the buckets of the leading shard by their first step, and add. Armed steps add
    too: a step that two processes measured counts twice. Of the epochs, the losses, the learning
    rate, the facts, the scores, the curve and each metric, the first shard that has any speaks.

    Args:
        runs: At least one; the first with windows leads. Those with other layers are left out.
        damaged: Shards that could not be read.
    """
    leader = next((run for run in runs if run.windows), runs[0])
    same, others = [leader], []
    idle = []  # such as a launcher, or a parent that only started others
    for run in runs:
        if run is leader:
            continue
        if not run.layers and not run.windows:
            idle.append(run)
        elif _identities(run.layers) == _identities(leader.layers):
            same.append(_in_order(run, leader.layers))
        else:
            others.append(run.path)
    every = [*same, *idle]
    return replace(
        reduce(_add, same),
        info=replace(leader.info, status=_status(same, idle)),
        metrics=_first_metrics(every),
        unobserved=_add_unobserved(every),
        shards=len(same),
        other_shards=tuple(others),
        damaged_shards=tuple(damaged),
    )


def merge_lifetimes(a: Lifetimes, b: Lifetimes) -> Lifetimes:
    """Return when units last fired in either of two processes.

    A unit is silent only where neither saw it fire. The silent rows add, so that rows on which it
    was silent in one process before it last fired in the other are counted too.
    """
    first_silent = np.maximum(a.first_silent, b.first_silent)
    is_firing = _is_firing(a) | _is_firing(b)
    return Lifetimes(
        np.maximum(a.last_fired, b.last_fired),
        np.where(is_firing, NEVER, first_silent),
        np.where(is_firing, 0, a.silent_rows + b.silent_rows),
    )


def merge_deaths(a: Deaths, b: Deaths) -> Deaths:
    """Return the certificates of units that two processes saw.

    The one that saw the unit fall silent last tells the cause; at equal steps the one that knows
    a cause, then the first.
    """
    is_firing = _is_firing(a) | _is_firing(b)
    knows_more = (a.cause == Cause.UNKNOWN) & (b.cause != Cause.UNKNOWN)
    later = b.first_silent > a.first_silent
    takes_b = later | ((b.first_silent == a.first_silent) & knows_more)
    cause = np.where(takes_b, b.cause, a.cause)
    return Deaths(
        np.maximum(a.last_fired, b.last_fired),
        np.where(is_firing, NEVER, np.maximum(a.first_silent, b.first_silent)),
        np.where(is_firing, np.nan, np.where(takes_b, b.row_change, a.row_change)),
        np.where(is_firing, Cause.ALIVE, cause).astype(np.int8),
    )


def _is_firing(seen: Lifetimes | Deaths) -> NDArray[np.bool_]:
    firing: NDArray[np.bool_] = (seen.first_silent == NEVER) & (seen.last_fired != NEVER)
    return firing


def _identities(layers: Sequence[Layer]) -> Counter[tuple[str, int]]:
    return Counter((layer.name, layer.units) for layer in layers)


def _in_order(run: Run, layers: Sequence[Layer]) -> Run:
    """Return a run with its layers in another order: processes may meet them in their own."""
    wanted = [(layer.name, layer.units) for layer in layers]
    present = [(layer.name, layer.units) for layer in run.layers]
    if present == wanted:
        return run
    places: dict[tuple[str, int], list[int]] = {}
    for index, identity in enumerate(present):
        places.setdefault(identity, []).append(index)
    order = [places[identity].pop(0) for identity in wanted]

    def reordered(parts: tuple[Part, ...]) -> tuple[Part, ...]:
        return tuple(parts[index] for index in order) if len(parts) == len(order) else ()

    return replace(
        run,
        layers=reordered(run.layers),
        windows=tuple(replace(each, layers=reordered(each.layers)) for each in run.windows),
        lifetimes=reordered(run.lifetimes),
        deaths=reordered(run.deaths),
        examination=reordered(run.examination),
    )


def _add(a: Run, b: Run) -> Run:
    windows = b.windows
    if a.weights != b.weights:  # met in another order: those of the first shard speak
        windows = tuple(replace(window, weights=()) for window in windows)
    return replace(
        a,
        windows=_add_windows(a.windows, windows),
        epochs=a.epochs or b.epochs,
        losses=a.losses or b.losses,
        lifetimes=_add_each(a.lifetimes, b.lifetimes, merge_lifetimes),
        deaths=_add_each(a.deaths, b.deaths, merge_deaths),
        examination=_add_each(a.examination, b.examination, UnitActivity.__add__),
        held_out_rows=a.held_out_rows + b.held_out_rows,
        facts=a.facts or b.facts,
        scores=a.scores or b.scores,
        remedies=a.remedies or b.remedies,
        curve=a.curve if len(a.curve.losses) else b.curve,
    )


def _add_each(
    a: tuple[Part, ...], b: tuple[Part, ...], add: Callable[[Part, Part], Part]
) -> tuple[Part, ...]:
    """Add layer by layer; the longer one goes on where the other ends, or has nothing."""
    longer = a if len(a) >= len(b) else b
    return (*map(add, a, b), *longer[min(len(a), len(b)) :])


def _add_windows(buckets: Sequence[Window], windows: Sequence[Window]) -> tuple[Window, ...]:
    if not buckets:
        return tuple(windows)
    firsts = [bucket.first_step for bucket in buckets]
    merged = list(buckets)
    for window in windows:
        at = max(0, bisect_right(firsts, window.first_step) - 1)
        merged[at] = _into(merged[at], window, is_last=at == len(merged) - 1)
    return tuple(merged)


def _into(bucket: Window, window: Window, *, is_last: bool) -> Window:
    """Add a window to a bucket that keeps its span; only the last one may grow."""
    last_step = max(bucket.last_step, window.last_step) if is_last else bucket.last_step
    return replace(
        bucket + window,
        first_step=bucket.first_step,
        last_step=last_step,
        learning_rate=bucket.learning_rate,
    )


def _status(same: Sequence[Run], idle: Sequence[Run]) -> str:
    """Return the worst ending; that an idle process never said that it ended means nothing."""
    statuses = {run.info.status for run in same}
    statuses |= {run.info.status for run in idle} - {"running"}
    return next((status for status in _STATUSES if status in statuses), same[0].info.status)


def _first_metrics(runs: Sequence[Run]) -> tuple[Metric, ...]:
    owner: dict[str, int] = {}
    for index, run in enumerate(runs):
        for metric in run.metrics:
            owner.setdefault(metric.name, index)
    return tuple(
        metric
        for index, run in enumerate(runs)
        for metric in run.metrics
        if owner[metric.name] == index
    )


def _add_unobserved(runs: Sequence[Run]) -> tuple[Unobserved, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for run in runs:
        for missed in run.unobserved:
            counts[missed.what, missed.place or ""] += missed.count
    return tuple(
        Unobserved(what, place or None, times) for (what, place), times in sorted(counts.items())
    )
