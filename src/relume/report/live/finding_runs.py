"""Which runs are followed: those that are named, or all that lie under a folder."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from relume.errors import RunFileError
from relume.runs.query import RUN_FILE

MOST_RUNS = 100
MOST_FOLDERS = 5000
DEEPEST = 4

_RUN_FILES = re.compile(r"run(-(rank)?\d+(-[0-9a-f]+)?)?\.sqlite")
_DATABASE = b"SQLite format 3\0"
_PASSED_OVER = frozenset({"node_modules", "site-packages", "__pycache__", "venv"})


def named_run(path: Path) -> Path:
    """Return the run that a person names: a run file, or the folder that stands for one.

    Raises:
        RunFileError: If there is none.
    """
    if path.is_dir():
        if run_files(path):
            return path
        raise RunFileError(f"there is no run file in {path}; relume live alone finds all below it")
    if not path.is_file():
        raise RunFileError(f"there is no run file at {path}; look for a mistake in the path")
    if not _may_be_run_file(path):
        raise RunFileError(f"{path} is no run file; name a folder that relume run or fit has made")
    return path.parent if path.name == RUN_FILE else path


def _may_be_run_file(path: Path) -> bool:
    """Whether a file begins as a database does; one that is just being made is still empty."""
    try:
        with path.open("rb") as file:
            return file.read(len(_DATABASE)) in {b"", _DATABASE}
    except OSError as error:
        raise RunFileError(f"{path} cannot be read: {error.strerror}") from error


def runs_under(folder: Path) -> list[Path]:
    """Return the folders below one that hold runs, the one written last first, at most 100.

    Hidden folders, installed packages and what lies deeper than four folders are passed over.
    """
    found = [(written_at_ns(each), each) for each in _folders(folder) if run_files(each)]
    return [each for _, each in sorted(found, reverse=True)[:MOST_RUNS]]


def run_files(run: Path) -> list[os.DirEntry[str]]:
    """Return the run files in a folder, with the logs beside them."""
    try:
        with os.scandir(run) as entries:
            return sorted(
                (each for each in entries if _RUN_FILES.fullmatch(each.name.removesuffix("-wal"))),
                key=lambda each: each.name,
            )
    except OSError:
        return []


def written_at_ns(run: Path) -> int:
    """Return when a run was last written to; 0 if it is gone."""
    return max((at_ns for _, at_ns, _ in stamp(run)), default=0)


def stamp(run: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what differs after every write to a run: time and size of its files and their logs.

    Args:
        run: A folder, or a single run file.
    """
    if run.is_dir():
        files = [(each.name, each.stat) for each in run_files(run)]
    else:
        both = (run, run.with_name(run.name + "-wal"))
        files = [(each.name, each.stat) for each in both]
    parts = []
    for name, stat in files:
        with suppress(OSError):
            status = stat()
            parts.append((name, status.st_mtime_ns, status.st_size))
    return tuple(parts)


def _folders(top: Path) -> Iterator[Path]:
    """Yield a folder and those below it, the nearest first."""
    level, seen = [top], 0
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            seen += 1
            if seen > MOST_FOLDERS:
                return
            yield folder
            below += _children(folder)
        level = below


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                Path(each.path)
                for each in entries
                if each.is_dir(follow_symlinks=False)
                and not each.name.startswith(".")
                and each.name not in _PASSED_OVER
            ]
    except OSError:
        return []
