"""Where runs are: the run files under a folder, those of one run together."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from relume.errors import RunFileError
from relume.runs.query import RUN_FILE, SHARD

_SQLITE_LOCKS = 0x40000000
"""The byte of a database from which on SQLite places its locks (its file format, section 1.3)."""

_LOCKED_BYTES = 512
SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite leaves beside a database that was not closed."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files that the processes of one run left in a folder.

    Args:
        folder: Where they are.
        files: ``run.sqlite`` first, if it is there, then the shards by name.
        written_at: When one of them was last written, seconds since 1970.
        size: Bytes of all of them, with what SQLite keeps beside them.
    """

    folder: Path
    files: tuple[Path, ...]
    written_at: float
    size: int

    @property
    def main(self) -> Path:
        """The file that stands for all of them."""
        return self.files[0]


def find_runs(folder: Path) -> list[RunFiles]:
    """Return the runs under a folder, the one written last first.

    Neither links nor hidden folders are followed; folders that cannot be read are passed over.

    Raises:
        RunFileError: If it is not a folder.

    Cost: one look at every name under the folder; no file is opened.
    """
    if not folder.is_dir():
        is_there = "it is a file" if folder.exists() else "there is nothing of that name"
        raise RunFileError(f"{folder} is not a folder with runs: {is_there}; give a folder")
    return sorted(_walk(folder), key=lambda run: (-run.written_at, str(run.folder)))


def _walk(folder: Path) -> Iterator[RunFiles]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        own = sorted(
            (name for name in names if name == RUN_FILE or SHARD.fullmatch(name)),
            key=lambda name: (name != RUN_FILE, name),
        )
        found = [file for name in own if (file := Path(place, name)).is_file()]
        files = tuple(file for file in found if not file.is_symlink())
        if files:
            stats = list(_stats([*files, *_beside(files)]))
            if stats:
                written_at = max(stat.st_mtime for stat in stats)
                yield RunFiles(Path(place), files, written_at, sum(s.st_size for s in stats))


def _beside(files: tuple[Path, ...]) -> list[Path]:
    return [file.with_name(file.name + ending) for file in files for ending in SIDE_FILES]


def _stats(files: list[Path]) -> Iterator[os.stat_result]:
    for file in files:
        with suppress(OSError):
            yield file.lstat()


def is_open(file: Path) -> bool | None:
    """Return whether another process has a run file open: a training that goes on; None: unknown.

    Who writes a run file holds SQLite's shared lock on it all the time. Locks belong to processes:
    never ask this of a file that the own process has open.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return None
    try:
        with file.open("r+b") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKED_BYTES, _SQLITE_LOCKS)
            fcntl.lockf(handle, fcntl.LOCK_UN, _LOCKED_BYTES, _SQLITE_LOCKS)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False
