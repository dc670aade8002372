"""Writing without halves: a file or folder appears under its final name complete, or not at all."""

import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relume.errors import OutputError

_ADVICE = {
    errno.ENOSPC: "free some space or choose another place",
    errno.EDQUOT: "free some space or choose another place",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "choose a place that can be written to",
}


@contextmanager
def writing_to(place: Path, option: str = "--out") -> Iterator[None]:
    """Turn a failure to write into one line with the place, the reason and what to do.

    Args:
        place: What is written.
        option: The option with which a person chooses another place.

    Raises:
        OutputError: Instead of any ``OSError``.
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "choose another place")
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write {place}: {reason}; {advice} with {option}") from error


@contextmanager
def whole_file(path: Path, option: str = "--out") -> Iterator[Path]:
    """Give a temporary path beside ``path``; it takes the final name when the block succeeds.

    Args:
        path: The final name.
        option: The option with which a person chooses another place.

    Raises:
        OutputError: If it cannot be written; nothing is left behind.
    """
    with writing_to(path, option):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; it replaces ``path`` when the block succeeds.

    Raises:
        OutputError: If it cannot be written; nothing is left behind and an old folder stays.
    """
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            for file in temporary.iterdir():
                _flush(file)
            temporary.chmod(0o777 & ~_umask())
            _replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Create a folder if it is not there and try it with a file, before any work is done for it.

    Raises:
        OutputError: If it cannot be written.
    """
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as trial:
            trial.write(b"x" * 4096)


def check_possible(folder: Path, option: str = "--out") -> None:
    """Try whether a folder could be made and written to, making nothing that stays.

    Args:
        folder: That is wanted.
        option: The option with which a person chooses another place.

    Raises:
        OutputError: If it cannot be.
    """
    with writing_to(folder, option):
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass


def numbered(wanted: Path) -> Iterator[Path]:
    """Yield the path itself, then with -2, -3, ... at its end."""
    yield wanted
    for number in itertools.count(2):
        yield wanted.with_name(f"{wanted.name}-{number}")


def free_folder(wanted: Path) -> Path:
    """Return the folder itself, or the first numbered one that is not there yet."""
    return next(folder for folder in numbered(wanted) if not folder.exists())


def _replace_folder(new: Path, place: Path) -> None:
    old = None
    if place.exists():
        old = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.old."))
        place.rename(old / place.name)
    try:
        new.rename(place)
    except OSError:
        if old is not None:
            (old / place.name).rename(place)
        raise
    finally:
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb") as file, suppress(OSError):
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
