"""A run as a tree of plain data: everything that a reader is shown, and nothing of how."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from relume.diagnosis.deaths import death_groups
from relume.diagnosis.engine import Diagnosis, diagnose
from relume.remedies.story import stories
from relume.report import sentences, watched
from relume.report.findings import shown_findings
from relume.report.heatmap import heat_map, resolution
from relume.report.parts import (
    Baseline,
    DeadUnit,
    Document,
    EpochCurves,
    IdleCounts,
    LayerPart,
    MetricCurve,
    Overhead,
    Result,
    UnitCounts,
    WindowCurves,
    neediest,
)
from relume.report.timeline import added, group_windows, steps_of
from relume.report.wording import lines, printable
from relume.runs.query import Run
from relume.runs.records import NEVER, Epoch, Metric, Moments, Window
from relume.runs.summary import WATCH, LayerSummary, summarise_layers

FORMAT = "relume-report"
VERSION = 1
MOST_DEAD_LISTED = 200
MOST_DRAWN_LAYERS = 60
MOST_CURVE_POINTS = 300
MOST_TARGETS = 50
MOST_DEATH_GROUPS = 200
MOST_METRICS = 50

T = TypeVar("T")


def build_document(run: Run, diagnosis: Diagnosis | None = None) -> Document:
    """Return what there is to show of a run; what was not recorded is empty and said so.

    Args:
        run: The records.
        diagnosis: What the rules said of it; they are asked if None.

    Cost: linear in the size of the run.
    """
    info = run.info
    outcome = _mapping(info.result)
    results = _results(outcome)
    result, further = (results[0] if results else None), tuple(results[1:])
    layers, columns = _layers(run)
    units = _unit_counts(layers)
    epoch, stopped, network = map(outcome.get, ("best_epoch", "stopped", "network"))
    best_epoch = epoch if isinstance(epoch, int) and epoch > 0 else None
    facts = sentences.Facts(run, result, units, layers, best_epoch, further)
    saturated = _idle([part.summary.saturated_units for part in layers], layers)
    dormant = _idle([part.summary.dormant_units for part in layers], layers)
    overhead = _overhead(info.overhead)
    said = _said_of_watched(facts, saturated, dormant, overhead) or _said_of_fit(facts)
    return Document(
        format=FORMAT,
        version=VERSION,
        title=printable(_mapping(info.data).get("name") or run.path.resolve().parent.name, 80),
        kind=printable(info.kind),
        status=printable(info.status),
        **said,
        comparisons=sentences.comparisons(facts),
        remarks=sentences.remarks(facts),
        steps=run.last_step,
        armed_steps=sum(window.armed_steps for window in run.windows),
        result=result,
        best_epoch=best_epoch,
        stopped=printable(stopped) if stopped else None,
        network=lines(network, 80) if network else None,
        units=units,
        window_curves=_window_curves(run.windows),
        epoch_curves=_epoch_curves(run.epochs),
        columns=columns,
        layers=layers,
        settings=_mapping(info.settings),
        data=_mapping(info.data),
        environment=_mapping(info.environment),
        further_results=further,
        deaths=death_groups(run, [part.summary for part in layers])[:MOST_DEATH_GROUPS],
        not_observed=watched.not_observed(run),
        metrics=_metrics(run.metrics),
        overhead=overhead,
        saturated=saturated,
        dormant=dormant,
        processes=run.shards,
        findings=shown_findings(diagnosis or diagnose(run)),
        repairs=tuple(
            tuple(printable(line, 800) for line in each) for each in stories(run.remedies)
        ),
    )


def _said_of_fit(facts: sentences.Facts) -> dict[str, Any]:
    return {
        "headline": sentences.headline(facts),
        "missing": sentences.missing(facts),
        "measurement": sentences.measurement(facts),
    }


def _said_of_watched(
    facts: sentences.Facts,
    saturated: IdleCounts | None,
    dormant: IdleCounts | None,
    overhead: Overhead | None,
) -> dict[str, Any] | None:
    """Return what is said of a training that need not have a score; None if it has one."""
    if facts.run.info.kind != WATCH or facts.result is not None:
        return None
    return {
        "headline": watched.headline(facts, saturated, dormant),
        "missing": watched.missing(facts),
        "measurement": watched.measurement(facts, overhead),
    }


def _idle(idle: Sequence[tuple[int, ...] | None], layers: Sequence[LayerPart]) -> IdleCounts | None:
    seen = [
        (len(units), part.summary.units)
        for units, part in zip(idle, layers, strict=True)
        if units is not None
    ]
    return IdleCounts(*map(sum, zip(*seen, strict=True))) if seen else None


def _overhead(given: Any) -> Overhead | None:
    known = _mapping(given)
    if not known:
        return None
    period = known.get("period")
    return Overhead(
        measured_share=_number(known.get("measured_share")),
        budget=_number(known.get("budget")),
        period=period if isinstance(period, int) and period > 0 else None,
    )


def _metrics(metrics: Sequence[Metric]) -> tuple[MetricCurve, ...]:
    """Each score over the steps: every value, or every k-th and the last of too many."""
    by_name: dict[str, list[Metric]] = {}
    for metric in metrics:
        by_name.setdefault(metric.name, []).append(metric)
    curves = []
    for name, values in list(by_name.items())[:MOST_METRICS]:
        kept = _thinned(values)
        curves.append(
            MetricCurve(
                printable(name, 60),
                tuple(each.step for each in kept),
                tuple(_short(each.value, 6) for each in kept),
            )
        )
    return tuple(curves)


def _thinned(values: Sequence[T]) -> Sequence[T]:
    """Return every k-th of the values and the last, at most as many as a curve has points."""
    stride = -(-len(values) // MOST_CURVE_POINTS) or 1
    return values[::-1][::stride][::-1]


def _results(outcome: Mapping[str, Any]) -> list[Result]:
    """The result of one target, or of each that a list of ``targets`` holds."""
    given = outcome.get("targets")
    several = given[:MOST_TARGETS] if isinstance(given, list) else [outcome]
    results = [_result(_mapping(part)) for part in several]
    return [result for result in results if result is not None]


def _result(result: Mapping[str, Any]) -> Result | None:
    score = _number(result.get("score"))
    if score is None:
        return None
    rows, confidence = result.get("rows"), _number(result.get("confidence"))
    given = result.get("baselines")
    baselines = [_baseline(_mapping(part)) for part in given] if isinstance(given, list) else []
    return Result(
        metric=printable(result.get("metric") or "score"),
        score=score,
        interval=_interval(result.get("interval")),
        confidence=0.95 if confidence is None else confidence,
        rows=rows if isinstance(rows, int) else None,
        baselines=tuple(part for part in baselines[:20] if part is not None),
        target=printable(result.get("target") or "", 60),
    )


def _baseline(part: Mapping[str, Any]) -> Baseline | None:
    score = _number(part.get("score"))
    if score is None:
        return None
    return Baseline(
        name=printable(part.get("name") or "baseline"),
        score=score,
        interval=_interval(part.get("interval")),
        difference=_number(part.get("difference")),
        difference_interval=_interval(part.get("difference_interval")),
    )


def _layers(run: Run) -> tuple[tuple[LayerPart, ...], tuple[tuple[int, int], ...]]:
    """Return the layers, and the columns that their courses share."""
    summaries = summarise_layers(run)
    drawn = neediest(summaries, MOST_DRAWN_LAYERS)
    widest = max((run.layers[index].units for index in drawn), default=0)
    most_rows, most_columns = resolution(widest, len(drawn))
    groups = group_windows(run.windows, most_columns, armed=True)
    columns = tuple(steps_of(run.windows, group) for group in groups)
    parts = []
    for index, summary in enumerate(summaries):
        part = _table_part(run, index, summary)
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


def _table_part(run: Run, index: int, summary: LayerSummary) -> LayerPart:
    layer = run.layers[index]
    last_fired = run.lifetimes[index].last_fired if index < len(run.lifetimes) else None
    dead = [
        DeadUnit(unit, _step_or_none(last_fired[unit]) if last_fired is not None else None)
        for unit in (summary.dead_units or summary.saturated_units or ())[:MOST_DEAD_LISTED]
    ]
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
        dead=tuple(dead),
        gradient_norm=(),
        update_ratio=(),
        heat=None,
        saturates=summary.saturated_units is not None,
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
    return tuple(_short(added([moments[i] for i in group]).mean, 3) for group in groups)


def _unit_counts(layers: Sequence[LayerPart]) -> UnitCounts | None:
    seen = [part.summary for part in layers if part.summary.dead_units is not None]
    if not seen:
        return None
    dying = [summary.dying_units for summary in seen if summary.dying_units is not None]
    return UnitCounts(
        units=sum(summary.units for summary in seen),
        dead=sum(len(summary.dead_units or ()) for summary in seen),
        dying=sum(map(len, dying)) if dying else None,
        rows=min(summary.rows for summary in seen),
        at_final_weights=all(summary.at_final_weights for summary in seen),
    )


def _window_curves(windows: Sequence[Window]) -> WindowCurves:
    groups = group_windows(windows, MOST_CURVE_POINTS)
    spans = [steps_of(windows, group) for group in groups]
    losses = [added([windows[i].loss for i in group]) for group in groups]
    return WindowCurves(
        step=tuple((first + last) / 2 for first, last in spans),
        loss=tuple(_short(loss.mean) for loss in losses),
        loss_least=tuple(_short(loss.least) for loss in losses),
        loss_greatest=tuple(_short(loss.greatest) for loss in losses),
        learning_rate=tuple(_short(windows[group[-1]].learning_rate) for group in groups),
    )


def _epoch_curves(epochs: Sequence[Epoch]) -> EpochCurves:
    """Every epoch, or every k-th and the last where there are too many."""
    kept = _thinned(epochs)
    return EpochCurves(
        epoch=tuple(epoch.epoch for epoch in kept),
        step=tuple(epoch.step for epoch in kept),
        train_loss=tuple(_short(epoch.train_loss) for epoch in kept),
        validation_loss=tuple(_short(epoch.validation_loss) for epoch in kept),
        validation_score=tuple(_short(epoch.validation_score) for epoch in kept),
        units_alive=tuple(epoch.units_alive for epoch in kept),
        units=tuple(epoch.units for epoch in kept),
    )


def _short(value: float, digits: int = 4) -> float:
    """Round to a few digits; what a curve shows is not more exact."""
    return float(f"{value:.{digits}g}")


def _step_or_none(step: int) -> int | None:
    return None if step == NEVER else int(step)


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _interval(value: Any) -> tuple[float, float] | None:
    bounds = [_number(bound) for bound in value] if isinstance(value, list | tuple) else []
    if len(bounds) != 2 or bounds[0] is None or bounds[1] is None:
        return None
    return bounds[0], bounds[1]
