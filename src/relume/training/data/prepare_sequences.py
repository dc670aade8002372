"""The door for sequences: from an ``.npz`` file to encoded training, validation and test parts."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.encoding import level_codes
from relume.training.data.npz_sequences import read_sequences
from relume.training.data.options import (
    DataOptions,
    check_fractions,
    refuse_column_options,
    shares,
)
from relume.training.data.prepared import FEWEST_ROWS, Part, Prepared
from relume.training.data.repeats import array_hashes, count_repeats
from relume.training.data.sequence_preprocessing import SequencePreprocessing
from relume.training.data.sequence_set import SequenceSet
from relume.training.data.split import split_rows
from relume.training.data.table import Table
from relume.training.data.target import (
    Target,
    as_float32,
    check_varies,
    find_classes,
    find_task,
    fit_target,
)
from relume.training.data.task import Task
from relume.training.data.wording import counted, shown

NAMED_TASKS = {"labels": Task.CLASSIFICATION, "values": Task.REGRESSION}
"""What a target's own name says of it; ``--task`` overrules it."""


def open_sequences(data: str | Path) -> SequenceSet:
    """Read the sequences of an ``.npz`` file.

    Raises:
        DataError: It is none, or cannot be read.
    """
    path = Path(data)
    if path.suffix.lower() != ".npz":
        raise DataError(f"sequences are read from an .npz file; got {shown(path, 200)}")
    name = path.resolve().name or str(path)
    return read_sequences(path, name if name.isprintable() else repr(name))


def prepare_sequences(data: str | Path, options: DataOptions) -> Prepared:
    """Read sequences, split and encode them; what is learnt is learnt from the training part alone.

    An own test part is kept as it is; else rows are set aside for it, every class alike. Whole
    numbers are classes or amounts by the rules for tables, unless the target's name or ``--task``
    tells.

    Args:
        data: An ``.npz`` file.
        options: What a person says about it; the options for columns do not apply.

    Raises:
        DataError: The sequences cannot be read or learned from.
    """
    check_fractions(options)
    refuse_column_options(options, "the target of sequences is an array of its own")
    if options.unsupervised:
        raise DataError(
            "--network autoencoder is for tables and images; the data are sequences: use rnn, "
            "transformer or mlp"
        )
    sequences = open_sequences(data)
    test, notes = _own_test(sequences, options)
    if len(sequences) < FEWEST_ROWS:
        raise DataError(
            f"{sequences.name} has {counted(len(sequences), 'sequence')} to learn from; "
            f"at least {FEWEST_ROWS} are needed"
        )
    validation = options.validation_fraction
    parts = shares(options) if test is None else (1 - validation, validation)
    y, classes = _read_target(sequences, options, len(parts), notes)
    groups = np.zeros(len(y), np.int64) if classes is None else y.astype(np.int64)
    splits = split_rows(groups, parts, options.seed)
    target = fit_target(_known_target(sequences).name, classes, y[splits[0]])
    preprocessing = SequencePreprocessing.fit(sequences, splits[0], target)
    if not preprocessing.padded and not any(preprocessing.scales):
        raise DataError(f"{sequences.name}: the training sequences are alike in every number")
    encoded = [Part(preprocessing.encode(sequences, rows), y[rows], rows) for rows in splits]
    if test is not None:
        encoded.append(_test_part(preprocessing, test))
    train, _, tested = encoded
    notes += _repeats_note(train, tested)
    return Prepared(
        name=sequences.name,
        task=target.task,
        preprocessing=preprocessing,
        train=train,
        validation=encoded[1],
        test=tested,
        notes=tuple(notes),
        fingerprint=_fingerprint(sequences, test),
        image_shape=None,
    )


def target_truth(target: Target, sequences: SequenceSet) -> NDArray[np.generic]:
    """Return class indices, -1 for a class that is not known, or values in their own unit.

    Raises:
        DataError: Values are needed and the target holds none.
    """
    given = _known_target(sequences)
    if target.classes is None:
        return as_float32(_as_table(sequences, given), _amounts(sequences, given))
    return level_codes(_labels(given), target.classes).copy()  # what polars hands out is not ours


def _own_test(sequences: SequenceSet, options: DataOptions) -> tuple[SequenceSet | None, list[str]]:
    """The test part given beside the sequences, by a person or by the file, and what to say."""
    if options.test is None:
        own = sequences.test
        if own is None:
            return None, []
        return own, [f"the test part is the file's own, {counted(len(own), 'sequence')}"]
    given = open_sequences(options.test)
    if given.digest == sequences.digest:
        raise DataError(
            f"the test file {shown(given.name)} holds the very data to learn from; "
            "leave --test out to have rows set aside"
        )
    return given.test or given, []


def _read_target(
    sequences: SequenceSet, options: DataOptions, parts: int, notes: list[str]
) -> tuple[NDArray[np.generic], tuple[str, ...] | None]:
    """Find the task; return the encoded target of every row, and the classes."""
    target = _known_target(sequences)
    table = _as_table(sequences, target)
    given = _given_task(options)
    asked = given or NAMED_TASKS.get(target.name)
    task, note = find_task(table, target.name, asked, ())
    notes += [note] if note else []
    if task is Task.REGRESSION:
        amounts = _amounts(sequences, target)
        check_varies(table, amounts)
        return as_float32(table, amounts), None
    if given is None and target.dtype == pl.Float64 and not _is_whole(target):
        raise DataError(
            f"{sequences.name}: {shown(target.name)} holds {_first_fraction(target)}; labels are "
            "whole numbers or texts: rename the array to values, or add --task regression"
        )
    classes, codes = find_classes(sequences.name, _labels(target), parts)
    return codes, classes


def _given_task(options: DataOptions) -> Task | None:
    if not isinstance(options.task, tuple):
        return options.task
    if len(options.task) > 1:
        raise DataError(
            f"--task {','.join(options.task)}: sequences have one target; name one task, or none"
        )
    return options.task[0]


def _known_target(sequences: SequenceSet) -> pl.Series:
    if sequences.target is None:
        raise DataError(
            f"{sequences.name} holds sequences without a target; there is nothing to learn: "
            "add an array labels or values"
        )
    return sequences.target


def _as_table(sequences: SequenceSet, target: pl.Series) -> Table:
    return Table(sequences.name, target.to_frame())


def _labels(target: pl.Series) -> pl.Series:
    """The target as texts; whole numbers without a point."""
    if target.dtype == pl.Float64 and _is_whole(target):
        target = target.cast(pl.Int64)
    return target.cast(pl.String)


def _amounts(sequences: SequenceSet, target: pl.Series) -> pl.Series:
    amounts = target.cast(pl.Float64, strict=False)
    unread = amounts.is_null().arg_true()
    if unread.len():
        row = int(unread[0])
        raise DataError(
            f"{sequences.name}: target {shown(target.name)} is {shown(target[row])} in row "
            f"{row + 1:,}, where a number is needed"
        )
    return amounts


def _is_whole(amounts: pl.Series) -> bool:
    return bool(((amounts == amounts.floor()) & (amounts.abs() < 2**53)).all())


def _first_fraction(amounts: pl.Series) -> float:
    return float(amounts.filter(amounts != amounts.floor())[0])


def _test_part(preprocessing: SequencePreprocessing, test: SequenceSet) -> Part:
    preprocessing.check(test)
    y = target_truth(preprocessing.target, test)
    unknown = preprocessing.target.classes is not None and y.astype(np.int64) < 0
    if np.any(unknown):
        row = int(np.flatnonzero(unknown)[0])
        raise DataError(
            f"{test.name}: row {row + 1:,} has the label {shown(_known_target(test)[row])}, which "
            "no training row has; leave it out, or add such sequences to learn from"
        )
    rows = np.arange(len(test))
    return Part(preprocessing.encode(test, rows), y, rows)


def _repeats_note(train: Part, test: Part) -> list[str]:
    known, tested = (array_hashes(part.x, np.arange(len(part.y)), part.y) for part in (train, test))
    repeats = count_repeats(known, tested)
    note = (
        f"{counted(repeats, 'test sequence')} of {len(tested):,} also stand in the training part, "
        "alike in every number and the target: the test score flatters"
    )
    return [note] if repeats else []


def _fingerprint(sequences: SequenceSet, test: SequenceSet | None) -> str:
    tested = test.digest if test is not None else ""
    return hashlib.sha256(f"sequences {sequences.digest} {tested}".encode()).hexdigest()
