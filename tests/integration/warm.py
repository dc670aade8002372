"""Running Python programs one after another, each in a process of its own that begins warm."""

import json
import os
import selectors
import subprocess
import sys
from pathlib import Path

SERVER = Path(__file__).parent / "warm_stage" / "warm_python.py"
LIMIT_S = 300
TRACING = "COVERAGE_PROCESS_CONFIG"
"""The variable by which coverage reaches processes: the runs, not what they begin with."""


class WarmPython:
    """Forks for every run, with large libraries imported already.

    Args:
        modules: Names of those libraries; nothing of Relume is among them.
        environment: Variables of the environment beside those of this process.
    """

    def __init__(self, *modules, environment=None):
        self._process = subprocess.Popen(
            [sys.executable, SERVER, *modules],
            env=_without_tracing() | {"OMP_NUM_THREADS": "1"} | (environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    def run(self, folder, arguments, *, place=None, environment=None):
        """Return exit code, stdout and stderr of ``python ARGUMENTS``.

        Args:
            folder: A new folder for what is printed.
            arguments: What follows ``python``.
            place: The working folder, if it is another one.
            environment: Further variables.
        """
        folder.mkdir(parents=True)
        out, err = folder / "stdout.txt", folder / "stderr.txt"
        request = {
            "folder": place or folder,
            "arguments": arguments,
            "environment": _tracing() | (environment or {}),
            "stdout": out,
            "stderr": err,
        }
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(LIMIT_S):
                os.killpg(self._process.pid, 9)
        code = int(self._process.stdout.readline())
        return code, out.read_text(), err.read_text()

    def close(self):
        """End it, once all runs have ended."""
        self._process.stdin.close()
        assert self._process.wait(30) == 0
        self._process.stdout.close()


def _tracing():
    return {name: value for name, value in os.environ.items() if name == TRACING}


def _without_tracing():
    return {name: value for name, value in os.environ.items() if name != TRACING}
