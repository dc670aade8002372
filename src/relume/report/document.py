"""A run as a tree of plain data: everything that a reader is shown, and nothing of how."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from relume.diagnosis.deaths import DeathGroup, death_groups
from relume.diagnosis.engine import Diagnosis, diagnose
from relume.report import sentences, watched
from relume.report.events import events
from relume.report.findings import shown_findings
from relume.report.layers import layer_parts, short_number
from relume.report.loss_curves import MOST_CURVE_POINTS, loss_curves
from relume.report.parts import (
    Baseline,
    Document,
    EpochCurves,
    IdleCounts,
    LayerPart,
    MetricCurve,
    Overhead,
    Result,
    UnitCounts,
)
from relume.report.repairs import repairs
from relume.report.verdict import Script, verdict
from relume.report.wording import lines, printable
from relume.runs.query import Run
from relume.runs.records import Epoch, Metric
from relume.runs.summary import WATCH

FORMAT = "relume-report"
VERSION = 2
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
    diagnosis = diagnosis or diagnose(run)
    layers, columns = layer_parts(run, diagnosis.layers)
    units = _unit_counts(layers)
    epoch, stopped, network = map(outcome.get, ("best_epoch", "stopped", "network"))
    best_epoch = epoch if isinstance(epoch, int) and epoch > 0 else None
    facts = sentences.Facts(run, result, units, layers, best_epoch, further)
    saturated = _idle([part.summary.saturated_units for part in layers], layers)
    dormant = _idle([part.summary.dormant_units for part in layers], layers)
    overhead = _overhead(info.overhead)
    findings = shown_findings(diagnosis, run.layers)
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
        window_curves=loss_curves(run),
        epoch_curves=_epoch_curves(run.epochs),
        columns=columns,
        layers=layers,
        settings=_mapping(info.settings),
        data=_mapping(info.data),
        environment=_mapping(info.environment),
        further_results=further,
        deaths=_deaths(run, diagnosis, layers),
        not_observed=watched.not_observed(run),
        metrics=_metrics(run.metrics),
        overhead=overhead,
        saturated=saturated,
        dormant=dormant,
        processes=run.shards,
        findings=findings,
        repairs=repairs(run),
        verdict=verdict(diagnosis, findings, _script(run)),
        events=events(diagnosis, run.remedies),
    )


def _script(run: Run) -> Script:
    name = str(_mapping(run.info.data).get("name") or "")
    return Script(run.info.kind, name, bool(_mapping(run.info.settings).get("repair")))


def _deaths(run: Run, diagnosis: Diagnosis, layers: Sequence[LayerPart]) -> tuple[DeathGroup, ...]:
    known = diagnosis.deaths
    if known is None:
        known = death_groups(run, [part.summary for part in layers])
    return tuple(
        replace(
            group,
            layer=printable(group.layer, 120),
            place=None if group.place is None else printable(group.place, 120),
            said=printable(group.said, 600),
        )
        for group in known[:MOST_DEATH_GROUPS]
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
                tuple(short_number(each.value, 6) for each in kept),
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


def _epoch_curves(epochs: Sequence[Epoch]) -> EpochCurves:
    """Every epoch, or every k-th and the last where there are too many."""
    kept = _thinned(epochs)
    return EpochCurves(
        epoch=tuple(epoch.epoch for epoch in kept),
        step=tuple(epoch.step for epoch in kept),
        train_loss=tuple(short_number(epoch.train_loss) for epoch in kept),
        validation_loss=tuple(short_number(epoch.validation_loss) for epoch in kept),
        validation_score=tuple(short_number(epoch.validation_score) for epoch in kept),
        units_alive=tuple(epoch.units_alive for epoch in kept),
        units=tuple(epoch.units for epoch in kept),
    )


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
