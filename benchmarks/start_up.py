"""What starting costs: ``relume --help``, and ``relume run`` beside the bare script, CPU seconds.

``python -m benchmarks.start_up`` writes ``benchmarks/results/start_up.json``. A script tells its
own CPU time right after it has imported torch; as ``relume run`` puts the script in its own place,
that is all that was spent by then. Rounds are interleaved; the least of each is what it costs when
nothing else is in the way, the median what it cost here.
"""

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 9
SCRIPT = "import time, torch\nprint('spent', time.process_time())\n"
SPENT = re.compile(r"spent ([0-9.]+)")


def cpu_of(command: Sequence[str], folder: Path) -> float:
    """Run a command to its end and return the CPU seconds that it took, with its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def told_by(command: Sequence[str], folder: Path) -> float:
    """Run a command to its end and return the CPU seconds that its script tells."""
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=True
    )
    found = SPENT.search(done.stdout)
    if found is None:
        raise RuntimeError(f"the script told nothing: {done.stderr}")
    return float(found[1])


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of every round of every variant."""
    relume = [sys.executable, "-m", "relume"]
    times: dict[str, list[float]] = {"help": [], "bare": [], "run": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "script.py").write_text(SCRIPT)
        watched = [*relume, "run", "--quiet", "--no-report", "script.py"]
        for command in ([*relume, "--help"], watched):  # warm up: bytecode, files
            cpu_of(command, folder)
        for _ in range(rounds):
            times["help"].append(cpu_of([*relume, "--help"], folder))
            times["bare"].append(told_by([sys.executable, "script.py"], folder))
            times["run"].append(told_by(watched, folder))
    return times


def figures(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return least and median of the help, and of what a run adds to the bare script."""
    added = [run - bare for run, bare in zip(times["run"], times["bare"], strict=True)]
    least = min(times["run"]) - min(times["bare"])
    return {
        "help_s": {"least": min(times["help"]), "median": statistics.median(times["help"])},
        "run_adds_s": {"least": least, "median": statistics.median(added)},
        "bare_s": {"least": min(times["bare"]), "median": statistics.median(times["bare"])},
    }


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def main() -> None:
    """Measure, and keep the result."""
    from benchmarks.measure import keep

    times = measure(ROUNDS)
    keep("start_up", {"rounds": ROUNDS, **figures(times)})


if __name__ == "__main__":
    main()
