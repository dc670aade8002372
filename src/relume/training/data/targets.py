"""The columns to predict, one or several: which they are, and the rows that have them all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.options import DataOptions, shares
from relume.training.data.prepared import FEWEST_ROWS
from relume.training.data.table import Table
from relume.training.data.target import (
    Target,
    as_float32,
    check_varies,
    choose_target,
    find_classes,
    find_task,
    fit_target,
    target_cells,
)
from relume.training.data.task import Task
from relume.training.data.wording import counted, listed, require_columns, shown


@dataclass(frozen=True, slots=True)
class Labelled:
    """The rows that have every target, and their encoded targets.

    Args:
        rows: (rows,), where each row stands in the table.
        y: (rows,) for one target: class indices (int64), or values in its own unit (float32); for
            several, or none, (rows, targets), the same as float64, which holds both exactly.
        names: The columns, in the order of ``y``.
        classes: The class labels of each; None for regression.
    """

    rows: NDArray[np.int64]
    y: NDArray[np.generic]
    names: tuple[str, ...]
    classes: tuple[tuple[str, ...] | None, ...]

    def groups(self, parts: int) -> NDArray[np.int64]:
        """Return the group of each row, to be shared out alike over ``parts`` parts.

        The classes are its groups; of several targets every combination of their classes, where
        each has a row for every part, else the classes of the first that has any.
        """
        columns = [
            column.astype(np.int64)
            for column, classes in zip(by_target(self.y), self.classes, strict=True)
            if classes is not None
        ]
        if not columns:
            return np.zeros(len(self.rows), np.int64)
        if len(columns) > 1:
            _, joint, sizes = np.unique(
                np.stack(columns, axis=1), axis=0, return_inverse=True, return_counts=True
            )
            if sizes.min() >= parts:
                return joint.reshape(-1).astype(np.int64)
        return columns[0]

    def fit(self, split: NDArray[np.int64], table: str) -> tuple[Target, ...]:
        """Learn the targets from the training part.

        Raises:
            DataError: A class stands in none of its rows.
        """
        columns = by_target(self.y[split])
        for name, classes, y in zip(self.names, self.classes, columns, strict=True):
            if classes is not None:
                _check_learnt(table, name, classes, y)
        return tuple(
            fit_target(name, classes, y)
            for name, classes, y in zip(self.names, self.classes, columns, strict=True)
        )


def by_target(y: NDArray[np.generic]) -> tuple[NDArray[np.generic], ...]:
    """Return the column of each target.

    Example:
        >>> [column.tolist() for column in by_target(np.array([[0, 2.5], [1, 3.5]]))]
        [[0.0, 1.0], [2.5, 3.5]]
    """
    return (y,) if y.ndim == 1 else tuple(y.T)


def choose_targets(
    table: Table, given: str | None, usual: str | None
) -> tuple[tuple[str, ...], str]:
    """Return the columns to predict, and a sentence where they were guessed.

    Args:
        table: The table.
        given: What a person asked for: a column, or several with commas between them.
        usual: The column that built-in data are known to be about.

    Raises:
        DataError: There is no such column, one is named twice, or none was given and none stands
            out.

    Example:
        >>> choose_targets(Table("t", pl.DataFrame({"a": [1], "b": [2]})), "a, b", None)
        (('a', 'b'), '')
    """
    columns = table.frame.columns
    if given is None or given in columns or "," not in given:
        name, note = choose_target(table, given, usual)
        return (name,), note
    pieces = given.split(",")
    names = tuple(piece if piece in columns else piece.strip() for piece in pieces)
    if not all(names):
        raise DataError(
            f"{table.name}: --target {shown(given)} has nothing on one side of a comma; "
            "give columns such as label,angle"
        )
    require_columns(table.name, names, columns, "--target")
    for at, name in enumerate(names):
        if name in names[:at]:
            raise DataError(f"{table.name}: --target names the column {shown(name)} twice")
    return names, ""


def tasks_for(
    names: Sequence[str], given: Task | tuple[Task, ...] | None
) -> tuple[Task | None, ...]:
    """Return the task that was given for each target; None where it is to be found out.

    Raises:
        DataError: There are more or fewer than there are targets.
    """
    if given is None:
        return (None,) * len(names)
    tasks = (given,) if isinstance(given, Task) else given
    if len(tasks) != len(names):
        raise DataError(
            f"--task names {counted(len(tasks), 'task')} for {counted(len(names), 'target')} "
            f"({listed(names)}); give one for each in the same order, or leave it out"
        )
    return tasks


def read_targets(
    table: Table,
    names: tuple[str, ...],
    options: DataOptions,
    notes: list[str],
    *,
    say_task: bool = True,
) -> Labelled:
    """Read the targets of all rows that have them.

    Args:
        table: The table.
        names: Its columns to predict.
        options: What a person says about them.
        notes: Sentences for a person are added here.
        say_task: Whether to say what a target was taken for where that was found out.

    Raises:
        DataError: A target cannot be learned, or too few rows have them all.
    """
    columns: list[tuple[Task, pl.Series]] = []
    for name, given in zip(names, tasks_for(names, options.task), strict=True):
        task, note = find_task(table, name, given, options.missing)
        notes += [note] if note and say_task else []
        columns.append((task, target_cells(table, name, task, options.missing)))
    rows = rows_with_all([cells for _, cells in columns], table.frame.height)
    notes += left_out_notes([cells for _, cells in columns], "")
    if len(rows) < FEWEST_ROWS:
        what = " with a target" if len(names) == 1 else " with every target"
        raise DataError(
            f"{table.name} has {counted(len(rows), 'row')}"
            f"{'' if len(rows) == table.frame.height else what}; "
            f"at least {FEWEST_ROWS} are needed"
        )
    parts = len(shares(options))
    encoded = [_encoded(table, task, cells, rows, parts) for task, cells in columns]
    y = joined([y for _, y in encoded], len(rows))
    return Labelled(rows, y, names, tuple(classes for classes, _ in encoded))


def rows_with_all(columns: Sequence[pl.Series], height: int) -> NDArray[np.int64]:
    """Return the numbers of the rows in which no target is missing."""
    present = np.ones(height, bool)
    for cells in columns:
        present &= cells.is_not_null().to_numpy()
    return np.flatnonzero(present).astype(np.int64)


def left_out_notes(columns: Sequence[pl.Series], where: str) -> list[str]:
    """Say how many rows are left out since a target is missing there; nothing if none is."""
    height = columns[0].len() if columns else 0
    missing = height - len(rows_with_all(columns, height))
    if not missing:
        return []
    rows, names = counted(missing, "row"), listed([cells.name for cells in columns])
    what = f"target {names}" if len(columns) == 1 else f"all of the targets {names}"
    why = "it is empty, or a text that means missing, such as NA or None"
    return [f"{rows} without {what}{where} left out ({why})"]


def joined(columns: Sequence[NDArray[np.generic]], rows: int) -> NDArray[np.generic]:
    """Return one encoded target as it is, several (or none) side by side as float64."""
    if len(columns) == 1:
        return columns[0]
    beside = np.empty((rows, len(columns)))
    for at, column in enumerate(columns):
        beside[:, at] = column
    return beside


def _encoded(
    table: Table, task: Task, cells: pl.Series, rows: NDArray[np.int64], parts: int
) -> tuple[tuple[str, ...] | None, NDArray[np.generic]]:
    if task is Task.REGRESSION:
        check_varies(table, cells[rows])
        return None, as_float32(table, cells)[rows]
    return find_classes(table.name, cells[rows], parts)


def _check_learnt(table: str, name: str, classes: tuple[str, ...], y: NDArray[np.generic]) -> None:
    absent = np.flatnonzero(np.bincount(y.astype(np.int64), minlength=len(classes)) == 0)
    if len(absent):
        raise DataError(
            f"{table}: class {shown(classes[absent[0]])} of target {shown(name)} stands in none "
            "of the training rows; merge it with another, leave it out, or name this target first"
        )
