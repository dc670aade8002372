"""Running the real command in a real process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

RELUME = [sys.executable, "-m", "relume"]


def relume(*arguments, cwd, **options):
    """Run a command to its end, wherever it was called from, with plain output."""
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*RELUME, *map(str, arguments)],
        cwd=cwd,
        env=environment | options.pop("env", {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,
    )


def start(*arguments, cwd):
    """Start a command in a process group of its own."""
    return subprocess.Popen(
        [*RELUME, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"NO_COLOR": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds=120.0):
    """Wait until something holds; fail loudly if it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def last_step(run_file: Path) -> int:
    """Return the last step on record, 0 while there is none."""
    from relume.errors import RunFileError
    from relume.runs.query import read_run

    try:
        return read_run(run_file).last_step
    except RunFileError:
        return 0


def send(process, number=signal.SIGINT):
    """Send a signal and return exit code, stdout and stderr."""
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err
