"""Exports that are plain files: one JSON object, or a folder of Parquet tables."""

import json
from pathlib import Path
from typing import Any

from relume.errors import OutputError
from relume.files import whole_file, whole_folder
from relume.report.exporting.contents import FORMAT, Contents, described
from relume.report.parts import plain
from relume.runs.tables import Table

ABOUT = "tables.json"
"""In a folder of Parquet tables: what each table and each column says."""


def export_json(contents: Contents, path: Path, *, overwrite: bool) -> None:
    """Write one JSON object with every table, column by column; what is not finite is null.

    Raises:
        OutputError: If the file is there and may not be overwritten, or cannot be written.
    """
    refuse_to_overwrite(path, overwrite=overwrite)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give --out the name of a file")
    data = described(contents)
    for table in contents.tables:
        data["tables"][table.name]["values"] = plain(table.by_column())
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(data, allow_nan=False) + "\n", encoding="utf-8")


def export_parquet(contents: Contents, folder: Path, *, overwrite: bool) -> None:
    """Write a folder with one Parquet file a table, and ``tables.json`` that describes columns.

    Raises:
        OutputError: If the folder is there and may not be overwritten, or holds other files.
    """
    refuse_to_overwrite(folder, overwrite=overwrite)
    if folder.exists() and not is_export(folder):
        raise OutputError(
            f"{folder} holds other things than an export of Relume and is not overwritten; "
            "give --out another name"
        )
    with whole_folder(folder) as temporary:
        for table in contents.tables:
            _frame(table).write_parquet(temporary / f"{table.name}.parquet")
        text = json.dumps(described(contents), indent=1)
        (temporary / ABOUT).write_text(text + "\n", encoding="utf-8")


def refuse_to_overwrite(place: Path, *, overwrite: bool) -> None:
    """Refuse a place at which there is something already.

    Raises:
        OutputError: If there is, and it was not said that it may be replaced.
    """
    if place.exists() and not overwrite:
        raise OutputError(f"{place} exists already; give --out another name, or --overwrite")


def is_export(folder: Path) -> bool:
    """Return whether a folder holds Parquet tables of an export, and nothing else."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    others = [each for each in folder.iterdir() if each.suffix != ".parquet" or each.is_dir()]
    if [each.name for each in others] != [ABOUT]:
        return False
    try:
        about = json.loads(others[0].read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(about, dict) and about.get("format") == FORMAT


def _frame(table: Table) -> Any:
    import polars as pl

    kinds = {"int": pl.Int64, "float": pl.Float64, "text": pl.String, "flag": pl.Boolean}
    schema = {column.name: kinds[column.kind] for column in table.columns}
    return pl.DataFrame(_storable(table), schema=schema)


def _storable(table: Table) -> dict[str, list[Any]]:
    """Return the columns; half of a surrogate pair, which a file name may hold, is replaced."""
    return {
        name: [
            value.encode(errors="replace").decode() if isinstance(value, str) else value
            for value in values
        ]
        for name, values in table.by_column().items()
    }
