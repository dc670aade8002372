"""Reading a run: its run file, and the shards that other processes of it left beside."""

import re
from pathlib import Path

from relume.errors import RunFileError
from relume.runs.run_file import Run, read_file
from relume.runs.shards import merge_shards

__all__ = ["RUN_FILE", "SHARD", "Run", "read_run"]

RUN_FILE = "run.sqlite"

SHARD = re.compile(r"run-(rank)?(\d+)\.sqlite")
"""The names of what other processes of a run write beside it."""


def read_run(path: str | Path) -> Run:
    """Read a run whole.

    ``run.sqlite`` stands for all processes of its run: the files ``run-rank<n>.sqlite`` and
    ``run-<pid>.sqlite`` beside it are added to it where they saw the same layers. A run that is
    being written can be read too.

    Args:
        path: The run file, or the folder that holds it; any other file is read alone.

    Returns:
        The run. Where the first file saw no step, as that of a launcher, the first one that did
        stands in for it.

    Raises:
        RunFileError: If there is no run file, or the file named is not a run file, of a newer
            version, or damaged.
    """
    path = Path(path)
    given = path / RUN_FILE if path.is_dir() else path
    shards = _shards_beside(given)
    if not shards:
        return read_file(given)
    found = [read_file(given)] if given.is_file() else []
    damaged = []
    for shard in shards:
        try:
            found.append(read_file(shard))
        except RunFileError:
            damaged.append(shard)
    if not found:
        raise RunFileError(f"there is no readable run file in {given.parent}")
    return merge_shards(found, damaged)


def _shards_beside(path: Path) -> list[Path]:
    """Return the shards of a run: ranks first, then other processes, each in order."""
    if path.name != RUN_FILE or not path.parent.is_dir():
        return []
    matches = [
        (match, each) for each in path.parent.iterdir() if (match := SHARD.fullmatch(each.name))
    ]
    return [each for match, each in sorted(matches, key=lambda m: (not m[0][1], int(m[0][2])))]
