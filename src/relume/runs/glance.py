"""The gist of a run, read by a few queries: what a list of many runs shows of each."""

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relume.runs import run_file
from relume.runs.places import RunFiles
from relume.runs.query import Run, read_run
from relume.runs.records import NEVER, Layer, Metric, Window
from relume.runs.summary import ENOUGH_ROWS, FEWEST_ROWS, WATCH, last_seen, summarise_layers


@dataclass(frozen=True, slots=True)
class Glance:
    """What a run was and what came of it.

    Args:
        kind: ``fit`` or ``watch``.
        status: As the run file says it.
        name: Of the data or the script; empty where not known.
        steps: The last step on record.
        loss: Mean training loss of the last window with one; nan where none was seen.
        metric: Name of ``score``: of the test part, else the last one that the script recorded;
            empty where there is none.
        score: nan where there is none.
        units: Units that can die, of all layers that were seen.
        dead_units: How many of them are dead, or silent at the end; None where none was seen.
    """

    kind: str
    status: str
    name: str
    steps: int
    loss: float
    metric: str
    score: float
    units: int
    dead_units: int | None


def glance(files: RunFiles) -> Glance:
    """Return the gist of a run.

    Raises:
        RunFileError: If it cannot be read.

    Cost: a few queries and the last windows; all windows where units were silent so shortly that
    their earlier rate must tell. A run of several processes is read whole.
    """
    if len(files.files) > 1:
        return glance_of(read_run(files.main.parent))
    with run_file.reading(files.main) as connection:
        part = _end_of(files.main, connection)
        if _is_in_doubt(part):
            part = replace(part, windows=_windows(connection, part.layers))
    return glance_of(part)


def glance_of(run: Run) -> Glance:
    """Return the gist of a run that has been read."""
    losses = [window.loss.mean for window in run.windows if window.loss.count]
    counts = [
        (part.units, len(part.dead_units))
        for part in summarise_layers(run)
        if part.dead_units is not None
    ]
    metric, score = _test_score(run.info.result) or _last_metric(run.metrics)
    return Glance(
        kind=run.info.kind,
        status=run.info.status,
        name=str(run.info.data.get("name") or ""),
        steps=run.last_step,
        loss=losses[-1] if losses else math.nan,
        metric=metric,
        score=score,
        units=sum(units for units, _ in counts),
        dead_units=sum(dead for _, dead in counts) if counts else None,
    )


def _end_of(path: Path, connection: sqlite3.Connection) -> Run:
    """Return a run as far as its end tells: without its facts, and with its last windows alone."""
    layers, info = run_file.read_layers(connection), run_file.read_info(connection)
    return Run(
        path=path,
        info=info,
        layers=layers,
        windows=_last_windows(connection, layers, is_watched=info.kind == WATCH),
        epochs=(),
        lifetimes=run_file.read_lifetimes(connection, layers),
        examination=run_file.read_examination(connection, layers),
        metrics=run_file.read_metrics(connection),
    )


def _last_windows(
    connection: sqlite3.Connection, layers: Sequence[Layer], *, is_watched: bool
) -> tuple[Window, ...]:
    """Return the last windows: as many as hold a loss, and rows enough of every layer."""
    enough = ENOUGH_ROWS if is_watched else 1
    rows, windows = np.zeros(len(layers), np.int64), []
    for first in reversed(_first_steps(connection)):
        windows.append(run_file.read_window(connection, layers, first))
        rows += [part.activity.rows for part in windows[-1].layers]
        if any(window.loss.count for window in windows) and (rows >= enough).all():
            break
    return tuple(reversed(windows))


def _windows(connection: sqlite3.Connection, layers: Sequence[Layer]) -> tuple[Window, ...]:
    return tuple(
        run_file.read_window(connection, layers, first) for first in _first_steps(connection)
    )


def _first_steps(connection: sqlite3.Connection) -> list[int]:
    rows = connection.execute("SELECT first_step FROM windows ORDER BY first_step")
    return [first for (first,) in rows]


def _is_in_doubt(run: Run) -> bool:
    """Whether a unit was silent on rows enough to be judged by its earlier rate, and no more."""
    if run.info.kind != WATCH or not run.windows:
        return False
    for index, life in enumerate(run.lifetimes[len(run.examination) :], len(run.examination)):
        rows = min(ENOUGH_ROWS, last_seen(run, index).rows)
        is_short = (life.silent_rows >= FEWEST_ROWS) & (life.silent_rows < rows)
        if (is_short & (life.first_silent != NEVER)).any():
            return True
    return False


def _last_metric(metrics: Sequence[Metric]) -> tuple[str, float]:
    if not metrics:
        return "", math.nan
    last = max(metrics, key=lambda each: each.step)
    return last.name, last.value


def _test_score(result: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the score on the test part, of the first target where there are several."""
    several = result.get("targets")
    given = several[0] if isinstance(several, list) and several else result
    score = given.get("score") if isinstance(given, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return str(given.get("metric") or "score"), float(score)
