"""Running the real command in a real process."""

import atexit
import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.warm import WarmPython

RELUME = [sys.executable, "-m", "relume"]
PLAIN = {"NO_COLOR": "1", "COLUMNS": "100"}
LIBRARIES = (
    "torch.optim", "torch.utils.data", "torch._dynamo", "scipy.stats", "sklearn.linear_model",
    "sklearn.preprocessing", "sklearn.datasets", "polars", "safetensors.torch", "jinja2", "typer",
    "rich.console", "matplotlib.figure",
)  # fmt: skip
"""What most commands import; nothing of Relume is among it."""


def relume(*arguments, cwd, env=None):
    """Run a command to its end in a warm process, wherever it was called from, with plain output.

    What a cold start imports, and that it does not import more, is tested elsewhere.
    """
    return warm_python("-m", "relume", *arguments, cwd=cwd, env=env)


def warm_python(*arguments, cwd, env=None):
    """Run ``python ARGUMENTS`` to its end in a warm process, with plain output."""
    command = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        done = _warm().run(Path(folder) / "run", command, place=cwd, environment=env)
    return subprocess.CompletedProcess(command, *done)


@functools.cache
def _warm():
    """Start the process that forks for commands, and end it with this one."""
    warm = WarmPython(*LIBRARIES, environment=PLAIN)
    atexit.register(warm.close)
    return warm


def relume_cold(*arguments, cwd, env=None, **options):
    """Run a command to its end in a process that begins from nothing."""
    return subprocess.run(
        [*RELUME, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | PLAIN | (env or {}),
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
