"""Finds out what each column is, from facts of its type alone: no statistic of its values."""

from collections.abc import Collection, Sequence

import polars as pl

from relume.errors import DataError
from relume.training.data.cells import Kind, Reading, clean_texts
from relume.training.data.moments import (
    DATE_FORMATS,
    TIME_FORMATS,
    candidate_formats,
    parse_moments,
)
from relume.training.data.table import Table
from relume.training.data.wording import as_option, listed, shown

MOSTLY = 0.9
"""Texts of which this share are numbers (or moments) were meant to be so, all of them."""

TRIED_TEXTS = 5
"""How many of the first texts may suggest how moments are written."""


def find_readings(
    table: Table, names: Sequence[str], missing: Sequence[str], categorical: Collection[str]
) -> list[Reading]:
    """Find out how each of the named columns is to be read.

    Numbers stay numbers, codes as well, unless named in ``categorical``. Texts are numbers or
    moments if all of them are, otherwise categories. Truth values, and what is stored as
    categories, are categories.

    Args:
        table: The table.
        names: The columns of features, none of them unreadable.
        missing: Texts that mean a missing value, beside the usual ones.
        categorical: Columns to be read as categories whatever they hold.

    Raises:
        DataError: A column has no value at all, or is numbers (or moments) but for a few texts.
    """
    frame = table.frame.select(names)
    texts = clean_texts(frame.select(pl.col(pl.String)), missing)
    _refuse_empty(table.name, frame.with_columns(texts))
    texts = texts.drop([name for name in texts.columns if name in categorical])
    numbers = texts.select(pl.all().cast(pl.Float64, strict=False))
    found = {name: Reading(name, Kind.CATEGORY) for name in categorical}
    for text, number in zip(texts, numbers, strict=True):
        found[text.name] = _read_texts(table, text, number)
    return [
        found[column.name] if column.name in found else Reading(column.name, _kind_of(column.dtype))
        for column in frame
    ]


def all_numbers(table: Table, texts: pl.Series, numbers: pl.Series, instead: str) -> bool:
    """Tell whether a column of texts is one of numbers.

    Args:
        table: Where the column stands.
        texts: The column's texts, null where missing.
        numbers: The same as numbers, null where a text is none.
        instead: The option that makes categories of it, for the message.

    Raises:
        DataError: Most texts are numbers, but not all.
    """
    present, read = texts.count(), numbers.count()
    if read == present or read < MOSTLY * present:
        return read == present
    raise _stray_text(table, texts, numbers, f"or {instead}", "numbers")


def _read_texts(table: Table, texts: pl.Series, numbers: pl.Series) -> Reading:
    instead = as_option("--categorical", texts.name)
    if all_numbers(table, texts, numbers, instead):
        return Reading(texts.name, Kind.NUMBER)
    return _read_moments(table, texts, instead) or Reading(texts.name, Kind.CATEGORY)


def _read_moments(table: Table, texts: pl.Series, instead: str) -> Reading | None:
    first = texts.drop_nulls().head(TRIED_TEXTS)
    best: pl.Series | None = None
    for form in dict.fromkeys(form for text in first for form in candidate_formats(text)):
        moments = parse_moments(texts, form)
        if moments.count() == texts.count():
            return Reading(texts.name, _kind_of_format(form), form)
        if best is None or moments.count() > best.count():
            best = moments
    if best is not None and best.count() >= MOSTLY * texts.count():
        raise _stray_text(table, texts, best, f"or {instead}", "dates or times written alike")
    return None


def _stray_text(
    table: Table, texts: pl.Series, read: pl.Series, advice: str, what: str
) -> DataError:
    row = int((texts.is_not_null() & read.is_null()).arg_true()[0])
    return DataError(
        f"{table.name}: column {shown(texts.name)} holds {shown(texts[row])} in "
        f"{table.place(row)}, but {read.count():,} of its {texts.count():,} values are {what}; "
        f"correct it, or give {as_option('--missing', texts[row])} {advice}"
    )


def _refuse_empty(table: str, frame: pl.DataFrame) -> None:
    floats = [column.name for column in frame if column.dtype.is_float()]
    gaps = frame.with_columns(pl.col(floats).fill_nan(None)).null_count().row(0)
    empty = [name for name, gap in zip(frame.columns, gaps, strict=True) if gap == frame.height]
    if empty:
        drops = " ".join(as_option("--drop", name) for name in empty[:8])
        raise DataError(
            f"{table}: {'column' if len(empty) == 1 else 'columns'} {listed(empty)} "
            f"{'holds' if len(empty) == 1 else 'hold'} no value; leave out with {drops}"
        )


def _kind_of(dtype: pl.DataType) -> Kind:
    if dtype.is_numeric() or dtype == pl.Duration:
        return Kind.NUMBER
    if dtype == pl.Date:
        return Kind.DATE
    if dtype == pl.Datetime:
        return Kind.DATETIME
    return Kind.TIME if dtype == pl.Time else Kind.CATEGORY


def _kind_of_format(form: str) -> Kind:
    if form in TIME_FORMATS:
        return Kind.TIME
    return Kind.DATE if form in DATE_FORMATS else Kind.DATETIME
