"""What the tests of ``relume run`` put before and beside the scripts that they run."""

import os
import subprocess
import sys
from pathlib import Path

STAGE = Path(__file__).parent
SOURCES = Path(__file__).parents[3] / "src"
RUN = [sys.executable, "-m", "relume_with_recorder", "run"]


def environment(*, real_torch=False):
    """The environment of both twins: Relume, the recorder and torch, or its stand-in."""
    stage = [str(STAGE / "path")] + ([] if real_torch else [str(STAGE / "stand_in")])
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = [*stage, str(SOURCES), *given]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1", "NO_COLOR": "1",
    }  # fmt: skip


def finish(command, *, cwd, real_torch=False, stdin=b"", env=None):
    """Run a command to its end; return exit code, stdout and stderr as bytes."""
    done = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, check=False, timeout=120,
        env=environment(real_torch=real_torch) | {"TMPDIR": str(cwd.parent)} | (env or {}),
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def twins(*arguments, cwd, **options):
    """Run ``python ARGUMENTS`` and ``relume run ARGUMENTS``, quietly, and return both ends."""
    bare = finish([sys.executable, *arguments], cwd=cwd, **options)
    return bare, finish([*RUN, "-q", "--no-report", *arguments], cwd=cwd, **options)


def start(command, *, cwd):
    """Start a command in a session of its own, with its output in pipes."""
    return subprocess.Popen(
        command, cwd=cwd, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
