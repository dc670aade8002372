"""Kill a watched training (-9) at random times: the run file opens, and holds all but a moment.

``python -m benchmarks.kills`` kills 100 trainings. One process imports torch and forks them all, so
that a kill costs no start-up.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import keep

LARGEST_LOSS_S = 1.5


@dataclass(frozen=True, slots=True)
class Kill:
    """A training that was killed.

    Args:
        after_s: How long after its first step.
        steps: Steps that it had done.
        kept: Steps that its run file holds.
        lost_s: Seconds of training that the run file does not hold.
        opens: Whether the run file opens, and has its layers and lifetimes.
    """

    after_s: float
    steps: int
    kept: int
    lost_s: float
    opens: bool


def kill_often(folder: Path, *, kills: int, longest_s: float, seed: int = 0) -> list[Kill]:
    """Kill trainings at random times after their first steps."""
    generator = random.Random(seed)  # noqa: S311
    times_s = [generator.uniform(0, longest_s) for _ in range(kills)]
    command = [sys.executable, "-m", "benchmarks.kills", "--in", str(folder)]
    done = subprocess.run(
        [*command, *map(str, times_s)],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr, done.stderr
    return [_examine(folder / str(number), after_s) for number, after_s in enumerate(times_s)]


def _examine(folder: Path, after_s: float) -> Kill:
    from relume.errors import RelumeError
    from relume.runs.query import read_run

    lines = (folder / "steps.txt").read_text().splitlines()
    ends_s = [float(line[:-1]) for line in lines if line.endswith(";")]  # the last may be cut
    try:
        run = read_run(folder / "run" / "run.sqlite")
    except RelumeError:
        return Kill(after_s, len(ends_s), 0, ends_s[-1] - ends_s[0], opens=False)
    is_whole = len(run.layers) == len(run.lifetimes) == 1 and run.info.status == "running"
    kept = min(run.last_step, len(ends_s))
    lost_s = ends_s[-1] - ends_s[max(kept, 1) - 1]
    return Kill(after_s, len(ends_s), run.last_step, lost_s, opens=is_whole)


def _kill_each(folder: Path, times_s: list[float]) -> None:
    import torch

    import relume  # noqa: F401

    torch.set_num_threads(1)
    for number, after_s in enumerate(times_s):
        here = folder / str(number)
        here.mkdir()
        child = os.fork()
        if child == 0:
            try:
                _train(here)
            finally:
                os._exit(1)
        while not (here / "steps.txt").exists():
            time.sleep(0.005)
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _train(folder: Path) -> None:
    """Train without end; note when each step ended."""
    import torch

    import relume

    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    ends = None
    with relume.watch(out=folder / "run", report=False):
        while True:
            optimizer.zero_grad()
            net(torch.randn(32, 8)).square().mean().backward()
            optimizer.step()
            if ends is None:
                ends = (folder / "steps.txt").open("w")
            ends.write(f"{time.monotonic():.6f};\n")
            ends.flush()


def main() -> None:
    """Kill 100 trainings and keep what was lost."""
    with tempfile.TemporaryDirectory() as folder:
        kills = kill_often(Path(folder), kills=100, longest_s=3.0)
    result = {
        "kills": len(kills),
        "opened": sum(kill.opens for kill in kills),
        "lost_s": {
            "median": sorted(kill.lost_s for kill in kills)[len(kills) // 2],
            "most": max(kill.lost_s for kill in kills),
        },
        "bar_s": LARGEST_LOSS_S,
    }
    keep("kills", result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--in", dest="folder", type=Path)
    parser.add_argument("times_s", nargs="*", type=float)
    given = parser.parse_args()
    if given.folder is None:
        main()
    else:
        _kill_each(given.folder, given.times_s)
