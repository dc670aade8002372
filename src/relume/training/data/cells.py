"""What a cell means: missing, a number, a category, a moment.

The meaning never depends on how a column happens to be stored, so that a table gives the same
features from CSV and from Parquet, and one row the same as a million.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from relume.errors import DataError
from relume.training.data.missing import MISSING_TEXTS
from relume.training.data.moments import as_moments, parse_moments
from relume.training.data.table import Table
from relume.training.data.wording import shown

TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)


def is_unreadable(dtype: pl.DataType) -> bool:
    """Tell whether cells of a type cannot be read: lists, structs, bytes, objects.

    Example:
        >>> is_unreadable(pl.List(pl.Int64())), is_unreadable(pl.Int64())
        (True, False)
    """
    known = (*TEXT_TYPES, pl.Boolean, pl.Null)
    return not (dtype.is_numeric() or dtype.is_temporal() or dtype in known)


class Kind(StrEnum):
    """What the cells of a column are."""

    NUMBER = "number"
    CATEGORY = "category"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    TEXT = "text"


ISO_FORMATS = {
    Kind.DATE: ("%Y-%m-%d",),
    Kind.DATETIME: (
        *(f"%Y-%m-%d{gap}%H:%M:%S%.f{zone}" for gap in " T" for zone in ("", "%#z")),
        *("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"),
    ),
    Kind.TIME: ("%H:%M:%S%.f", "%H:%M"),
}
"""How texts are read in a column that was stored as moments in training."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a column is read.

    ``format`` is how its moments are written; None where they were stored as moments.
    """

    name: str
    kind: Kind
    format: str | None = None


def read_cells(table: Table, readings: Sequence[Reading], missing: Sequence[str]) -> pl.DataFrame:
    """Read columns by their kinds.

    Args:
        table: Holds at least the columns of ``readings``.
        readings: The columns to read, in the order wanted.
        missing: Texts that mean a missing value, beside ``MISSING_TEXTS``.

    Returns:
        Numbers as Float64, categories and texts as String, dates and datetimes as Datetime, times
        as Time; null where missing.

    Raises:
        DataError: A text where a number or a moment was expected, or an infinite number; with
            column, row and value.
    """
    names = {kind: [one.name for one in readings if one.kind is kind] for kind in Kind}
    columns = [
        *read_numbers(table, names[Kind.NUMBER], missing),
        *read_categories(table, names[Kind.CATEGORY] + names[Kind.TEXT], missing),
        *(
            _read_moments(table, one, missing)
            for one in readings
            if one.kind in {Kind.DATE, Kind.DATETIME, Kind.TIME}
        ),
    ]
    return pl.DataFrame(columns).select([one.name for one in readings])


def clean_texts(frame: pl.DataFrame, missing: Sequence[str]) -> pl.DataFrame:
    """Strip the spaces around texts, and empty those that mean a missing value.

    Example:
        >>> clean_texts(pl.DataFrame({"a": [" red", "NA", "none"]}), ["none"])["a"].to_list()
        ['red', None, None]
    """
    if not frame.width:
        return frame
    text = pl.all().cast(pl.String).str.strip_chars()
    return frame.select(pl.when(~text.is_in([*MISSING_TEXTS, *missing])).then(text))


def read_numbers(table: Table, names: Sequence[str], missing: Sequence[str]) -> pl.DataFrame:
    """Read columns as Float64; durations in seconds, truth values as 0 and 1.

    Raises:
        DataError: A cell holds another text, or an infinite number.
    """
    if not names:
        return pl.DataFrame()
    frame = table.frame.select(names)
    textual = [column.name for column in frame if column.dtype in TEXT_TYPES]
    texts = clean_texts(frame.select(textual), missing)
    read = texts.select(pl.all().cast(pl.Float64, strict=False))
    _refuse_texts(table, texts, read, "a number")
    stored = frame.drop(textual)
    numbers = stored.select([_as_number(table.name, column) for column in stored])
    numbers = pl.DataFrame([*numbers, *read])
    numbers = numbers.with_columns(pl.all().fill_nan(None))
    sentinels = _numbers_among(missing)
    if sentinels:
        numbers = numbers.select(pl.when(~pl.all().is_in(sentinels)).then(pl.all()))
    _refuse_infinite(table, numbers)
    return numbers


def read_categories(table: Table, names: Sequence[str], missing: Sequence[str]) -> pl.DataFrame:
    """Read columns as categories, one text a level.

    A text that is a number counts as that number ("01", "1" and "1.0" are one level), and
    "True", "TRUE" and "true" are one level too.

    Example:
        >>> frame = pl.DataFrame({"a": ["01", "1.0", "TRUE", "?"], "b": [1, 2, None, 3]})
        >>> read_categories(Table("it", frame), ["a", "b"], ["3"]).rows()
        [('1', '1'), ('1', '2'), ('true', None), (None, None)]

    Raises:
        DataError: A column holds lists, structs, bytes or objects.
    """
    if not names:
        return pl.DataFrame()
    frame = table.frame.select(names)
    for column in frame:
        if is_unreadable(column.dtype):
            raise _wrong_type(table.name, column, "single values")
    levels = frame.select([_as_level(column.name, column.dtype) for column in frame])
    tokens = pl.DataFrame({"token": [*MISSING_TEXTS, *missing]})
    return clean_texts(levels, tokens.select(_as_level("token", pl.String()))["token"].to_list())


def _as_number(table: str, column: pl.Series) -> pl.Expr:
    name, dtype = column.name, column.dtype
    if dtype == pl.Duration:
        return pl.col(name).dt.total_microseconds() / 1e6
    if dtype.is_numeric() or dtype in {pl.Boolean, pl.Null}:
        return pl.col(name).cast(pl.Float64)
    raise _wrong_type(table, column, "numbers")


def _as_level(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Duration:
        column = column.dt.total_microseconds() / 1e6
    elif dtype == pl.Decimal:
        column = column.cast(pl.Float64)
    text = column.cast(pl.String).str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    # A long row of digits is a key that a float would round.
    is_number = number.is_finite() & ((text.str.len_bytes() <= 15) | text.str.contains("[.eE]"))
    lower = text.str.to_lowercase()
    return (
        pl.when(is_number)
        .then((number + 0.0).cast(pl.String).str.strip_suffix(".0"))
        .when(lower.is_in(["true", "false"]))
        .then(lower)
        .otherwise(text)
        .alias(name)
    )


def _read_moments(table: Table, reading: Reading, missing: Sequence[str]) -> pl.Series:
    column = table.frame[reading.name]
    if column.dtype in TEXT_TYPES:
        texts = clean_texts(column.to_frame(), missing)
        forms = (reading.format,) if reading.format else ISO_FORMATS[reading.kind]
        tried = [parse_moments(texts.to_series(), form) for form in forms]
        moments = max(tried, key=pl.Series.count)
        _refuse_texts(table, texts, moments.to_frame(), f"a {reading.kind} like {forms[0]}")
        return moments
    if column.dtype == pl.Null or column.null_count() == column.len():
        kind = pl.Time() if reading.kind is Kind.TIME else pl.Datetime("us")
        return pl.Series(reading.name, [None] * column.len(), dtype=kind)
    if column.dtype == pl.Time and reading.kind is Kind.TIME:
        return column
    if column.dtype in (pl.Date, pl.Datetime) and reading.kind is not Kind.TIME:
        return as_moments(column)
    raise _wrong_type(table.name, column, f"{reading.kind}s")


def _refuse_texts(table: Table, texts: pl.DataFrame, read: pl.DataFrame, wanted: str) -> None:
    for name in texts.columns:
        if read[name].null_count() > texts[name].null_count():
            row = int((texts[name].is_not_null() & read[name].is_null()).arg_true()[0])
            raise DataError(
                f"{table.name}: column {shown(name)} holds {shown(texts[name][row])} in "
                f"{table.place(row)}, where {wanted} is needed; correct it or leave it empty"
            )


def _refuse_infinite(table: Table, numbers: pl.DataFrame) -> None:
    infinite = numbers.select(pl.all().is_infinite().any()).row(0)
    if any(infinite):
        name = numbers.columns[infinite.index(True)]
        row = int(numbers[name].is_infinite().arg_true()[0])
        raise DataError(
            f"{table.name}: column {shown(name)} holds an infinite number in {table.place(row)}; "
            "correct it or leave it empty"
        )


def _numbers_among(texts: Sequence[str]) -> list[float]:
    numbers = pl.Series(texts, dtype=pl.String).cast(pl.Float64, strict=False)
    return numbers.filter(numbers.is_finite()).to_list()


def _wrong_type(table: str, column: pl.Series, wanted: str) -> DataError:
    given = str(column.dtype).partition("(")[0]
    return DataError(f"{table}: column {shown(column.name)} must hold {wanted}, not type {given}")
