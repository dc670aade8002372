"""What we do in a process of a run: begin once torch is imported, end after the program's end.

However the program ends, its run file is completed and, in the outermost process, the run is
closed: at its normal end, by an exception, by Ctrl-C, and by a signal that nothing else handles.
"""

import importlib
import multiprocessing.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from relume.observe.ending_signals import EndingSignals
from relume.observe.launch import OUTERMOST, LaunchSettings, without_us
from relume.observe.run_place import PLACE, RunPlace, is_child_process
from relume.observe.tracebacks import show_as_without_us

LAUNCHERS = frozenset({"torchrun", "torch.distributed.run", "torch.distributed.launch"})


class Watch(Protocol):
    """What records a training. None of its methods raises."""

    def start(self) -> None:
        """Patch torch; the run file opens with the first training step."""

    def stop(self, status: str) -> None:
        """Complete the run file: finished, interrupted or failed.

        A signal may call it between any two instructions of the main thread.
        """

    def after_fork_in_child(self) -> None:
        """Forget the parent's run file: this process opens its own at its first step."""


class Attendance:
    """Our presence in this process, as its environment asks for."""

    def __init__(self) -> None:
        self._settings = LaunchSettings.from_environment(os.environ)
        self._place = RunPlace.from_environment(os.environ)
        self._closes = os.environ.get(OUTERMOST) == str(os.getpid())
        self._watch: Watch | None = None

    def begin(self) -> None:
        """Start the watch, unless this process only starts others."""
        if is_launcher(sys.orig_argv):
            return
        watching = importlib.import_module(self._settings.watching)
        self._watch = watching.Watch(watching.WatchSettings(**self._options()))
        self._watch.start()
        show_as_without_us()
        os.register_at_fork(after_in_child=self._after_fork)
        multiprocessing.util.register_after_fork(self, Attendance._end_with_worker)
        EndingSignals(self._told_to_end).install()

    def end(self) -> None:
        """Complete the run file; close the run if this is its outermost process."""
        self._stop(ending_of_process())
        with suppress(KeyboardInterrupt):
            self._close()

    def _options(self) -> dict[str, object]:
        is_another = is_child_process(os.environ) or os.environ.get("RANK", "0") != "0"
        quiet = is_another or bool(self._settings.watch.get("quiet"))
        return {**self._settings.watch, "quiet": quiet, "report": False}

    def _stop(self, status: str) -> None:
        if self._watch is not None:
            self._watch.stop(status)

    def _close(self) -> None:
        """Close the run, once, if that is for this process to do."""
        place, closes = self._place, self._closes
        self._closes = False
        if place is None or not closes:
            return
        close_run(self._settings, place, os.environ)

    def _told_to_end(self) -> None:
        self._stop("interrupted")
        self._close()

    def _after_fork(self) -> None:
        """Let the child be a process of its own."""
        self._closes = False
        if self._watch is not None:
            self._watch.after_fork_in_child()

    def _end_with_worker(self) -> None:
        """Complete the run file of a forked worker, which ends without running what is at exit."""
        multiprocessing.util.Finalize(None, self._stop, args=("finished",), exitpriority=-100)


def is_launcher(command: Sequence[str]) -> bool:
    """Whether a Python's command only starts the processes that train.

    Example:
        >>> is_launcher(["python", "/venv/bin/torchrun", "train.py"])
        True
        >>> is_launcher(["python", "-u", "-m", "torch.distributed.run", "train.py"])
        True
        >>> is_launcher(["python", "train.py", "torchrun"])
        False
    """
    for index, word in enumerate(command[1:], start=1):
        if word == "-m":
            return command[index + 1 : index + 2] != [] and command[index + 1] in LAUNCHERS
        if not word.startswith("-"):
            return Path(word).name in LAUNCHERS
    return False


def ending_of_process() -> str:
    """Return how the program ended, by the exception that Python has shown."""
    kind = getattr(sys, "last_type", None)
    if kind is None:
        return "finished"
    return "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"


def close_run(settings: LaunchSettings, place: RunPlace, environment: Mapping[str, str]) -> int:
    """Have the report made, in a process of its own; say so if there is nothing to report.

    Args:
        settings: What the processes of the run were told.
        place: Where they recorded.
        environment: The present one.

    Returns:
        The exit code of that process; 0 without one.
    """
    if place.folder() is None:
        if not settings.watch.get("quiet"):
            say("no training step was seen; nothing was recorded")
        return 0
    if not settings.closing:
        place.forget()
        return 0
    try:
        return subprocess.run(  # noqa: S603
            settings.closing,
            env=without_us(environment, settings.python_path) | {PLACE: place.to_text()},
            cwd=settings.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        ).returncode
    except OSError as error:
        say(f"the run in {place.folder()} has no report: {error}")
        return 0
    finally:
        place.forget()


def say(line: str) -> None:
    """Say one line on stderr, if there is anybody to read it."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"relume: {line}\n")
        sys.stderr.flush()
