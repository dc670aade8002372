"""Dates and times: how they are written, and the numbers that they become."""

import re
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

DATE_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y", "%d.%m.%Y",
    "%m/%d/%y", "%d/%m/%y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%y", "%d-%m-%Y", "%m-%d-%Y",
    "%d-%b-%y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip
TIME_FORMATS = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
DATETIME_FORMATS = tuple(
    f"{date}{gap}{time}{zone}"
    for date, gap, time, zone in product(DATE_FORMATS, "T ", TIME_FORMATS, ("", "%#z"))
)
SHAPES = {
    "%Y": r"\d{4}",
    "%y": r"\d{2}",
    "%b": r"[A-Za-z]{3}",
    "%B": r"[A-Za-z]{3,9}",
    "%p": r"[AaPp][Mm]",
    "%.f": r"(\.\d+)?",
    "%#z": r"(Z|[+-]\d{2}:?(\d{2})?)",
}
"""How the pieces of a format look in a text; all others are one or two digits."""


def _shape(form: str) -> re.Pattern[str]:
    pieces = re.split(r"(%\.f|%#z|%[a-zA-Z])", form)
    return re.compile(
        "".join(
            SHAPES.get(piece, r"\d{1,2}") if piece.startswith("%") else re.escape(piece)
            for piece in pieces
        )
    )


FORMAT_SHAPES = tuple(
    (form, _shape(form)) for form in (*DATE_FORMATS, *DATETIME_FORMATS, *TIME_FORMATS)
)
LOOKS_LIKE_MOMENT = re.compile(r"\d{1,4}[-/. :]\w|[A-Za-z]{3,9} \d{1,2}, \d{4}")

DATE_PARTS = ("year", "month", "day of week", "day of year", "elapsed days")
TIME_PARTS = ("time of day",)


def candidate_formats(text: str) -> list[str]:
    """Return the known formats of dates, dates with time and times that a text has the shape of.

    Example:
        >>> candidate_formats("03/04/2024"), candidate_formats("7:45"), candidate_formats("red")
        (['%m/%d/%Y', '%d/%m/%Y'], ['%H:%M'], [])
    """
    if not LOOKS_LIKE_MOMENT.match(text):
        return []
    return [form for form, shape in FORMAT_SHAPES if shape.fullmatch(text)]


def parse_moments(texts: pl.Series, form: str) -> pl.Series:
    """Read texts by a format; null where one cannot be read.

    Texts with a zone or an offset become UTC. A year of four digits needs four: 1/2/20 is not a
    day of the year 20.

    Returns:
        Times of day for a format without a date, otherwise naive datetimes in microseconds.
    """
    if form in TIME_FORMATS:
        return texts.str.to_time(form, strict=False)
    if "%Y" in form:
        texts = texts.set(~texts.str.contains(r"\d{4}"), None)
    zone = "UTC" if form.endswith("%#z") else None
    moments = texts.str.to_datetime(form, strict=False, time_unit="us", time_zone=zone)
    return moments.dt.replace_time_zone(None)


def as_moments(column: pl.Series) -> pl.Series:
    """Turn a column of dates or datetimes into naive datetimes in microseconds, zones into UTC."""
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us"))


def moment_parts(moments: pl.Series, names: tuple[str, ...]) -> list[NDArray[np.float64]]:
    """Return the named parts of dates or times as numbers, nan where missing.

    Days of the week count from Monday = 1, days of the year from 1, elapsed days from 1970-01-01
    (with the time of day as a fraction), the time of day in hours.

    Example:
        >>> from datetime import datetime
        >>> noon = pl.Series([datetime(1970, 1, 2, 12)], dtype=pl.Datetime("us"))
        >>> [part.item() for part in moment_parts(noon, DATE_PARTS + TIME_PARTS)]
        [1970.0, 1.0, 5.0, 2.0, 1.5, 12.0]
    """
    return [_part(moments, name).cast(pl.Float64).to_numpy() for name in names]


def _part(moments: pl.Series, name: str) -> pl.Series:
    match name:
        case "year":
            return moments.dt.year()
        case "month":
            return moments.dt.month()
        case "day of week":
            return moments.dt.weekday()
        case "day of year":
            return moments.dt.ordinal_day()
        case "elapsed days":
            return moments.dt.epoch("us") / 86_400e6
        case _:
            times = moments if moments.dtype == pl.Time else moments.dt.time()
            return times.cast(pl.Int64) / 3_600e9
