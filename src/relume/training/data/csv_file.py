"""Reads CSV: finds encoding and separator, checks every line, keeps line numbers."""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PanicException, PolarsError

from relume.errors import DataError
from relume.training.data.missing import MISSING_TEXTS
from relume.training.data.wording import counted, listed

SEPARATORS = (",", ";", "\t", "|")
OTHER_FORMATS = (
    (b"PAR1", "a Parquet file; name it .parquet"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook; save the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the table as CSV"),
    (b"%PDF", "a PDF document; save the table as CSV"),
)
DECIMAL_COMMA = r"^\s*([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)\s*$"


def read_csv(raw: bytes, name: str, *, tabs: bool) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Read a CSV file with a header line.

    Blank lines are skipped. A cell's text keeps its meaning whatever type the column is stored
    in; a column with any cell that is no number is stored as text.

    Args:
        raw: The file's bytes, plain or gzip.
        name: The file's name, for messages.
        tabs: The separator is a tab; otherwise it is found in the header.

    Returns:
        The table, and the 1-based line on which each row starts.

    Raises:
        DataError: It is not text, not UTF-8 or UTF-16, ragged, or has no rows.
    """
    raw = _as_utf8(raw, name)
    separator = "\t" if tabs else _find_separator(raw)
    names = _read_header(raw, separator, name)
    frame, lines = _read_rows(raw, separator, len(names), name)
    if frame.height == 0:
        raise DataError(f"{name} has a header line but no rows; add some")
    frame.columns = names
    if separator != ",":
        frame = frame.with_columns(pl.col(pl.String).str.replace(DECIMAL_COMMA, "${1}.${2}"))
    return frame, lines


def _as_utf8(raw: bytes, name: str) -> bytes:
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{name} is damaged or cut off gzip; copy it again") from error
    for magic, what in OTHER_FORMATS:
        if raw.startswith(magic):
            raise DataError(f"{name} is not CSV but {what}")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raw = _from_utf16(raw, name)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    _check_text(raw, name)
    return raw if b"\n" in raw else raw.replace(b"\r", b"\n")


def _from_utf16(raw: bytes, name: str) -> bytes:
    try:
        return raw.decode("utf-16").encode()
    except UnicodeError as error:
        raise DataError(f"{name} is damaged UTF-16 text; save it as UTF-8") from error


def _check_text(raw: bytes, name: str) -> None:
    zero = raw.find(b"\0")
    if zero >= 0:
        raise DataError(f"{name} is not text (byte {zero:,} is zero); give a CSV file")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name} is not UTF-8 text: byte 0x{raw[error.start]:02X} in line {line:,}; "
            "save it as UTF-8 (in a spreadsheet: 'CSV UTF-8')"
        ) from error


def _find_separator(raw: bytes) -> str:
    """The separator that stands most often in the header, quoted text left aside."""
    head = re.sub('"[^"]*"', "", raw[:1_000_000].decode(errors="ignore").lstrip())
    header = head.partition("\n")[0]
    return max(SEPARATORS, key=header.count)


def _records(raw: bytes, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each record starts, and its cells, from the header on."""
    stream = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8", newline="")
    reader = csv.reader(stream, delimiter=separator, strict=True)
    begun = False
    line = 1
    try:
        for cells in reader:
            begun = begun or any(cell.strip() for cell in cells)
            if begun:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{name}: line {line:,} cannot be read as CSV ({error}); "
            'a quote inside a quoted cell must be doubled ("")'
        ) from error


def _is_blank(cells: list[str], width: int) -> bool:
    return not cells or (len(cells) == 1 < width and not cells[0].strip())


def _read_header(raw: bytes, separator: str, name: str) -> list[str]:
    _, cells = next(_records(raw, separator, name), (0, []))
    if not cells:
        raise DataError(f"{name} is empty; give a table with a header line and rows")
    names = [" ".join(cell.split()) or f"unnamed_{at}" for at, cell in enumerate(cells, 1)]
    twice = [given for given, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{name} has several columns called {listed(twice)}; rename them")
    return names


def _read_rows(
    raw: bytes, separator: str, width: int, name: str
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    # Quotes are checked before polars sees them: an open one makes it panic.
    checked = _check_lines(raw, separator, width, name) if b'"' in raw else None
    frame = _parse(raw, separator)
    if checked is None and frame is not None and _has_all_cells(raw, separator, frame, width):
        return frame, np.arange(2, frame.height + 2)
    lines, blank = checked or _check_lines(raw, separator, width, name)
    if frame is None or frame.shape != (len(lines), width):
        frame = _parse(_rewritten(raw, separator, width, name), separator)
    if frame is None or frame.shape != (len(lines), width):
        raise DataError(f"{name} cannot be read as CSV; save it again as CSV with UTF-8")
    return frame.filter(~blank), lines[~blank]


def _parse(raw: bytes, separator: str) -> pl.DataFrame | None:
    """Let polars find the types; where it stumbles over its own finding, everything is text.

    Texts that mean missing are read as such, so that a column of numbers with gaps is stored as
    numbers.
    """
    for types in ({"infer_schema_length": None}, {"infer_schema": False}):
        try:
            return pl.read_csv(raw, separator=separator, null_values=list(MISSING_TEXTS), **types)
        except (PolarsError, PanicException):
            continue
    return None


def _has_all_cells(raw: bytes, separator: str, frame: pl.DataFrame, width: int) -> bool:
    """Whether every line of text without quotes has every cell, as far as a count can tell.

    polars refuses a line with too many separators, so an equal sum means equal lines. In a single
    column a blank line looks like a cell.
    """
    lines = raw.count(b"\n") + (not raw.endswith(b"\n"))
    separators = raw.count(separator.encode())
    return frame.shape == (lines - 1, width) and separators == lines * (width - 1) > 0


def _check_lines(
    raw: bytes, separator: str, width: int, name: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the first line of every record after the header, and whether it is blank."""
    lines: list[int] = []
    blank: list[bool] = []
    for line, cells in _records(raw, separator, name):
        blank.append(_is_blank(cells, width))
        lines.append(line)
        if len(cells) != width and not blank[-1]:
            raise DataError(
                f"{name}: line {line:,} has {counted(len(cells), 'cell')}, "
                f"the header has {width:,}; correct that line"
            )
    return np.array(lines[1:], np.int64), np.array(blank[1:], np.bool_)


def _rewritten(raw: bytes, separator: str, width: int, name: str) -> bytes:
    """Quote every cell that needs it, and only those."""
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="utf-8", newline="")
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n")
    for _, cells in _records(raw, separator, name):
        writer.writerow([] if _is_blank(cells, width) else cells)
    stream.flush()
    return buffer.getvalue()
