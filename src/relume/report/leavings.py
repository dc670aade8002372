"""What runs left behind, recognised as Relume's own by its content, and taken away whole."""

import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relume.errors import OutputError, RunFileError
from relume.report.plots import SOFTWARE
from relume.runs.places import SIDE_FILES, RunFiles, is_open
from relume.runs.run_file import read_info, reading

GENERATOR = b'<meta name="generator" content="Relume">'
MODEL_FORMAT, MODEL_FILES = "relume-model", {"model.json", "weights.safetensors"}
REPORTS, CHECKPOINT, MODEL = ("report.html", "report.png"), "checkpoint.safetensors", "model"
_PICTURE = b"\x89PNG\r\n\x1a\n"
_HEAD_BYTES = 8192
_MOST_HEADER_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runs are to go: those that meet every condition that is given.

    Args:
        older_than_s: Not written for so many seconds; None: of any age.
        keep: So many of the newest runs stay.
        failed: Only those that failed or were killed.
    """

    older_than_s: float | None = None
    keep: int = 0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Leavings:
    """What a run left that can go, the run file last of all, so that the rest is never orphaned.

    Args:
        run: Whose they are.
        status: Of the run.
        paths: Files, and the model's folder if models may go.
        size: Bytes of all of them.
    """

    run: RunFiles
    status: str
    paths: tuple[Path, ...]
    size: int


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A run that was chosen, and why nothing of it goes."""

    run: RunFiles
    reason: str


def choose(
    runs: Sequence[RunFiles], choice: Choice, *, models: bool, now: float | None = None
) -> Iterator[Leavings | LeftAlone]:
    """Yield what goes of the chosen runs, and which of them are left alone.

    Args:
        runs: The newest first, from ``find_runs``.
        choice: Which of them.
        models: Whether the models of fits go too.
        now: Seconds since 1970; the clock if None.
    """
    present = time.time() if now is None else now
    for run in runs[choice.keep :]:
        if choice.older_than_s is None or present - run.written_at >= choice.older_than_s:
            found = leavings(run, models=models)
            if isinstance(found, LeftAlone) or not choice.failed or found.status in _FAILED:
                yield found


_FAILED = ("failed", "killed")


def leavings(run: RunFiles, *, models: bool) -> Leavings | LeftAlone:
    """Return what can go of a run, or why nothing can.

    Its run files must be readable as such, and open in no process; everything else is recognised
    by what is in it. Links are never followed.
    """
    states = [is_open(file) for file in run.files]
    try:
        statuses = [_status(file) for file in run.files]
    except RunFileError as error:
        return LeftAlone(run, " ".join(str(error).split()))
    if any(states) or ("running" in statuses and None in states):
        return LeftAlone(run, "it is being written")
    folder = run.folder
    extras = [folder / name for name in REPORTS if _is_report(folder / name)]
    extras += [folder / CHECKPOINT] if _is_checkpoint(folder / CHECKPOINT) else []
    extras += [folder / MODEL] if models and _is_model(folder / MODEL) else []
    databases = [
        path
        for file in reversed(run.files)
        for path in (file, *(file.with_name(file.name + ending) for ending in SIDE_FILES))
        if _is_own_file(path)
    ]
    paths = (*extras, *databases)
    ended = ("killed" if status == "running" else status for status in statuses)
    worst = min(ended, key=lambda status: _ORDER.get(status, len(_ORDER)))
    return Leavings(run, worst, paths, sum(map(_size, paths)))


_ORDER = {"failed": 0, "killed": 1, "interrupted": 2}


def remove(found: Leavings, *, models: bool) -> Leavings | LeftAlone:
    """Take away what a run left, all of it even if Ctrl-C comes meanwhile.

    It is looked at once more, for it may have been gone on with; a folder left empty goes too.

    Returns:
        What went, or why nothing did.

    Raises:
        OutputError: If something cannot be deleted.
    """
    with uninterrupted():
        again = leavings(found.run, models=models)
        if isinstance(again, LeftAlone):
            return again
        for path in again.paths:
            try:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise OutputError(f"cannot delete {path}: {reason}") from error
        if not any(found.run.folder.iterdir()) and found.run.folder.resolve() != Path.cwd():
            found.run.folder.rmdir()
    return again


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back to the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {each: signal.signal(each, lambda got, _: held.append(got)) for each in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


def _status(file: Path) -> str:
    with reading(file) as connection:
        return read_info(connection).status


def _is_own_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _size(path: Path) -> int:
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    return sum(each.lstat().st_size for each in files)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _is_report(path: Path) -> bool:
    if not _is_own_file(path):
        return False
    head = _head(path)
    is_picture = head.startswith(_PICTURE) and b"Software\0" + SOFTWARE.encode() in head
    return is_picture or (head.lower().startswith(b"<!doctype html>") and GENERATOR in head)


def _is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint: safetensors with our entry among what is said of it."""
    if not _is_own_file(path):
        return False
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = _json(file.read(length)) if length <= _MOST_HEADER_BYTES else None
    except OSError:
        return False
    about = header.get("__metadata__") if isinstance(header, dict) else None
    return isinstance(about, dict) and "relume" in about


def _is_model(folder: Path) -> bool:
    if not folder.is_dir() or folder.is_symlink():
        return False
    inside = list(folder.iterdir())
    if {each.name for each in inside} != MODEL_FILES or not all(map(_is_own_file, inside)):
        return False
    try:
        described = _json((folder / "model.json").read_bytes())
    except OSError:
        return False
    return isinstance(described, dict) and described.get("format") == MODEL_FORMAT


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
