"""``relume run`` in a process that has imported torch: ``python warm_run.py run train.py``.

It is the command itself, but for this: what it would start as new processes, the program and the
closing of the run, runs in this one, since each of them would import torch again. How it starts
them is tested in ``tests/integration``.
"""

import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

from relume.cli import main, run_closing
from relume.observe import attendance, launch
from relume.observe.run_place import PLACE


def program(command, environment):
    """Watch and run a Python program here, and return its exit code."""
    os.environ.update(environment)
    attending = attendance.Attendance()
    attending.begin()
    words = command[1:]
    try:
        if words[0] == "-m":
            sys.argv, sys.path[0] = words[1:], str(Path.cwd())
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = words, str(Path(words[0]).parent)
            runpy.run_path(words[0], run_name="__main__")
    finally:
        attending.end()
    return 0


def become(command, environment):
    """Run the program, and end as it does."""
    code = program(command, environment)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def closing(command, *, env, **_):
    """Close the run."""
    os.environ[PLACE] = env[PLACE]
    return SimpleNamespace(returncode=run_closing.main(list(command[3:])))


if __name__ == "__main__":
    launch.become, launch.run_beside = become, program
    attendance.subprocess = SimpleNamespace(run=closing, DEVNULL=None)
    main(sys.argv[1:])
