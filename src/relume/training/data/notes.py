"""Sentences for a person about what was found in a table and done with it."""

import re
from collections.abc import Iterable, Sequence

import polars as pl

from relume.training.data.cells import Kind, Reading
from relume.training.data.dropping import Dropped, Reason
from relume.training.data.encoding import CategoryColumn, FittedColumn
from relume.training.data.wording import counted, listed

MONTH_OR_DAY_FIRST = re.compile("%m[-/]%d|%d[-/]%m")


def dropped_notes(dropped: Iterable[Dropped]) -> list[str]:
    """Say which columns were left out, one sentence a reason.

    Example:
        >>> dropped_notes([Dropped("rownames", Reason.KEY)])
        ["dropped id column 'rownames'"]
    """
    names: dict[Reason, list[str]] = {}
    for one in dropped:
        names.setdefault(one.reason, []).append(one.name)
    return [_dropped_note(reason, names[reason]) for reason in Reason if reason in names]


def _dropped_note(reason: Reason, names: Sequence[str]) -> str:
    columns = f"{'column' if len(names) == 1 else 'columns'} {listed(names)}"
    match reason:
        case Reason.KEY:
            return f"dropped id {columns}"
        case Reason.CONSTANT:
            return f"dropped constant {columns}"
        case Reason.TEXT:
            return (
                f"dropped {columns}: text, which --network bag, transformer or rnn reads if it is "
                "long or named in --text"
            )
        case Reason.EMPTY:
            return f"dropped {columns}: no value in the training part"
        case Reason.RARE:
            return f"dropped {columns}: no value stands in enough rows to learn from"
        case Reason.UNREADABLE:
            return f"dropped {columns}: lists, structs, bytes and objects cannot be features"


def kinds_note(columns: Sequence[FittedColumn]) -> str:
    """Say what each column was taken for, and how many features they give."""
    names: dict[Kind, list[str]] = {}
    for column in columns:
        names.setdefault(column.reading.kind, []).append(column.reading.name)
    plural = {Kind.CATEGORY: "categories"}
    kinds = [
        f"{counted(len(names[kind]), kind, plural.get(kind, ''))} ({listed(names[kind], most=4)})"
        for kind in Kind
        if kind in names
    ]
    is_text = [column.reading.kind is Kind.TEXT for column in columns]
    widths = [len(column.features) for column in columns]
    words = sum(width for width, text in zip(widths, is_text, strict=True) if text)
    beside = f" and {counted(words, 'word')}" if words else ""
    total = f"{counted(sum(widths) - words, 'feature')}{beside} in all"
    return f"columns used: {'; '.join(kinds)}; {total}"


def rare_levels_note(columns: Iterable[FittedColumn]) -> str:
    """Say in which categories rare levels share one feature; empty if in none."""
    names = [
        column.name for column in columns if isinstance(column, CategoryColumn) and column.other
    ]
    return f"rare categories share one feature in {listed(names)}" if names else ""


def date_notes(cells: pl.DataFrame, readings: Iterable[Reading]) -> list[str]:
    """Say where day and month of dates could have been the other way round."""
    return [
        f"dates in column {listed([one.name])} were read as {one.format}, but every day is 12 or "
        "less: if month and day are the other way round, write them as 2024-12-31"
        for one in readings
        if one.format is not None
        and MONTH_OR_DAY_FIRST.match(one.format)
        and _largest_day(cells[one.name]) <= 12
    ]


def _largest_day(moments: pl.Series) -> int:
    return moments.dt.day().max() or 0  # type: ignore[return-value]
