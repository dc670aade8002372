"""Reading one run file: checked records, whole or in part, also while it is being written."""

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from relume.errors import RunFileError
from relume.runs import schema
from relume.runs.fact_json import from_json
from relume.runs.facts import Fact
from relume.runs.loss_curve import Curve
from relume.runs.records import (
    Deaths,
    Epoch,
    Layer,
    LayerWindow,
    Lifetimes,
    Metric,
    RunInfo,
    Score,
    UnitActivity,
    Unobserved,
    WeightWindow,
    Window,
)
from relume.runs.remedies import AppliedRemedy

F = TypeVar("F")

_DAMAGE = (
    sqlite3.Error, TypeError, ValueError, ArithmeticError, LookupError, MemoryError, RecursionError,
)  # fmt: skip
"""What reading a file can come to that holds other things than were written."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Everything a run file holds; the sequences are empty where nothing was recorded.

    ``lifetimes``, ``deaths`` and ``examination`` (what the units did at the final weights) follow
    the order of ``layers``; ``held_out_rows`` of the rows examined had no influence on those
    weights. ``losses`` holds, by epoch, the mean of each loss that has a name. A run of several
    processes has ``shards`` files added up in it; ``other_shards`` saw other layers and
    ``damaged_shards`` cannot be read, so that they are not in it.
    """

    path: Path
    info: RunInfo
    layers: tuple[Layer, ...]
    windows: tuple[Window, ...]
    epochs: tuple[Epoch, ...]
    lifetimes: tuple[Lifetimes, ...]
    examination: tuple[UnitActivity, ...]
    held_out_rows: int = 0
    losses: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    deaths: tuple[Deaths, ...] = ()
    metrics: tuple[Metric, ...] = ()
    unobserved: tuple[Unobserved, ...] = ()
    facts: tuple[Fact, ...] = ()
    weights: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    curve: Curve = field(default_factory=Curve.empty)
    remedies: tuple[AppliedRemedy, ...] = ()
    shards: int = 1
    other_shards: tuple[Path, ...] = ()
    damaged_shards: tuple[Path, ...] = ()

    @property
    def last_step(self) -> int:
        """The last step on record; 0 before the first."""
        return self.windows[-1].last_step if self.windows else 0

    def of(self, kind: type[F]) -> tuple[F, ...]:
        """Return the facts of one kind; empty where none was observed."""
        return tuple(fact for fact in self.facts if isinstance(fact, kind))

    def scores_of(self, phase: str) -> tuple[Score, ...]:
        """Return the scores of one phase, in the order of steps."""
        return tuple(score for score in self.scores if score.phase == phase)


def read_file(path: Path) -> Run:
    """Read one run file whole.

    A file that is being written can be read too. Cost: linear in the file's size, which is bounded.

    Raises:
        RunFileError: If the file is missing, not a run file, of a newer version, or damaged.
    """
    with reading(path) as connection:
        return _read(path, connection)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a run file for reading: all that is read inside belongs to the same moment.

    Raises:
        RunFileError: If the file is missing, not a run file, of a newer version, or damaged; also
            for what only turns out to be damaged inside.
    """
    if not path.is_file():
        raise RunFileError(f"there is no run file at {path}")
    try:
        with closing(_connect(path)) as connection:
            schema.check_version(connection, str(path))
            connection.execute("BEGIN")  # the parts below belong to the same moment
            yield connection
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RunFileError(f"{path} is not a readable run file: {reason}") from error


def _connect(path: Path) -> sqlite3.Connection:
    """Open for reading; a file without a log beside it also from a place that cannot be written.

    One with a log may be growing, and its writer cannot end while it is open here: it is copied
    into memory, which is far quicker than reading it.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    if not path.with_name(path.name + "-wal").exists():
        return sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as source:
            source.backup(copy)
    except BaseException:
        copy.close()
        raise
    return copy


def _read(path: Path, connection: sqlite3.Connection) -> Run:
    layers = read_layers(connection)
    firsts = connection.execute("SELECT first_step FROM windows ORDER BY first_step").fetchall()
    return Run(
        path=path,
        info=read_info(connection),
        layers=layers,
        windows=tuple(read_window(connection, layers, first) for (first,) in firsts),
        epochs=_read_epochs(connection),
        lifetimes=read_lifetimes(connection, layers),
        examination=read_examination(connection, layers),
        held_out_rows=_read_held_out_rows(connection),
        losses=_read_losses(connection),
        **_read_added(connection, layers),
    )


def read_layers(connection: sqlite3.Connection) -> tuple[Layer, ...]:
    """Return the layers of an open run file, in their order."""
    rows = connection.execute("SELECT * FROM layers ORDER BY id")
    return tuple(
        Layer(str(name), str(activation), int(units), bool(can_die), owner, *_place(added))
        for _, name, activation, units, can_die, owner, *added in rows
    )


def read_window(connection: sqlite3.Connection, layers: Sequence[Layer], first_step: int) -> Window:
    """Return the window that begins at a step.

    Raises:
        RunFileError: If it is not there, or does not cover every layer.
    """
    head = connection.execute(
        "SELECT last_step, armed_steps, loss, learning_rate FROM windows WHERE first_step = ?",
        (first_step,),
    ).fetchone()
    rows = connection.execute(
        "SELECT * FROM layer_windows WHERE first_step = ? ORDER BY layer", (first_step,)
    ).fetchall()
    if head is None or len(rows) != len(layers):
        raise RunFileError(f"the window at step {first_step} is incomplete")
    last_step, armed_steps, loss, learning_rate = head
    # After step and layer: three counts, the units, and moments, one fewer in version 1.
    parts = tuple(
        LayerWindow(
            schema.unpack_activity(row[2:5], row[5], layer.units),
            *map(schema.unpack_moments, row[6:]),
        )
        for layer, row in zip(layers, rows, strict=True)
    )
    moments = schema.unpack_moments(loss)
    weights = _read_weights(connection, first_step)
    return Window(
        first_step, last_step, armed_steps, moments, _number(learning_rate), parts, weights
    )


def _read_weights(connection: sqlite3.Connection, first_step: int) -> tuple[WeightWindow, ...]:
    if schema.version_of(connection) < 3:
        return ()
    row = connection.execute(
        "SELECT weights FROM weight_windows WHERE first_step = ?", (first_step,)
    ).fetchone()
    return schema.unpack_weights(row[0]) if row is not None else ()


def _place(added: Sequence[Any]) -> tuple[str | None, bool]:
    """Return place and saturation of a layer; version 1 had no such columns."""
    return (added[0], bool(added[1])) if added else (None, False)


def read_info(connection: sqlite3.Connection) -> RunInfo:
    """Return what an open run file says of the run as a whole.

    Raises:
        TypeError: If a part is of another kind than it must be.
    """
    kinds = {part.name: str if part.type is str else dict for part in fields(RunInfo)}
    rows = connection.execute("SELECT key, value FROM info").fetchall()
    parts = {key: json.loads(value) for key, value in rows if key in kinds}
    for key, value in parts.items():
        if not isinstance(value, kinds[key]):
            raise TypeError(f"its {key} is {type(value).__name__}, expected {kinds[key].__name__}")
    return RunInfo(**parts)


def _read_epochs(connection: sqlite3.Connection) -> tuple[Epoch, ...]:
    rows = connection.execute("SELECT * FROM epochs ORDER BY epoch")
    return tuple(Epoch(*row[:2], *map(_number, row[2:6]), *row[6:]) for row in rows)


def read_lifetimes(
    connection: sqlite3.Connection, layers: Sequence[Layer]
) -> tuple[Lifetimes, ...]:
    """Return the lifetimes of the units of each layer; fewer where layers have none."""
    rows = connection.execute("SELECT units FROM lifetimes ORDER BY layer").fetchall()
    return tuple(
        Lifetimes(*(part.astype(np.int64) for part in schema.unpack_arrays(blob, layer.units, 3)))
        for layer, (blob,) in zip(layers, rows, strict=False)
    )


def read_examination(
    connection: sqlite3.Connection, layers: Sequence[Layer]
) -> tuple[UnitActivity, ...]:
    """Return what the units did at the final weights, by layer; empty if not examined."""
    rows = connection.execute(
        "SELECT rows, positions, gradient_positions, units FROM examination ORDER BY layer"
    ).fetchall()
    return tuple(
        schema.unpack_activity(counts, blob, layer.units)
        for layer, (*counts, blob) in zip(layers, rows, strict=False)
    )


def _read_held_out_rows(connection: sqlite3.Connection) -> int:
    (rows,) = connection.execute("SELECT MIN(held_out_rows) FROM examination").fetchone()
    return int(rows or 0)


def _read_losses(connection: sqlite3.Connection) -> dict[int, dict[str, float]]:
    there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'losses'"
    losses: dict[int, dict[str, float]] = {}
    if connection.execute(there).fetchone() is not None:
        for epoch, name, mean in connection.execute("SELECT epoch, name, mean FROM losses"):
            losses.setdefault(int(epoch), {})[str(name)] = _number(mean)
    return losses


def _read_added(connection: sqlite3.Connection, layers: Sequence[Layer]) -> dict[str, Any]:
    """Return what version 1 did not hold."""
    if schema.version_of(connection) == 1:
        return {}
    deaths = connection.execute("SELECT units FROM deaths ORDER BY layer").fetchall()
    missed = connection.execute("SELECT what, place, count FROM unobserved ORDER BY what, place")
    return (
        _read_facts(connection)
        | _read_remedies(connection)
        | {
            "deaths": tuple(
                schema.unpack_deaths(blob, layer.units)
                for layer, (blob,) in zip(layers, deaths, strict=False)
            ),
            "metrics": read_metrics(connection),
            "unobserved": tuple(
                Unobserved(str(what), str(place) or None, int(count))
                for what, place, count in missed
            ),
        }
    )


def read_metrics(connection: sqlite3.Connection) -> tuple[Metric, ...]:
    """Return what the script recorded, name by name; version 1 had no such table."""
    if schema.version_of(connection) == 1:
        return ()
    rows = connection.execute("SELECT name, step, value FROM metrics ORDER BY name, number")
    return tuple(Metric(str(name), int(step), _number(value)) for name, step, value in rows)


def _read_facts(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return what version 2 did not hold."""
    if schema.version_of(connection) < 3:
        return {}
    facts = connection.execute("SELECT kind, value FROM facts ORDER BY kind, key")
    names = connection.execute("SELECT name FROM weights ORDER BY id")
    scores = connection.execute(
        "SELECT step, phase, rows, loss, right FROM scores ORDER BY phase, number"
    )
    known = (from_json(str(kind), str(value)) for kind, value in facts)
    return {
        "facts": tuple(fact for fact in known if fact is not None),
        "weights": tuple(str(name) for (name,) in names),
        "curve": _read_curve(connection),
        "scores": tuple(
            Score(int(step), str(phase), int(rows), _number(loss), _number(right))
            for step, phase, rows, loss, right in scores
        ),
    }


def _read_remedies(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return what version 3 did not hold."""
    if schema.version_of(connection) < 4:
        return {}
    columns = "step, action, plan, evidence, verdict, gain, low, high, is_kept"
    rows = connection.execute(f"SELECT {columns} FROM remedies ORDER BY number")  # noqa: S608
    return {"remedies": tuple(AppliedRemedy.from_row(row) for row in rows)}


def _read_curve(connection: sqlite3.Connection) -> Curve:
    row = connection.execute("SELECT bucket_steps, buckets, losses FROM curve").fetchone()
    if row is None:
        return Curve.empty()
    bucket_steps, buckets, packed = row
    parts = schema.unpack_arrays(packed, buckets, 5)
    losses, least, greatest, rates = (part.astype(np.float64) for part in parts[:4])
    return Curve(int(bucket_steps), losses, least, greatest, rates, parts[4].astype(np.int64))


def _number(value: float | None) -> float:
    """SQLite keeps nan as NULL."""
    return math.nan if value is None else float(value)
