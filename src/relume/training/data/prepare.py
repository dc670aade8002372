"""The door: from a table to encoded training, validation and test parts, without leakage.

What is learnt (medians, means, levels, which columns are constant or keys) is learnt from the
training rows alone; of other rows only facts of their type are used (is it a number, a date).
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.builtin import builtin_names, find_builtin
from relume.training.data.cells import Kind, Reading, is_unreadable, read_cells
from relume.training.data.columns import find_readings
from relume.training.data.dropping import Dropped, Reason, find_dropped
from relume.training.data.encoding import FittedColumn, fit_column, fit_pixels
from relume.training.data.notes import date_notes, dropped_notes, kinds_note, rare_levels_note
from relume.training.data.npz_form import find_form
from relume.training.data.options import DataOptions, check_columns, check_fractions, shares
from relume.training.data.prepare_images import is_image_source, prepare_images
from relume.training.data.prepare_sequences import prepare_sequences
from relume.training.data.prepared import FEWEST_ROWS, Part, Prepared
from relume.training.data.preprocessing import Preprocessing
from relume.training.data.repeats import count_repeats, row_hashes
from relume.training.data.split import split_rows
from relume.training.data.table import Table, frame_digest, read_data, read_table
from relume.training.data.target import (
    as_float32,
    check_varies,
    choose_target,
    find_classes,
    find_task,
    fit_target,
    target_cells,
)
from relume.training.data.task import Task
from relume.training.data.text import TextColumn, find_prose, text_notes
from relume.training.data.wording import counted, require_columns, shown

__all__ = [
    "DataOptions",
    "Part",
    "Prepared",
    "Preprocessing",
    "Table",
    "Task",
    "builtin_names",
    "prepare",
    "read_data",
    "read_table",
]


@dataclass(frozen=True, slots=True)
class _Source:
    """What was opened, and what of it is used."""

    table: Table
    test: Table | None
    target: str
    features: list[str]
    dropped: list[Dropped]
    is_usual: bool  # built-in data, and the target that they are known for
    shape: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class _Labelled:
    """The rows that have a target, their encoded target and its classes."""

    rows: NDArray[np.int64]
    y: NDArray[np.generic]
    classes: tuple[str, ...] | None


def prepare(data: str | Path | pl.DataFrame, options: DataOptions) -> Prepared:
    """Read a table, images or sequences, split the rows and encode them.

    Columns that are keys or constant are left out; numbers are standardised, categories become
    one feature a level, dates numbers, prose its words, behind all other features. Classes are
    split alike into all parts.

    Images are scaled by one mean and deviation a channel, sequences by one a feature.

    Args:
        data: A built-in name, a file, a folder of images, or a table.
        options: What a person says about it.

    Raises:
        DataError: The data cannot be read or learned from; one line says what to do.

    Example:
        >>> iris = prepare("iris", DataOptions())
        >>> iris.train.x.shape, iris.preprocessing.classes
        ((90, 4), ('setosa', 'versicolor', 'virginica'))
    """
    if not isinstance(data, pl.DataFrame) and is_image_source(data):
        return _prepare_arrays(data, options)
    notes: list[str] = []
    source = _open(data, options, notes)
    labelled = _read_target(source, options, notes)
    splits = split_rows(_groups(labelled), shares(options), options.seed)
    readings = find_readings(
        source.table, source.features, options.missing, {*options.categorical, *options.text}
    )
    cells = read_cells(source.table, readings, options.missing)
    notes += date_notes(cells, readings)
    preprocessing = _fit(source, readings, cells, labelled, splits[0], options)
    notes += _fit_notes(preprocessing)
    notes += text_notes(preprocessing.texts, cells[labelled.rows[splits[0]]])
    cells = cells.select([column.reading.name for column in preprocessing.columns])
    train, *others = (_part(preprocessing, cells, labelled, split) for split in splits)
    hashes = row_hashes(cells[labelled.rows], labelled.y)
    tested = hashes[splits[-1]]
    if source.test is not None:
        part, tested = _test_part(preprocessing, source.test, notes)
        others.append(part)
    repeats = count_repeats(hashes[splits[0]], tested)
    if repeats:
        notes.append(
            f"{counted(repeats, 'test row')} of {len(tested):,} also stand in the training part, "
            "alike in every column used and the target: the test score flatters"
        )
    validation, test = others
    return Prepared(
        name=source.table.name,
        task=preprocessing.task,
        preprocessing=preprocessing,
        train=train,
        validation=validation,
        test=test,
        notes=tuple(notes),
        fingerprint=_fingerprint(source),
        image_shape=source.shape,
    )


def _prepare_arrays(data: str | Path, options: DataOptions) -> Prepared:
    """Prepare images or sequences; say which, where that had to be guessed."""
    form = find_form(Path(data), shown(Path(data).name))
    prepared = (prepare_sequences if form.sequences else prepare_images)(data, options)
    return replace(prepared, notes=(form.note, *prepared.notes)) if form.note else prepared


def _open(data: str | Path | pl.DataFrame, options: DataOptions, notes: list[str]) -> _Source:
    check_fractions(options)
    if isinstance(data, pl.DataFrame):
        table = Table("table", data, digest=frame_digest(data))
    else:
        table = read_table(data)
    test = None if options.test is None else read_table(options.test)
    if test is not None and test.digest == table.digest:
        raise DataError(
            f"the test file {shown(test.name)} holds the very data to learn from; "
            "leave --test out to have rows set aside"
        )
    if table.frame.width < 2:
        raise DataError(
            f"{table.name} has only {counted(table.frame.width, 'column')}: nothing to learn from; "
            "the columns of a CSV file are separated by a comma, semicolon, tab or bar"
        )
    builtin = find_builtin(data)
    target, note = choose_target(table, options.target, builtin.target if builtin else None)
    notes += [note] if note else []
    if table.frame.height == 0:
        raise DataError(f"{table.name} has no rows; give at least {FEWEST_ROWS}")
    check_columns(table, target, options)
    features, dropped = _features(table, target, options)
    is_usual = builtin is not None and builtin.target == target
    is_whole = is_usual and not (options.drop or options.categorical or options.text)
    shape = builtin.shape if builtin is not None and is_whole else None
    return _Source(table, test, target, features, dropped, is_usual, shape)


def _features(table: Table, target: str, options: DataOptions) -> tuple[list[str], list[Dropped]]:
    unused = {target, *options.drop}
    types = {name: dtype for name, dtype in table.frame.schema.items() if name not in unused}
    features = [name for name, dtype in types.items() if not is_unreadable(dtype)]
    if not features:
        raise DataError(f"{table.name}: beside the target {shown(target)} no column is left")
    unreadable = [name for name, dtype in types.items() if is_unreadable(dtype)]
    return features, [Dropped(name, Reason.UNREADABLE) for name in unreadable]


def _read_target(source: _Source, options: DataOptions, notes: list[str]) -> _Labelled:
    table = source.table
    task, note = find_task(table, source.target, options.task, options.missing)
    notes += [note] if note and not source.is_usual else []
    cells = target_cells(table, source.target, task, options.missing)
    rows = cells.is_not_null().arg_true().to_numpy().astype(np.int64)
    notes += _left_out_notes(cells, "")
    if len(rows) < FEWEST_ROWS:
        with_target = "" if len(rows) == cells.len() else " with a target"
        raise DataError(
            f"{table.name} has {counted(len(rows), 'row')}{with_target}; "
            f"at least {FEWEST_ROWS} are needed"
        )
    if task is Task.REGRESSION:
        check_varies(table, cells)
        return _Labelled(rows, as_float32(table, cells)[rows], None)
    classes, codes = find_classes(table.name, cells.drop_nulls(), len(shares(options)))
    return _Labelled(rows, codes, classes)


def _left_out_notes(target: pl.Series, where: str) -> list[str]:
    missing = target.null_count()
    if not missing:
        return []
    rows = counted(missing, "row")
    why = "it is empty, or a text that means missing, such as NA or None"
    return [f"{rows} without target {shown(target.name)}{where} left out ({why})"]


def _groups(labelled: _Labelled) -> NDArray[np.int64]:
    if labelled.classes is None:
        return np.zeros(len(labelled.rows), np.int64)
    return labelled.y.astype(np.int64)


def _fit(
    source: _Source,
    readings: list[Reading],
    cells: pl.DataFrame,
    labelled: _Labelled,
    split: NDArray[np.int64],
    options: DataOptions,
) -> Preprocessing:
    """Learn columns and target; only the training rows are looked at."""
    rows = labelled.rows[split]
    training = cells[rows]
    dropped: list[Dropped] = []
    if source.shape is not None:
        columns = fit_pixels(training)
    else:
        columns, dropped = _fit_columns(training, readings, rows, options)
    dropped = [*source.dropped, *dropped]
    if not columns:
        raise DataError(
            f"{source.table.name}: no column is left to learn from: "
            f"{'; '.join(dropped_notes(dropped))}"
        )
    target = fit_target(source.target, labelled.classes, labelled.y[split])
    return Preprocessing(tuple(columns), target, tuple(dropped), options.missing)


def _fit_columns(
    training: pl.DataFrame,
    readings: list[Reading],
    rows: NDArray[np.int64],
    options: DataOptions,
) -> tuple[list[FittedColumn], list[Dropped]]:
    """Learn the columns that can help, those of text behind all others."""
    prose = set(options.text)
    if options.read_texts:
        prose |= find_prose(training, readings, set(options.categorical))
    readings = [Reading(one.name, Kind.TEXT) if one.name in prose else one for one in readings]
    readings.sort(key=lambda one: one.kind is Kind.TEXT)
    dropped = find_dropped(training, readings, rows, set(options.categorical))
    useless = {one.name for one in dropped}
    columns = [fit_column(training[one.name], one) for one in readings if one.name not in useless]
    wordless = {one.name for one in columns if isinstance(one, TextColumn) and not one.words}
    dropped += [Dropped(name, Reason.RARE) for name in sorted(wordless)]
    return [one for one in columns if one.reading.name not in wordless], dropped


def _fit_notes(preprocessing: Preprocessing) -> list[str]:
    rare = rare_levels_note(preprocessing.columns)
    return [
        *dropped_notes(preprocessing.dropped),
        *([rare] if rare else []),
        kinds_note(preprocessing.columns),
    ]


def _part(
    preprocessing: Preprocessing,
    cells: pl.DataFrame,
    labelled: _Labelled,
    split: NDArray[np.int64],
) -> Part:
    rows = labelled.rows[split]
    return Part(preprocessing.encode(cells[rows]), labelled.y[split], rows)


def _test_part(
    preprocessing: Preprocessing, table: Table, notes: list[str]
) -> tuple[Part, NDArray[np.uint64]]:
    """Encode an own test file; also return the hashes of its rows."""
    target = preprocessing.target
    readings = [column.reading for column in preprocessing.columns]
    wanted = [target.name, *(reading.name for reading in readings)]
    require_columns(table.name, wanted, table.frame.columns)
    labels = target_cells(table, target.name, target.task, preprocessing.missing)
    present = labels.is_not_null().arg_true().to_numpy().astype(np.int64)
    if not len(present):
        raise DataError(f"{table.name}: target {shown(target.name)} is missing in every row")
    notes += _left_out_notes(labels, f" in {shown(table.name)}")
    y = target.encode_cells(table, labels)[present]
    cells = read_cells(table, readings, preprocessing.missing)[present]
    return Part(preprocessing.encode(cells), y, present), row_hashes(cells, y)


def _fingerprint(source: _Source) -> str:
    tested = source.test.digest if source.test is not None else ""
    return hashlib.sha256(f"{source.table.digest} {tested}".encode()).hexdigest()
