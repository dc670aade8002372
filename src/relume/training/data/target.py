"""The column to predict: which it is, what task it sets, and its values as numbers."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.cells import (
    clean_texts,
    is_unreadable,
    read_categories,
    read_numbers,
)
from relume.training.data.columns import all_numbers
from relume.training.data.encoding import Scaling, level_codes, sorted_levels
from relume.training.data.table import Table
from relume.training.data.task import Task
from relume.training.data.wording import as_option, counted, listed, shown, unknown_column

USUAL_NAMES = ("target", "label", "class", "y")
MOST_CLASSES = 20
"""Whole numbers with more distinct values than this are amounts, not classes."""

ROWS_A_CLASS = 10
"""Whole numbers with fewer rows a value on average are amounts, unless there are only two."""


@dataclass(frozen=True, slots=True)
class Target:
    """The fitted target.

    Args:
        name: Its column.
        classes: The class labels in the order of their indices; None for regression.
        mean: Of the training part, in the target's own unit; 0 for classification.
        scale: Standard deviation of the training part; 1 for classification.
    """

    name: str
    classes: tuple[str, ...] | None
    mean: float = 0.0
    scale: float = 1.0

    @property
    def task(self) -> Task:
        """What is predicted."""
        return Task.REGRESSION if self.classes is None else Task.CLASSIFICATION

    def encode(self, table: Table, missing: tuple[str, ...]) -> NDArray[np.generic]:
        """Return class indices (int64), or values in the target's own unit (float32).

        Raises:
            DataError: A row has no target, an unknown class, or something that is no number.
        """
        cells = target_cells(table, self.name, self.task, missing)
        self._refuse(table, cells.is_null(), "is empty", "leave out rows without target")
        return self.encode_cells(table, cells)

    def encode_cells(self, table: Table, cells: pl.Series) -> NDArray[np.generic]:
        """Encode cells that :func:`target_cells` read from ``table``; -1 or nan where missing.

        Raises:
            DataError: A class is unknown, or an amount too large for float32.
        """
        if self.classes is None:
            return as_float32(table, cells)
        codes = level_codes(cells, self.classes)
        unknown = cells.is_not_null() & pl.Series(codes < 0)
        if unknown.any():
            stray = shown(cells[int(unknown.arg_true()[0])])
            known = (
                f"known are {listed(self.classes)}: add it to the training rows, or leave it out"
            )
            self._refuse(table, unknown, f"holds the class {stray}", known)
        return codes

    def _refuse(self, table: Table, rows: pl.Series, what: str, advice: str) -> None:
        if rows.any():
            row = int(rows.arg_true()[0])
            raise DataError(
                f"{table.name}: target {shown(self.name)} {what} in {table.place(row)}; {advice}"
            )


def choose_target(table: Table, given: str | None, usual: str | None) -> tuple[str, str]:
    """Return the column to predict, and a sentence where it was guessed.

    Args:
        table: The table.
        given: The column that a person asked for.
        usual: The column that built-in data are known to be about.

    Raises:
        DataError: There is no such column, or none was given and none stands out.
    """
    columns = table.frame.columns
    if given is not None:
        if given not in columns:
            raise unknown_column(table.name, given, columns, "--target")
        return given, ""
    if usual is not None:
        return usual, ""
    likely = [name for name in columns if name.casefold() in USUAL_NAMES]
    if len(likely) == 1:
        return likely[0], f"predicting column {shown(likely[0])}; --target names another"
    raise DataError(
        f"{table.name}: which column is to be predicted? Name it with --target; "
        f"the columns are {listed(columns, most=20)}"
    )


def target_cells(table: Table, name: str, task: Task, missing: tuple[str, ...]) -> pl.Series:
    """Read the target: Float64 for regression, labels as String otherwise; null where missing."""
    if task is Task.REGRESSION:
        return read_numbers(table, [name], missing)[name]
    column = table.frame[name]
    if is_unreadable(column.dtype):
        raise DataError(
            f"{table.name}: target {shown(name)} holds lists, structs or bytes; "
            "choose a column of numbers or classes with --target"
        )
    return read_categories(table, [name], missing)[name]


def find_task(
    table: Table, name: str, given: Task | None, missing: tuple[str, ...]
) -> tuple[Task, str]:
    """Return what kind of prediction the target asks for, and a sentence where that was guessed.

    Texts, truth values and what is stored as categories are classes, numbers with fractions
    amounts. Whole numbers are classes if there are two of them, or at most 20 with 10 rows each
    on average.

    Raises:
        DataError: The target is missing in every row, mixes numbers with texts, holds infinite
            numbers, or cannot be what was asked for.
    """
    if target_cells(table, name, Task.CLASSIFICATION, missing).count() == 0:
        raise DataError(
            f"{table.name}: target {shown(name)} is missing in every row; "
            "choose another column with --target"
        )
    numbers = _target_numbers(table, name, given, missing)
    if numbers is None:
        return Task.CLASSIFICATION, ""
    if given is not None:
        return given, ""
    present = numbers.drop_nulls()
    distinct = present.n_unique()
    whole = bool((present == present.floor()).all())
    few = distinct <= MOST_CLASSES and present.len() >= ROWS_A_CLASS * distinct
    if whole and (few or distinct <= 2):
        return Task.CLASSIFICATION, (
            f"target {shown(name)} holds {counted(distinct, 'different whole number')}: "
            "predicted as classes; --task regression predicts an amount"
        )
    return Task.REGRESSION, (
        f"target {shown(name)} holds {'many whole numbers' if whole else 'numbers'}: "
        "predicted as an amount; --task classification predicts classes"
    )


def find_classes(
    table: str, labels: pl.Series, parts: int
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the class labels in order, and the index of each row's class.

    Args:
        table: The table's name.
        labels: The labels, none missing.
        parts: How many parts need a row of each class.

    Raises:
        DataError: There is only one class, or one with fewer rows than ``parts``.
    """
    classes = sorted_levels(labels.unique().to_list())
    name = shown(labels.name)
    if len(classes) == 1:
        raise DataError(
            f"{table}: target {name} is {shown(classes[0])} in every row; "
            "there must be at least two classes"
        )
    codes = level_codes(labels, classes)
    sizes = np.bincount(codes, minlength=len(classes))
    rare = np.flatnonzero(sizes < parts)
    if len(rare):
        more = f" (and {counted(len(rare) - 1, 'more class', 'more classes')} as few)"
        raise DataError(
            f"{table}: class {shown(classes[rare[0]])} of target {name} has "
            f"{counted(int(sizes[rare[0]]), 'row')}{more if len(rare) > 1 else ''}; each needs "
            f"at least {parts}, one for each part: add rows, merge classes or leave them out"
        )
    return classes, codes


def fit_target(name: str, classes: tuple[str, ...] | None, y: NDArray[np.generic]) -> Target:
    """Learn the target from the training part: for regression its mean and deviation."""
    if classes is not None:
        return Target(name, classes)
    scaling = Scaling.fit(y.astype(np.float64))
    return Target(name, None, scaling.mean, scaling.scale or 1.0)


def check_varies(table: Table, amounts: pl.Series) -> None:
    """Refuse a target of regression that is the same in every row.

    Raises:
        DataError: It is.
    """
    present = amounts.drop_nulls()
    if present.min() == present.max():
        raise DataError(
            f"{table.name}: target {shown(amounts.name)} is {present[0]:g} in every row; "
            "there is nothing to predict"
        )


def _target_numbers(
    table: Table, name: str, given: Task | None, missing: tuple[str, ...]
) -> pl.Series | None:
    """The target as numbers, or None where it can only be classes."""
    column = table.frame[name]
    if column.dtype == pl.String:
        if given is Task.CLASSIFICATION:
            return None
        texts = clean_texts(column.to_frame(), missing)[name]
        numbers = texts.cast(pl.Float64, strict=False)
        instead = as_option("--task", Task.CLASSIFICATION)
        if not all_numbers(table, texts, numbers, instead):
            if given is None:
                return None
            row = int((texts.is_not_null() & numbers.is_null()).arg_true()[0])
            raise DataError(
                f"{table.name}: target {shown(name)} holds {shown(texts[row])} in "
                f"{table.place(row)}: --task regression needs numbers"
            )
    elif given is None and column.dtype in (pl.Boolean, pl.Categorical, pl.Enum):
        return None
    elif column.dtype.is_temporal() and column.dtype != pl.Duration:
        if given is Task.CLASSIFICATION:
            return None
        raise DataError(
            f"{table.name}: target {shown(name)} holds dates or times, which cannot be predicted; "
            "choose another column with --target"
        )
    return read_numbers(table, [name], missing)[name]


def as_float32(table: Table, amounts: pl.Series) -> NDArray[np.float32]:
    """Return amounts as float32, nan where missing.

    Raises:
        DataError: An amount is beyond what a float32 holds.
    """
    large = (amounts.abs() > float(np.finfo(np.float32).max)).arg_true()
    if large.len():
        row = int(large[0])
        raise DataError(
            f"{table.name}: target {shown(amounts.name)} is {amounts[row]:g} in "
            f"{table.place(row)}, beyond what a float32 holds; give it in another unit"
        )
    return amounts.to_numpy().astype(np.float32)
