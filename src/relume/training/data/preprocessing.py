"""What the training rows taught about a table: plain data that turns other tables into features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import ModelFormatError
from relume.training.data import plain
from relume.training.data.cells import read_cells
from relume.training.data.dropping import Dropped
from relume.training.data.encoding import FittedColumn
from relume.training.data.image_preprocessing import KIND as IMAGES
from relume.training.data.image_preprocessing import ImagePreprocessing
from relume.training.data.sequence_preprocessing import KIND as SEQUENCES
from relume.training.data.sequence_preprocessing import SequencePreprocessing
from relume.training.data.stored import (
    column_from_json,
    column_to_json,
    dropped_from_json,
    targets_from_json,
    targets_to_json,
)
from relume.training.data.table import Table
from relume.training.data.target import Target
from relume.training.data.task import Task
from relume.training.data.text import TextColumn
from relume.training.data.wording import require_columns

VERSION = 1


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Fitted columns and targets.

    Args:
        columns: What was learnt of each column used, in the order of the features.
        targets: What is predicted: one column, several or, where features are rebuilt, none.
        dropped: Columns that were left out, and why.
        missing: Texts that mean a missing value, beside the usual ones.
    """

    columns: tuple[FittedColumn, ...]
    targets: tuple[Target, ...]
    dropped: tuple[Dropped, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The name of every encoded feature, in order."""
        return tuple(name for column in self.columns for name in column.features)

    @property
    def target(self) -> Target:
        """What is predicted; of several targets the first."""
        return self.targets[0]

    @property
    def texts(self) -> tuple[TextColumn, ...]:
        """The columns of text; their features stand behind all others."""
        return tuple(column for column in self.columns if isinstance(column, TextColumn))

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.target.task

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class labels in the order of their indices; None for regression."""
        return self.target.classes

    def transform(self, table: pl.DataFrame | Table) -> NDArray[np.float32]:
        """Encode a table; columns that were not learnt from are passed over.

        Returns:
            (rows, features), float32.

        Raises:
            DataError: A column is not there, or holds a text or an infinite number where a
                number is needed; with column, row and value.
        """
        table = as_table(table)
        readings = [column.reading for column in self.columns]
        names = [reading.name for reading in readings]
        require_columns(table.name, names, table.frame.columns)
        return self.encode(read_cells(table, readings, self.missing))

    def encode(self, cells: pl.DataFrame) -> NDArray[np.float32]:
        """Encode cells that were read by the columns' readings; (rows, features), float32.

        Cost: one pass over the cells, one float64 column at a time beside the result.
        """
        widths = [len(column.features) for column in self.columns]
        out = np.zeros((cells.height, sum(widths)), np.float32)
        start = 0
        for column, width in zip(self.columns, widths, strict=True):
            column.encode(cells[column.reading.name], out[:, start : start + width])
            start += width
        return out

    def encode_target(self, column: pl.Series | Table) -> NDArray[np.generic]:
        """Encode the target, given as a column or as a table that has it.

        Returns:
            (rows,), class indices as int64, or values in the target's own unit as float32.

        Raises:
            DataError: A row has no target, an unknown class, or something that is no number.
        """
        if isinstance(column, pl.Series):
            column = as_table(column.alias(self.target.name).to_frame())
        require_columns(column.name, [self.target.name], column.frame.columns)
        return self.target.encode(column, self.missing)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON data; floats survive bitwise."""
        return {
            "version": VERSION,
            "columns": [column_to_json(column) for column in self.columns],
            "target": targets_to_json(self.targets),
            "dropped": [plain.as_plain(dropped) for dropped in self.dropped],
            "missing": list(self.missing),
        }

    @classmethod
    def from_json(cls, data: Any) -> "Preprocessing":
        """Return what :meth:`to_json` gave.

        Raises:
            ModelFormatError: A field is missing, unknown, or of a wrong type or range.
        """
        checks: dict[str, plain.Check] = {
            "version": plain.exactly(VERSION),
            "columns": plain.sequence(column_from_json, least=1),
            "target": targets_from_json,
            "dropped": plain.sequence(dropped_from_json),
            "missing": plain.sequence(plain.text),
        }
        given = plain.fields(data, "preprocessing", checks)
        fitted = cls(given["columns"], given["target"], given["dropped"], given["missing"])
        names = [
            *(target.name for target in fitted.targets),
            *(column.reading.name for column in fitted.columns),
        ]
        if len(set(names)) < len(names):
            raise ModelFormatError("preprocessing: two columns (or column and target) share a name")
        if fitted.texts != fitted.columns[len(fitted.columns) - len(fitted.texts) :]:
            raise ModelFormatError(
                "preprocessing: the columns of text must stand behind all others"
            )
        return fitted


def as_table(data: pl.DataFrame | Table) -> Table:
    """Give a bare frame a name."""
    return data if isinstance(data, Table) else Table("table", data)


AnyPreprocessing = Preprocessing | ImagePreprocessing | SequencePreprocessing
"""What was learnt of a table, of images or of sequences."""


def preprocessing_from_json(data: Any) -> AnyPreprocessing:
    """Return what any ``to_json`` gave.

    Raises:
        ModelFormatError: A field is missing, unknown, or of a wrong type or range.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    match kind:
        case str() if kind == IMAGES:
            return ImagePreprocessing.from_json(data)
        case str() if kind == SEQUENCES:
            return SequencePreprocessing.from_json(data)
    return Preprocessing.from_json(data)
