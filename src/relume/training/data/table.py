"""Reads a built-in data set, a CSV file or a Parquet file into a table."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import DataError, nearest_names
from relume.training.data.builtin import builtin_names, find_builtin, load_builtin
from relume.training.data.csv_file import read_csv
from relume.training.data.idx_files import NAMED_SETS
from relume.training.data.parquet_file import read_parquet
from relume.training.data.wording import shown

CSV_ENDINGS = (".csv", ".csv.gz")
TAB_ENDINGS = (".tsv", ".tsv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what is needed to point at one of its cells.

    Args:
        name: What a person knows it by: the built-in's name or the file's name.
        frame: The cells, of any type.
        lines: (rows,) the line of the file on which each row starts, where there are lines.
        digest: SHA-256 of the raw data; empty where nobody asks.
    """

    name: str
    frame: pl.DataFrame
    lines: NDArray[np.int64] | None = None
    digest: str = ""

    def place(self, row: int) -> str:
        """Name a 0-based row for a person.

        Example:
            >>> Table("a.csv", pl.DataFrame(), np.array([2, 3, 5])).place(2)
            'row 3 (line 5 of the file)'
        """
        if self.lines is None:
            return f"row {row + 1:,}"
        return f"row {row + 1:,} (line {self.lines[row]:,} of the file)"


def read_data(data: str | Path) -> pl.DataFrame:
    """Read a built-in data set, a ``.csv``, ``.tsv``, ``.csv.gz`` or a ``.parquet`` file.

    Raises:
        DataError: There is no such thing, or it cannot be read.

    Example:
        >>> read_data("wine").shape
        (178, 14)
    """
    return read_table(data).frame


def read_table(data: str | Path) -> Table:
    """Read data like :func:`read_data`, and keep line numbers and a digest with it.

    The separator of a CSV file (comma, semicolon, tab or bar) is found in its header; where it
    is not a comma, ``1,5`` is read as 1.5. UTF-8 and UTF-16 are read.

    Raises:
        DataError: There is no such thing, or it cannot be read.
    """
    builtin = find_builtin(data)
    if builtin is not None:
        frame = load_builtin(builtin)
        return Table(builtin.name, frame, digest=frame_digest(frame))
    path = Path(data)
    _check_path(path)
    return _read_file(path)


def frame_digest(frame: pl.DataFrame) -> str:
    """Return SHA-256 over column names, types and cells.

    Example:
        >>> same = pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [1, 2]})
        >>> frame_digest(same[0]) == frame_digest(same[1]) != frame_digest(same[0] + 1)
        True
    """
    digest = hashlib.sha256(repr(frame.schema).encode())
    nested = [one for one in frame if one.dtype.is_nested() or one.dtype in {pl.Object, pl.Binary}]
    for column in nested:
        digest.update(repr(column.to_list()).encode())
    flat = frame.drop([column.name for column in nested])
    flat = flat.with_columns(pl.col(pl.Duration).to_physical())
    digest.update(flat.write_csv(include_header=False).encode() if flat.width else b"")
    return digest.hexdigest()


def _check_path(path: Path) -> None:
    try:
        if path.is_file():
            return
        if path.is_dir():
            raise DataError(f"{shown(path, 200)} is a folder; give one CSV or Parquet file")
        raise DataError(_not_found(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(path, 200)} cannot be opened: {_cause(error)}") from error


def _not_found(path: Path) -> str:
    missing = f"there is no file {shown(path, 200)}"
    if not path.parent.is_dir():
        return f"{missing}: the folder {shown(path.parent, 200)} does not exist"
    if not path.suffix and path.parent == Path():
        near = nearest_names(path.name, _known_names())
        if near:
            return f"{missing} and no built-in data of that name; did you mean {' or '.join(near)}?"
    readable = [other.name for other in path.parent.iterdir() if _ending(other.name)]
    near = nearest_names(path.name, readable)
    if near:
        return f"{missing}; did you mean {' or '.join(shown(name) for name in near)}?"
    return f"{missing}; give a CSV or Parquet file, or built-in data: {', '.join(_known_names())}"


def _known_names() -> tuple[str, ...]:
    return (*builtin_names(), *(named.name for named in NAMED_SETS))


def _ending(name: str) -> str:
    endings = (*CSV_ENDINGS, *TAB_ENDINGS, *PARQUET_ENDINGS)
    return next((ending for ending in endings if name.lower().endswith(ending)), "")


def _read_file(path: Path) -> Table:
    ending = _ending(path.name)
    if not ending:
        known = ", ".join((*CSV_ENDINGS, *TAB_ENDINGS, *PARQUET_ENDINGS))
        raise DataError(f"{shown(path, 200)}: cannot tell its format; files may end in {known}")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown(path, 200)} cannot be read: {_cause(error)}") from error
    if not raw:
        raise DataError(f"{shown(path, 200)} is empty; give a table with a header line and rows")
    digest = hashlib.sha256(raw).hexdigest()
    name = path.name if path.name.isprintable() else repr(path.name)
    if ending in PARQUET_ENDINGS:
        return Table(name, read_parquet(raw, name), digest=digest)
    frame, lines = read_csv(raw, name, tabs=ending in TAB_ENDINGS)
    return Table(name, frame, lines, digest)


def _cause(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
