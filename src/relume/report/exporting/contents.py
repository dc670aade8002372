"""What is handed on: every table of a run and its findings, and the series that trackers draw."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import relume
from relume.diagnosis.engine import Diagnosis, diagnose
from relume.diagnosis.finding import Finding
from relume.runs.query import Run
from relume.runs.records import Sums
from relume.runs.tables import Column, Table, tables

FORMAT, VERSION = "relume-export", 1

_FINDINGS = (
    Column("finding", "int", "number of the finding, roots first"),
    Column("follows_from", "int", "number of the finding that explains it; none for a root"),
    Column("code", "text", "of its rule"),
    Column("severity", "text", "note, warning or error"),
    Column("where", "text", "layer, weight, input or loss, with file:line where known"),
    Column("first_step", "int", "since when"),
    Column("units", "text", "numbers of the units concerned, as JSON"),
    Column("message", "text", "what is wrong"),
    Column("cause", "text", "why, as far as the evidence goes"),
    Column("evidence", "text", "the numbers it rests on, as JSON"),
    Column("remedies", "text", "what to do, as JSON"),
)


@dataclass(frozen=True, slots=True)
class Contents:
    """A run with what the rules said of it."""

    run: Run
    tables: tuple[Table, ...]
    diagnosis: Diagnosis

    @property
    def findings(self) -> Table:
        """The table of findings."""
        return self.tables[-1]


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a series, at the step that ends what it describes."""

    step: int
    name: str
    value: float


def contents_of(run: Run) -> Contents:
    """Return all that is handed on of a run; the rules are asked."""
    diagnosis = diagnose(run)
    rows = tuple(_finding_rows(diagnosis.findings))
    findings = Table("findings", "what the rules found", _FINDINGS, rows)
    return Contents(run, (*tables(run), findings), diagnosis)


def described(contents: Contents) -> dict[str, Any]:
    """Return what an export says of itself: format, version, run, tables and columns."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "relume": relume.__version__,
        "run": str(contents.run.path),
        "not_judged": [
            {"code": str(each.code), "reason": each.reason}
            for each in contents.diagnosis.not_judged
        ],
        "tables": {table.name: table.described() for table in contents.tables},
    }


def points(run: Run) -> Iterator[Point]:
    """Yield every series that a tracker can draw, by step; what was not observed has no point."""
    found = [*_of_windows(run), *_of_scores(run)]
    yield from sorted(found, key=lambda point: point.step)


def histograms(run: Run) -> Iterator[tuple[int, str, Sums]]:
    """Yield step, name and the firing rate of every unit, of each layer in each window."""
    names = unique_names(run)
    for window in run.windows:
        for name, part in zip(names, window.layers, strict=True):
            if part.activity.positions and part.activity.units:
                yield window.last_step, f"firing_rates/{name}", part.activity.firing_rate


def unique_names(run: Run) -> tuple[str, ...]:
    """Return the names of the layers, numbered where two are called the same."""
    names: list[str] = []
    for layer in run.layers:
        name, number = layer.name, 2
        while name in names:
            name, number = f"{layer.name} #{number}", number + 1
        names.append(name)
    return tuple(names)


def parameters(run: Run) -> dict[str, str]:
    """Return settings and environment as trackers list them: names and short texts."""
    parts = (("", run.info.settings), ("data.", run.info.data), ("env.", run.info.environment))
    return {
        f"{prefix}{name}": value if isinstance(value, str) else json.dumps(value)
        for prefix, given in parts
        for name, value in given.items()
        if name != "notes"
    }


def finding_lines(contents: Contents) -> str:
    """Return the findings as plain text, one line each; what follows from another is indented."""
    columns = contents.findings.by_column()
    keys = ("follows_from", "severity", "code", "message")
    listed = zip(*(columns[key] for key in keys), strict=True)
    return "\n".join(
        f"{'' if root is None else '    so: '}{severity} {code}: {message}"
        for root, severity, code, message in listed
    )


def _of_windows(run: Run) -> Iterator[Point]:
    names = unique_names(run)
    for window in run.windows:
        step = window.last_step
        if window.loss.count:
            yield Point(step, "loss/training", window.loss.mean)
        if not math.isnan(window.learning_rate):
            yield Point(step, "learning_rate", window.learning_rate)
        for name, part in zip(names, window.layers, strict=True):
            seen = part.activity
            if seen.positions and seen.units:
                yield Point(step, f"firing_rate/{name}", float(seen.firing_rate.mean()))
                yield Point(step, f"silent_units/{name}", float((seen.fired == 0).sum()))
            yield from _flow(step, name, part, ("gradient_norm", "update_ratio", "slope"))
        for name, weight in zip(run.weights, window.weights, strict=False):
            yield from _flow(step, name, weight, ("gradient_norm", "update_ratio", "norm"))


def _flow(step: int, name: str, part: Any, whats: Sequence[str]) -> Iterator[Point]:
    for what in whats:
        moments = getattr(part, what)
        if moments.count:
            yield Point(step, f"{what}/{name}", moments.mean)


def _of_scores(run: Run) -> Iterator[Point]:
    for epoch in run.epochs:
        yield Point(epoch.step, "loss/validation", epoch.validation_loss)
        yield Point(epoch.step, "score/validation", epoch.validation_score)
        for name, mean in run.losses.get(epoch.epoch, {}).items():
            yield Point(epoch.step, f"loss/{name}", mean)
    for score in run.scores:
        yield Point(score.step, f"loss/on {score.phase} rows", score.loss)
        if not math.isnan(score.right):
            yield Point(score.step, f"score/right on {score.phase} rows", score.right)
    for metric in run.metrics:
        yield Point(metric.step, f"metric/{metric.name}", metric.value)


def _finding_rows(findings: Sequence[Finding]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of findings, each followed by what it explains."""
    waiting = [(each, None) for each in reversed(findings)]
    number = 0
    while waiting:
        finding, root = waiting.pop()
        yield _finding_row(number, root, finding)
        waiting += [(each, number) for each in reversed(finding.consequences)]  # type: ignore[misc]
        number += 1


def _finding_row(number: int, root: int | None, finding: Finding) -> tuple[Any, ...]:
    data = finding.to_json()
    texts = (json.dumps(data[name], allow_nan=False) for name in ("evidence", "remedies"))
    return (
        number,
        root,
        str(finding.code),
        finding.severity.value,
        finding.where,
        finding.first_step,
        json.dumps([int(unit) for unit in np.asarray(finding.units, np.int64)]),
        finding.message,
        finding.cause or None,
        *texts,
    )
