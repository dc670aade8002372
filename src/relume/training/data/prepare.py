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
from relume.training.data.target import target_cells
from relume.training.data.targets import (
    Labelled,
    choose_targets,
    joined,
    left_out_notes,
    read_targets,
    rows_with_all,
)
from relume.training.data.task import Task
from relume.training.data.text import TextColumn, find_prose, text_notes
from relume.training.data.wording import counted, listed, require_columns, shown

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
    targets: tuple[str, ...]
    features: list[str]
    dropped: list[Dropped]
    is_usual: bool  # built-in data, and the target that they are known for
    shape: tuple[int, int, int] | None


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
        ((105, 4), ('setosa', 'versicolor', 'virginica'))
    """
    if not isinstance(data, pl.DataFrame) and is_image_source(data):
        return _prepare_arrays(data, options)
    notes: list[str] = []
    source = _open(data, options, notes)
    labelled = read_targets(
        source.table, source.targets, options, notes, say_task=not source.is_usual
    )
    parts = shares(options)
    splits = split_rows(labelled.groups(len(parts)), parts, options.seed)
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
            f"alike in every column used{' and the target' if preprocessing.targets else ''}: "
            "the test score flatters"
        )
    validation, test = others
    return Prepared(
        name=source.table.name,
        task=preprocessing.task if preprocessing.targets else None,
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
    usual = builtin.target if builtin else None
    if options.unsupervised and options.target is None:
        targets, note = tuple(filter(None, [usual])), ""
    else:
        targets, note = choose_targets(table, options.target, usual)
    notes += [note] if note else []
    if table.frame.height == 0:
        raise DataError(f"{table.name} has no rows; give at least {FEWEST_ROWS}")
    check_columns(table, targets, options)
    features, dropped = _features(table, targets, options)
    is_usual = builtin is not None and targets == (builtin.target,)
    if options.unsupervised:
        notes += _left_out_columns(targets)
    is_whole = is_usual and not (options.drop or options.categorical or options.text)
    shape = builtin.shape if builtin is not None and is_whole else None
    predicted = () if options.unsupervised else targets
    return _Source(table, test, predicted, features, dropped, is_usual, shape)


def _left_out_columns(names: tuple[str, ...]) -> list[str]:
    what = f"{'column' if len(names) == 1 else 'columns'} {listed(names)}"
    return [f"{what} left out: an autoencoder has no target"] if names else []


def _features(
    table: Table, targets: tuple[str, ...], options: DataOptions
) -> tuple[list[str], list[Dropped]]:
    unused = {*targets, *options.drop}
    types = {name: dtype for name, dtype in table.frame.schema.items() if name not in unused}
    features = [name for name, dtype in types.items() if not is_unreadable(dtype)]
    if not features:
        what = f"{'target' if len(targets) == 1 else 'targets'} {listed(targets)}"
        what = what if targets else "columns to drop"
        raise DataError(f"{table.name}: beside the {what} no column is left")
    unreadable = [name for name, dtype in types.items() if is_unreadable(dtype)]
    return features, [Dropped(name, Reason.UNREADABLE) for name in unreadable]


def _fit(
    source: _Source,
    readings: list[Reading],
    cells: pl.DataFrame,
    labelled: Labelled,
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
    targets = labelled.fit(split, source.table.name)
    return Preprocessing(tuple(columns), targets, tuple(dropped), options.missing)


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
    labelled: Labelled,
    split: NDArray[np.int64],
) -> Part:
    rows = labelled.rows[split]
    return Part(preprocessing.encode(cells[rows]), labelled.y[split], rows)


def _test_part(
    preprocessing: Preprocessing, table: Table, notes: list[str]
) -> tuple[Part, NDArray[np.uint64]]:
    """Encode an own test file; also return the hashes of its rows."""
    targets = preprocessing.targets
    readings = [column.reading for column in preprocessing.columns]
    wanted = [*(target.name for target in targets), *(reading.name for reading in readings)]
    require_columns(table.name, wanted, table.frame.columns)
    labels = [
        target_cells(table, target.name, target.task, preprocessing.missing) for target in targets
    ]
    present = rows_with_all(labels, table.frame.height)
    if not len(present):
        what = "target" if len(targets) == 1 else "one of the targets"
        what += f" {listed([target.name for target in targets])}"
        raise DataError(f"{table.name}: {what} is missing in every row")
    notes += left_out_notes(labels, f" in {shown(table.name)}")
    y = joined(
        [
            target.encode_cells(table, cells)[present]
            for target, cells in zip(targets, labels, strict=True)
        ],
        len(present),
    )
    cells = read_cells(table, readings, preprocessing.missing)[present]
    return Part(preprocessing.encode(cells), y, present), row_hashes(cells, y)


def _fingerprint(source: _Source) -> str:
    tested = source.test.digest if source.test is not None else ""
    return hashlib.sha256(f"{source.table.digest} {tested}".encode()).hexdigest()
