"""``relume cure`` on the programs rebuilt from public threads, beside each thread's own fix.

Every program is copied into a repository of its own and cured as a person would cure it, by the
score that it prints. The diff is applied by ``git apply``; then the program runs again as it
stands, on the seeds of the thread's fix. The fix counts as reached where the mean score after the
diff is at least that of the fix, less what seeds alone make of it.

``python -m benchmarks.cure_programs`` runs them all and says what came of each.
"""

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.clinic.programs import PROGRAMS, Program
from benchmarks.measure import RESULTS, keep

NAME = "cure_programs"
ROOT = Path(__file__).parents[1]
LAST_LINE = re.compile(r"^score: (\S+)$")
PATTERN = r"score: (\S+)"
SEEDS = (0, 1, 2)
LEAST_NOISE = 0.01
"""Differences of scores, which are shares or R², that mean nothing to anybody."""
NOT_CURED = {4, 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cured:
    """What came of one program.

    Args:
        name: Of the program.
        outcome: What ``relume cure`` said.
        finding: The first code that it found.
        cure: What it did.
        gain: On fresh seeds.
        interval: Of the gain, 95 %.
        untreated: Scores on those seeds.
        treated: Scores on those seeds.
        fix: Scores of the thread's fix, on the seeds of the clinic.
        applied: Whether ``git apply`` took the diff; None: there was none.
        after: Scores of the program with the diff in it, on the seeds of the clinic.
        promised: Whether those are what was promised, within what seeds make of it.
        reached: Whether the fix is reached.
        advice: What was left to be done by hand.
        runs: Spent, in runs as long as the untreated one.
    """

    name: str
    outcome: str
    finding: str | None
    cure: str | None = None
    gain: float | None = None
    interval: tuple[float | None, float | None] = (None, None)
    untreated: tuple[float | None, ...] = ()
    treated: tuple[float | None, ...] = ()
    fix: tuple[float, ...] = ()
    applied: bool | None = None
    after: tuple[float, ...] = ()
    promised: bool | None = None
    reached: bool = False
    advice: tuple[str, ...] = ()
    runs: float = 0.0


def environment() -> dict[str, str]:
    """Return an environment in which ``python`` is this one, and Relume that of this tree."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ours = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "PATH": path}
    return os.environ | ours | {"PYTHONWARNINGS": "ignore"}


def run(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )


def score_of(script: Path, seed: int, *more: str) -> float:
    """Run a program as it stands and return its score."""
    done = run("python", script.name, "--seed", str(seed), *more, cwd=script.parent)
    last = LAST_LINE.match(done.stdout.rstrip().rpartition("\n")[2])
    if done.returncode or last is None:
        raise RuntimeError(f"{script.name} printed no score: {done.stderr}")
    return float(last[1])


def is_at_least(scores: tuple[float, ...], others: tuple[float, ...]) -> bool:
    """Whether scores are as good as others, less two standard errors of their difference."""
    if not all(map(math.isfinite, (*scores, *others))):
        return False
    error = math.hypot(*(stdev(each) / math.sqrt(len(each)) for each in (scores, others)))
    return fmean(scores) >= fmean(others) - max(LEAST_NOISE, 2 * error)


def cure(program: Program, folder: Path, budget: str) -> Cured:
    """Cure one program in an empty folder."""
    script = folder / program.script.name
    shutil.copy(program.script, script)
    run("git", "init", "-q", ".", cwd=folder)
    fix = tuple(score_of(script, seed, "--fixed") for seed in SEEDS)
    ours = ["-m", "relume", "cure", "-q", "--json", "--allow", "model", "--budget", budget]
    ours += ["--diff", "cure.diff", "--metric-regex", PATTERN]
    done = run("python", *ours, "--", "python", script.name, "--seed", "0", cwd=folder)
    if done.returncode not in {0, *NOT_CURED}:
        raise RuntimeError(f"{program.name}: {done.stderr}")
    said = json.loads(done.stdout)
    applied, after = None, ()
    if said["diff"]:
        applied = run("git", "apply", "cure.diff", cwd=folder).returncode == 0
        after = tuple(score_of(script, seed) for seed in SEEDS) if applied else ()
    gain = said["gain"] or {}
    treated = tuple(gain.get("treated", ()))
    scores = after or tuple(math.nan if each is None else each for each in treated)
    return Cured(
        name=program.name,
        outcome=said["outcome"],
        finding=next((f["code"] for f in said["findings"] if f["severity"] != "note"), None),
        cure=" + ".join(each["label"] for each in said["cure"]) if said["cure"] else None,
        gain=gain.get("gain"),
        interval=(gain.get("low"), gain.get("high")),
        untreated=tuple(gain.get("untreated", ())),
        treated=treated,
        fix=fix,
        applied=applied,
        after=after,
        promised=is_at_least(after, treated) if after and None not in treated else None,
        reached=said["outcome"] == "cured" and is_at_least(scores, fix),
        advice=tuple(said["advice"]),
        runs=said["spent_runs"],
    )


def line(done: Cured) -> str:
    """Say one program in one line."""
    gain = "" if done.gain is None else f"{done.gain:+.3f} [{_number(done.interval[0])}, "
    gain += "" if done.gain is None else f"{_number(done.interval[1])}]"
    diff = {None: "no diff", True: "applied", False: "refused"}[done.applied]
    after = f"{fmean(done.after):.3f}" if done.after else "-"
    return (
        f"{done.name:30} {done.outcome:12} {done.finding or '-':7} {done.cure or '-'}: {gain} "
        f"fix {fmean(done.fix):.3f} {diff} after {after} {'REACHED' if done.reached else ''}"
    ).rstrip()


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count programs by what came of them."""
    return {
        "programs": len(rows),
        "cured": sum(row["outcome"] == "cured" for row in rows),
        "reached": sum(row["reached"] for row in rows),
        "diffs": sum(row["applied"] is not None for row in rows),
        "applied": sum(row["applied"] is True for row in rows),
        "as promised": sum(row["promised"] is True for row in rows),
    }


def kept() -> dict[str, dict[str, Any]]:
    """Return the rows of earlier runs, by program."""
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["programs"] if path.exists() else []
    return {row["name"]: row for row in rows}


def cured_in_a_folder(program: Program, budget: str) -> Cured:
    """Cure a program in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as place:
        return cure(program, Path(place), budget)


def main() -> None:
    """Run, print a line a program, and keep its row beside those of the others."""
    by_name = {program.name: program for program in PROGRAMS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cure_programs")
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs to cure [all]")
    parser.add_argument("--budget", default="24", help="of each cure [24]")
    parser.add_argument("--jobs", type=int, default=1, help="programs at a time [1]")
    options = parser.parse_args()
    wanted = [by_name[name] for name in options.names] or list(PROGRAMS)
    with ThreadPoolExecutor(options.jobs) as pool:
        cures = [pool.submit(cured_in_a_folder, each, options.budget) for each in wanted]
        for each in as_completed(cures):
            done = each.result()
            print(line(done), flush=True)
            rows = kept() | {done.name: asdict(done)}
            ordered = [rows[name] for name in by_name if name in rows]
            result = {"summary": summary(ordered), "programs": ordered}
            keep(NAME, result, is_printed=False)
    print(summary(list(kept().values())))


if __name__ == "__main__":
    main()
