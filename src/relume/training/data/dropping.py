"""Which columns are left out: keys, constants, names. Only training rows are looked at."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.training.data.cells import Kind, Reading
from relume.training.data.encoding import least_rows
from relume.training.data.text import LONG_TEXT

KEY_NAMES = frozenset(
    {
        "id", "ids", "uid", "uuid", "guid", "index", "idx", "key", "row", "rows", "rowid",
        "rowname", "rownames", "rownum", "rownumber", "rowindex", "unnamed0", "unnamed1",
    }
)  # fmt: skip
KEY_ENDING = re.compile(r"[a-z]I[dD]$|(?i:[_ .-]id$)")


class Reason(StrEnum):
    """Why a column was left out."""

    KEY = "id"
    CONSTANT = "constant"
    EMPTY = "empty"
    TEXT = "text"  # neither categories nor prose, or prose that is not wanted
    RARE = "rare"  # no category is frequent enough to have an input of its own
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A column that was left out, and why."""

    name: str
    reason: Reason


def looks_like_key(name: str) -> bool:
    """Tell whether a column is named as a key is.

    Example:
        >>> [looks_like_key(name) for name in ("rownames", "PassengerId", "user_id", "humid")]
        [True, True, True, False]
    """
    folded = re.sub(r"[\W_]+", "", name.casefold())
    return folded in KEY_NAMES or KEY_ENDING.search(name) is not None


def find_dropped(
    cells: pl.DataFrame,
    readings: Sequence[Reading],
    rows: NDArray[np.int64],
    categorical: Collection[str],
) -> list[Dropped]:
    """Find the columns that cannot help to predict.

    Args:
        cells: The training rows, as :func:`~relume.training.data.cells.read_cells` gives them.
        readings: How those columns were read.
        rows: Row numbers in the source, so that a column which counts them is recognised.
        categorical: Columns that a person calls categories: these are no keys and no prose.
    """
    found = (
        (one.name, _reason(cells[one.name], one.kind, rows, forced=one.name in categorical))
        for one in readings
    )
    return [Dropped(name, reason) for name, reason in found if reason is not None]


def _reason(
    cells: pl.Series, kind: Kind, rows: NDArray[np.int64], *, forced: bool
) -> Reason | None:
    present = cells.count()
    if present == 0:
        return Reason.EMPTY
    if present == cells.len() and cells.min() == cells.max():
        return Reason.CONSTANT
    if kind is Kind.NUMBER:
        is_key = present == cells.len() and _is_key(cells.name, cells.to_numpy(), rows)
        return Reason.KEY if is_key else None
    if kind is Kind.CATEGORY:
        return _reason_for_texts(cells.drop_nulls(), cells.len(), forced=forced)
    return None


def _is_key(name: str, numbers: NDArray[np.float64], rows: NDArray[np.int64]) -> bool:
    """Whether whole numbers count the rows, or are all different under the name of a key."""
    if numbers[0] - rows[0] in {0, 1} and (numbers - rows == numbers[0] - rows[0]).all():
        return True
    return (
        looks_like_key(name)
        and bool((numbers == np.floor(numbers)).all())
        and len(np.unique(numbers)) == len(numbers)
    )


def _reason_for_texts(texts: pl.Series, rows: int, *, forced: bool) -> Reason | None:
    distinct = texts.n_unique()
    if not forced and distinct == texts.len() > 1:
        spaced = texts.str.contains(r"\s").sum()
        return Reason.TEXT if spaced > texts.len() / 2 else Reason.KEY
    length = texts.str.len_chars().sum() / texts.len()
    if not forced and distinct > texts.len() / 2 and length > LONG_TEXT:
        return Reason.TEXT
    largest = int(texts.unique_counts().to_numpy().max())
    return Reason.RARE if largest < least_rows(rows) else None
