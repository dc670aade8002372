"""Writing a run file: one SQLite database in WAL mode, bounded in size, flushed as it grows.

Windows are written as they fill; the open one is written too, at most ``flush_interval_s`` after
the last write, so that a killed process loses at most that. When there are too many windows, or
they weigh too much, adjacent pairs merge: a month-long run costs what an hour costs.
"""

import ctypes
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from relume.errors import OutputError, RunFileError
from relume.runs import schema
from relume.runs.fact_json import kind_of, to_json
from relume.runs.facts import Fact
from relume.runs.log_folding import fold_log
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
    Window,
)
from relume.runs.remedies import AppliedRemedy
from relume.runs.run_file import read_layers, read_window
from relume.runs.thinning import Thinning

MOST_FILE_BYTES = 54 << 20
"""Bytes of a file from which windows merge; its log comes on top, and all stays below 64 MB."""
MOST_VALUES = 2000  # of one metric, or of the scores of one phase
MOST_METRICS = 200


class RunWriter:
    """The one writer of a run file.

    Args:
        path: The run file, which must not exist yet.
        resume_after: Go on with a file that exists, forgetting what was recorded after this step.
        most_windows: Windows kept before adjacent pairs merge.
        most_bytes: Bound on the bytes of the windows' records.
        flush_interval_s: Seconds within which a record should reach the file.

    Raises:
        OutputError: If the file exists, or cannot be created or written; also from every method.
        RunFileError: If there is no run file to go on with.
    """

    def __init__(
        self,
        path: Path,
        *,
        resume_after: int | None = None,
        most_windows: int = 256,
        most_bytes: int = 44 << 20,
        flush_interval_s: float = 0.5,
    ) -> None:
        self.path = path
        self._most_windows = most_windows
        self._most_bytes = most_bytes
        self._flush_interval_s = flush_interval_s
        self._settled_step: int | None = None
        self._flushed_at = time.monotonic()
        self._layers: tuple[Layer, ...] = ()
        self._metrics: dict[str, Thinning] = {}
        self._scores: dict[str, Thinning] = {}
        self._weights = 0
        self._sizes: dict[int, int] = {}  # first step of each window -> bytes of its records
        if resume_after is None and path.exists():
            raise OutputError(f"{path} exists already; a run file is never overwritten")
        if resume_after is not None and not path.is_file():
            raise RunFileError(f"there is no run file at {path}")
        with _reporting(path):
            # Autocommit: every transaction is begun and ended by name.
            # Who trains in another thread than it ends in: one at a time, but not always the same.
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA journal_size_limit = 1048576")
            if resume_after is None:
                schema.create(self._connection)
            else:
                self._rewind(resume_after)

    def _rewind(self, step: int) -> None:
        """Forget what was recorded after a step, and take up what was recorded before."""
        schema.check_version(self._connection, str(self.path))
        schema.upgrade(self._connection)
        with self._writing():
            for table, column in schema.REWOUND:
                self._connection.execute(
                    f"DELETE FROM {table} WHERE {column} > ?",  # noqa: S608
                    (step,),
                )
        self._layers = read_layers(self._connection)
        sizes = "SELECT first_step, SUM(LENGTH(units) + 100) FROM layer_windows GROUP BY 1"
        self._sizes = dict(self._connection.execute(sizes))
        self._metrics = self._read_series("name", "metrics")
        self._scores = self._read_series("phase", "scores")
        (self._weights,) = self._connection.execute("SELECT COUNT(*) FROM weights").fetchone()

    def _read_series(self, name: str, table: str) -> dict[str, Thinning]:
        numbers: dict[str, list[int]] = {}
        query = f"SELECT {name}, number FROM {table} ORDER BY {name}, number"  # noqa: S608
        for series, number in self._connection.execute(query):
            numbers.setdefault(series, []).append(number)
        return {series: Thinning(MOST_VALUES, kept) for series, kept in numbers.items()}

    def update_info(self, info: RunInfo | None = None, **parts: Any) -> None:
        """Write the run's info, or replace named parts of it, each plain JSON data."""
        parts = (asdict(info) if info else {}) | parts
        rows = [(key, json.dumps(value, allow_nan=False)) for key, value in parts.items()]
        with self._writing():
            self._put("info", rows)

    def set_layers(self, layers: Sequence[Layer]) -> None:
        """Write the layers, once, before the first window."""
        self._layers = tuple(layers)
        with self._writing():
            self._put("layers", [(index, *astuple(layer)) for index, layer in enumerate(layers)])

    def add_layers(self, layers: Sequence[Layer]) -> None:
        """Write further layers, found late: in the windows so far they were not seen."""
        known = len(self._layers)
        self.set_layers([*self._layers, *layers])
        nothing = [
            (index, LayerWindow(UnitActivity.zero(layer.units)))
            for index, layer in enumerate(layers, start=known)
        ]
        with self._writing():
            for first in self._sizes:
                for index, part in nothing:
                    self._put_layer_window(first, index, part)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers written so far, also before the training was interrupted."""
        return self._layers

    @property
    def number_of_weights(self) -> int:
        """How many weights have names so far, also from before the training was interrupted."""
        return self._weights

    def is_due(self) -> bool:
        """Whether the open window should be written now, full or not."""
        return time.monotonic() - self._flushed_at >= self._flush_interval_s

    def settle(self, step: int) -> None:
        """Say that a resumed run never goes back before ``step``: only older windows may merge."""
        self._settled_step = step

    def write_window(self, window: Window, lifetimes: Sequence[Lifetimes]) -> None:
        """Write a window (again, if it grew since) and the units' lifetimes, in one transaction."""
        with self._writing():
            self._put_window(window)
            self._put(
                "lifetimes",
                [
                    (i, schema.pack_arrays(life.last_fired, life.first_silent, life.silent_rows))
                    for i, life in enumerate(lifetimes)
                ],
            )
        self._flushed_at = time.monotonic()
        if len(self._sizes) > self._most_windows or self._is_heavy():
            self._merge_windows()

    def _is_heavy(self) -> bool:
        """Whether the windows weigh too much, or the file does and not for other things alone."""
        weight = sum(self._sizes.values())
        if weight <= self._most_bytes / 4:
            return False
        return weight > self._most_bytes or schema.used_bytes(self._connection) > MOST_FILE_BYTES

    def write_epoch(self, epoch: Epoch) -> None:
        """Append one epoch."""
        with self._writing():
            self._put("epochs", [tuple(asdict(epoch).values())])

    def write_losses(self, epoch: int, means: Mapping[str, float]) -> None:
        """Write the mean over an epoch of each loss that has a name."""
        with self._writing():
            self._put("losses", [(epoch, name, mean) for name, mean in means.items()])

    def write_deaths(self, deaths: Sequence[Deaths]) -> None:
        """Write the death certificates of every layer, in the order of the layers."""
        with self._writing():
            self._put("deaths", [(i, schema.pack_deaths(each)) for i, each in enumerate(deaths)])

    def write_unobserved(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Write what could not be observed, in place of what was written before.

        Args:
            counts: How often, by what was called and ``file:line`` ("" where not known).
        """
        with self._writing():
            self._connection.execute("DELETE FROM unobserved")
            self._put("unobserved", [(*key, times) for key, times in counts.items()])

    def write_metrics(self, metrics: Sequence[Metric]) -> tuple[str, ...]:
        """Append scores, thinned out evenly to at most 2,000 of a name, with the first and last.

        Returns:
            The names that were refused: those after the first 200.
        """
        refused = set()
        with self._writing():
            for metric in metrics:
                if metric.name not in self._metrics and len(self._metrics) >= MOST_METRICS:
                    refused.add(metric.name)
                else:
                    self._put_metric(metric)
        return tuple(sorted(refused))

    def write_facts(self, facts: Iterable[Fact]) -> None:
        """Write facts, each in place of the one of its kind and key that was written before."""
        with self._writing():
            self._put("facts", [(kind_of(fact), fact.key, to_json(fact)) for fact in facts])

    def add_weights(self, names: Sequence[str]) -> None:
        """Write the names of further weights, which windows follow in this order from now on."""
        first = self._weights
        with self._writing():
            self._put("weights", list(enumerate(names, start=first)))
        self._weights += len(names)

    def write_curve(self, curve: Curve) -> None:
        """Write the loss over the whole training, in place of what was written before."""
        packed = schema.pack_arrays(
            curve.losses, curve.least, curve.greatest, curve.rates, curve.nonfinite
        )
        with self._writing():
            self._put("curve", [(0, curve.bucket_steps, len(curve.losses), packed)])

    def add_scores(self, scores: Sequence[Score]) -> None:
        """Append scores, thinned out evenly to at most 2,000 of a phase."""
        with self._writing():
            for score in scores:
                self._put_score(score)

    def write_remedy(self, remedy: AppliedRemedy, number: int | None = None) -> int:
        """Write an application of a remedy, or write one again, and return its number."""
        with self._writing():
            if number is None:
                query = "SELECT COALESCE(MAX(number), 0) + 1 FROM remedies"
                (number,) = self._connection.execute(query).fetchone()
            self._put("remedies", [(number, *remedy.to_row())])
        return int(number)

    def write_examination(self, activities: Sequence[UnitActivity], *, held_out_rows: int) -> None:
        """Write what every layer did at the final weights.

        Args:
            activities: One per layer, over all rows that were examined.
            held_out_rows: How many of them had no influence on the weights.
        """
        with self._writing():
            self._put(
                "examination",
                [
                    (i, *_counts(a), schema.pack_activity(a), held_out_rows)
                    for i, a in enumerate(activities)
                ],
            )

    def let_go(self) -> None:
        """Never touch the file again, not even by closing it: another process goes on with it.

        For a forked child, in which closing would fold the log under its parent's hands.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))

    def close(self) -> None:
        """Fold the log into the one file and close it; closing twice is allowed."""
        try:
            with _reporting(self.path):
                fold_log(self._connection)
        except sqlite3.ProgrammingError:
            return  # closed before
        finally:
            self._connection.close()

    def _put(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        for row in rows:
            marks = ", ".join("?" * len(row))
            self._connection.execute(
                f"INSERT OR REPLACE INTO {table} VALUES ({marks})",  # noqa: S608
                [_storable(value) for value in row],
            )

    def _put_metric(self, metric: Metric) -> None:
        series = self._metrics.setdefault(metric.name, Thinning(MOST_VALUES))
        number, dropped = series.add()
        self._put("metrics", [(metric.name, number, metric.step, metric.value)])
        self._connection.executemany(
            "DELETE FROM metrics WHERE name = ? AND number = ?",
            [(_storable(metric.name), old) for old in dropped],
        )

    def _put_score(self, score: Score) -> None:
        series = self._scores.setdefault(score.phase, Thinning(MOST_VALUES))
        number, dropped = series.add()
        row = (score.phase, number, score.step, score.rows, score.loss, score.right)
        self._put("scores", [row])
        self._connection.executemany(
            "DELETE FROM scores WHERE phase = ? AND number = ?",
            [(score.phase, old) for old in dropped],
        )

    def _put_window(self, window: Window) -> None:
        first = window.first_step
        loss = schema.pack_moments(window.loss)
        self._put(
            "windows",
            [(first, window.last_step, window.armed_steps, loss, window.learning_rate)],
        )
        size = 0
        for index, part in enumerate(window.layers):
            size += self._put_layer_window(first, index, part)
        if window.weights:
            packed = schema.pack_weights(window.weights)
            self._put("weight_windows", [(first, packed)])
            size += len(packed)
        self._sizes[first] = size

    def _put_layer_window(self, first: int, index: int, part: LayerWindow) -> int:
        """Write one layer of a window and return about how many bytes that took."""
        seen, units = part.activity, schema.pack_activity(part.activity)
        moments = (part.gradient_norm, part.update_ratio, part.slope)
        flow = map(schema.pack_moments, moments)
        self._put("layer_windows", [(first, index, *_counts(seen), units, *flow)])
        return len(units) + 100

    def _merge_windows(self) -> None:
        """Merge adjacent pairs, each in a transaction of its own, leaving the newest alone."""
        firsts = sorted(self._sizes)[:-1]
        if self._settled_step is not None:
            firsts = [first for first in firsts if first <= self._settled_step]
        for early, late in zip(firsts[::2], firsts[1::2], strict=False):
            with self._writing():
                pair = [
                    read_window(self._connection, self._layers, first) for first in (early, late)
                ]
                for table in ("windows", "layer_windows", "weight_windows"):
                    self._connection.execute(
                        f"DELETE FROM {table} WHERE first_step = ?",  # noqa: S608
                        (late,),
                    )
                self._put_window(pair[0] + pair[1])
            del self._sizes[late]

    def together(self) -> AbstractContextManager[None]:
        """Make one transaction of all that is written inside."""
        return self._writing()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, undone whole if anything in it fails."""
        with _reporting(self.path):
            if self._connection.in_transaction:  # a part of what is written together
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _storable(value: object) -> object:
    """Return a value that SQLite takes: file names of other encodings are not valid Unicode."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _counts(activity: UnitActivity) -> tuple[int, int, int]:
    return (activity.rows, activity.positions, activity.gradient_positions)


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Turn SQLite's failures into one line with the file's name."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.ProgrammingError):
            raise
        raise OutputError(f"cannot write the run file {path}: {error}") from error
