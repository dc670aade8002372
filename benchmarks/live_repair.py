"""Whole scripts, bare and under ``relume run --repair``: the score at the end of each, by seed.

    python -m benchmarks.live_repair [--seeds 3]

Every script is run as its user would, in a process of its own; what is compared is what it prints.
The healthy one must print the same, to the last digit, and nothing may have been done to it.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import keep

SCRIPTS = Path(__file__).parent / "live_scripts"
SOURCES = Path(__file__).parents[1] / "src"
NAMES = (
    "rate_kills_units",
    "gradients_explode",
    "batch_not_finite",
    "input_unscaled",
    "healthy",
)
_SCORE = re.compile(r"^(accuracy|mse) (\S+)$", re.MULTILINE)


def score_of(output: str) -> float:
    """Return the score that a script printed.

    Example:
        >>> score_of("accuracy 0.9750")
        0.975
    """
    found = _SCORE.search(output)
    if found is None:
        raise ValueError(f"no score in {output!r}")
    return float(found[2])


def compare(name: str, seed: int, allow: str = "training") -> dict[str, Any]:
    """Run a script bare and repaired; return both scores and what was done."""
    from relume.runs.query import read_run

    script = str(SCRIPTS / f"{name}.py")
    with tempfile.TemporaryDirectory() as folder:
        options = ["--repair", "--allow", allow, "--no-report", "-q", "--out", "run"]
        bare = _run([script, str(seed)], folder)
        repaired = _run(["-m", "relume", "run", *options, script, str(seed)], folder)
        remedies = read_run(Path(folder) / "run").remedies
    return {
        "seed": seed,
        "bare": score_of(bare),
        "repaired": score_of(repaired),
        "done": [
            {"step": each.step, "what": each.plan.get("said"), "verdict": each.verdict}
            for each in remedies
        ],
    }


def _run(arguments: list[str], folder: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def main(seeds: int) -> None:
    """Compare every script over some seeds, and keep the result."""
    result: dict[str, Any] = {}
    for name in NAMES:
        result[name] = [compare(name, seed) for seed in range(seeds)]
        for row in result[name]:
            print(name, row["seed"], row["bare"], row["repaired"], flush=True)
        keep("live_repair", {"allow": "training", "scripts": result}, is_printed=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    main(parser.parse_args().seeds)
