"""Starting a person's program so that it, and every Python that it starts, is watched.

A script or module takes the place of our process (``exec``): it runs in a Python of its own, with
no frame, module or flag of ours, under the process id that the person knows. Another command runs
beside us and gets the signals that we get. In both cases the environment carries the watch: a
folder with a ``sitecustomize.py`` stands first on PYTHONPATH.

Not reached: a Python started with -I, -E or -S, or with an environment that was made anew; a
program sees our variables in its environment.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

from relume.observe.run_place import PARENT, PLACE, RunPlace

SETTINGS, OUTERMOST, QUIET = "RELUME_SETTINGS", "RELUME_OUTERMOST", "RELUME_QUIET"
START_FOLDER = Path(__file__).parent / "child_start"
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings:
    """What every process of a run is told.

    Attributes:
        watching: Name of the module that holds ``Watch`` and ``WatchSettings``.
        watch: Arguments of its ``WatchSettings``; plain JSON data.
        closing: Command that the outermost process runs when the program has ended and something
            was recorded; it finds the place of the run in ``RELUME_RUN``.
        python_path: PYTHONPATH as it was; None where it was not set.
        folder: Where the run was started.
    """

    watching: str
    watch: Mapping[str, Any]
    closing: Sequence[str]
    python_path: str | None
    folder: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings that this process was given."""
        return cls(**json.loads(environment[SETTINGS]))


def without_us(environment: Mapping[str, str], python_path: str | None) -> dict[str, str]:
    """Return an environment whose processes are not watched."""
    ours = {SETTINGS, OUTERMOST, QUIET, PARENT, PLACE, "PYTHONPATH"}
    kept = {name: value for name, value in environment.items() if name not in ours}
    return kept if python_path is None else kept | {"PYTHONPATH": python_path}


def usual_python_path(environment: Mapping[str, str]) -> str | None:
    """Return PYTHONPATH without our folder, which a run inside a run finds there."""
    given = environment.get("PYTHONPATH")
    if given is None or str(START_FOLDER) not in given.split(os.pathsep):
        return given
    return os.pathsep.join(e for e in given.split(os.pathsep) if e != str(START_FOLDER)) or None


def watched_environment(
    environment: Mapping[str, str],
    settings: LaunchSettings,
    place: RunPlace,
    *,
    outermost: int | None,
) -> dict[str, str]:
    """Return the environment of a program whose processes are watched.

    Args:
        environment: The present one.
        settings: What every process is told.
        place: Where they record.
        outermost: Process id of the Python that closes the run at its end; None if we do it.
    """
    path = os.pathsep.join(filter(None, [str(START_FOLDER), settings.python_path]))
    added = {"PYTHONPATH": path, SETTINGS: json.dumps(asdict(settings)), PLACE: place.to_text()}
    if outermost is not None:
        added[OUTERMOST] = str(outermost)
    if settings.watch.get("quiet"):
        added[QUIET] = "1"
    return without_us(environment, None) | added


def own_python(orig_argv: Sequence[str]) -> list[str]:
    """Return the command of this Python, with its flags where a person typed them.

    Flags are typed in ``python -u -W error -m relume ...``; those in the first line of a console
    script are its installer's.

    Example:
        >>> own_python(["python", "-u", "-W", "error", "-m", "relume", "run", "a.py"])[1:]
        ['-u', '-W', 'error']
        >>> own_python(["python", "-s", "/venv/bin/relume", "run", "a.py"])[1:]
        []
    """
    flags: list[str] = []
    words = iter(orig_argv[1:])
    for word in words:
        if word.startswith("-m"):
            return [sys.executable, *flags]
        if not word.startswith("-") or word.startswith("-c"):
            break
        flags.append(word)
        if word in {"-W", "-X", "--check-hash-based-pycs"}:
            flags += [next(words)]
    return [sys.executable]


def become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Let a program take the place of this process; return only by an ``OSError``."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], list(command), dict(environment))  # noqa: S606


def run_beside(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, forwarding signals.

    Ctrl-C reaches the command without us, since a terminal sends it to both.

    Returns:
        Its exit code; minus the signal's number if a signal ended it.
    """
    process = subprocess.Popen(command, env=dict(environment))  # noqa: S603

    def forward(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT or not _is_sent_by_terminal():
            process.send_signal(number)

    before = {
        number: signal.signal(number, forward)
        for number in FORWARDED
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_by(number: int) -> None:
    """End this process by a signal, as the program that ran beside it ended."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the program has left its core already
    if number not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _is_sent_by_terminal() -> bool:
    """Whether this process group is in the foreground of a terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
