"""Runs the rebuilt programs bare and watched, and holds what is found against their threads.

A true fault is found where a warning or an error names it, at the top or folded under another, and
named first where the first finding names it. On a fixed program every warning or error is a false
alarm, but for those that its fix leaves right.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.clinic.programs import PROGRAMS, Program
from benchmarks.measure import keep
from relume.diagnosis.finding import Finding, Severity

ROOT = Path(__file__).parents[2]
LAST_LINE = re.compile(r"^score: (\S+)$")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One program, broken or fixed, with one seed.

    Args:
        name: Of the program.
        seed: Of the run.
        is_fixed: Whether the thread's fix is in it.
        bare: Its score, alone.
        watched: Its score under a watch; None: not watched.
        codes: What was warned of, the likeliest root causes first, then what is folded under them.
        found: Whether the true fault is among them.
        first: Whether the first of them names it.
        alarms: Of those on a fixed program, the false ones.
    """

    name: str
    seed: int
    is_fixed: bool
    bare: float
    watched: float | None = None
    codes: tuple[str, ...] = ()
    found: bool = False
    first: bool = False
    alarms: tuple[str, ...] = ()


def run_program(program: Program, seed: int, *, fixed: bool, watch: Path | None = None) -> float:
    """Run a program in a process of its own and return its score.

    Args:
        program: Which.
        seed: Of everything random in it.
        fixed: With the thread's fix.
        watch: Folder for the record of a watched run; None: bare.

    Raises:
        RuntimeError: If it fails or ends without a score.
    """
    ours = [] if watch is None else ["-m", "relume", "run", "-q", "--every", "5"]
    ours += [] if watch is None else ["--no-report", "--out", str(watch)]
    theirs = [str(program.script), "--seed", str(seed), *(["--fixed"] if fixed else [])]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *ours, *theirs],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    last = LAST_LINE.match(done.stdout.rstrip().rpartition("\n")[2])
    if done.returncode or last is None:
        raise RuntimeError(
            f"{program.name} printed no score, code {done.returncode}: {done.stderr}"
        )
    return float(last[1])


def warnings_of(folder: Path) -> tuple[Finding, ...]:
    """Return what is warned of in a record: the roots in their order."""
    from relume.diagnosis.engine import diagnose
    from relume.runs.query import RUN_FILE, read_run

    findings = diagnose(read_run(folder / RUN_FILE)).findings
    return tuple(each for each in findings if each.severity is not Severity.NOTE)


def flat(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings, each followed by the consequences that are warned of."""
    for each in findings:
        yield each
        yield from flat(c for c in each.consequences if c.severity is not Severity.NOTE)


def judge(
    program: Program, seed: int, *, fixed: bool, bare: float, watched: float, folder: Path
) -> Outcome:
    """Hold what the record of a run says against the thread."""
    roots = warnings_of(folder)
    codes = [*(each.code for each in roots)]
    codes += [each.code for root in roots for each in flat(root.consequences)]
    return Outcome(
        program.name,
        seed,
        fixed,
        bare,
        watched,
        tuple(codes),
        found=bool(set(codes) & set(program.true_codes)),
        first=bool(roots) and roots[0].code in program.true_codes,
        alarms=tuple(code for code in codes if code not in program.remaining) if fixed else (),
    )


def outcomes(
    programs: Iterable[Program], seeds: int = 3, *, bare_only: bool = False
) -> Iterator[Outcome]:
    """Yield every program broken and fixed, over its first seeds."""
    for program in programs:
        for seed in program.seeds[:seeds]:
            for fixed in (False, True):
                bare = run_program(program, seed, fixed=fixed)
                if bare_only:
                    yield Outcome(program.name, seed, fixed, bare)
                    continue
                with tempfile.TemporaryDirectory() as place:
                    folder = Path(place) / "run"
                    watched = run_program(program, seed, fixed=fixed, watch=folder)
                    yield judge(
                        program, seed, fixed=fixed, bare=bare, watched=watched, folder=folder
                    )


def line(outcome: Outcome, program: Program) -> str:
    """Say one outcome in one line."""
    is_as_told = program.is_good(outcome.bare) == outcome.is_fixed
    words = [
        f"{outcome.name:30} {outcome.seed} {'fixed ' if outcome.is_fixed else 'broken'}",
        f"{outcome.bare:8.3f}{' ' if is_as_told else '!'}",
    ]
    if outcome.watched is not None and not outcome.is_fixed:
        words.append("first" if outcome.first else "found" if outcome.found else "missed")
    words.append(" ".join(outcome.alarms if outcome.is_fixed else outcome.codes))
    return " ".join(words).rstrip()


def summary(done: Sequence[Outcome]) -> dict[str, int]:
    """Count programs: found and named first in most of their runs; runs with a false alarm."""
    broken = [each for each in done if not each.is_fixed]
    names = dict.fromkeys(each.name for each in broken)

    def most(kind: str, name: str) -> bool:
        votes = [getattr(each, kind) for each in broken if each.name == name]
        return 2 * sum(votes) > len(votes)

    return {
        "programs": len(names),
        "found": sum(most("found", name) for name in names),
        "first": sum(most("first", name) for name in names),
        "fixed runs": sum(each.is_fixed for each in done),
        "with a false alarm": sum(bool(each.alarms) for each in done),
    }


def main() -> None:
    """Run, print a line a run, and the counts."""
    by_name = {program.name: program for program in PROGRAMS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clinic.programs")
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs to run [all]")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each [3]")
    parser.add_argument("--bare", action="store_true", help="scores only, not watched")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in by_name]
    if unknown:
        parser.error(f"no program {', '.join(unknown)}; there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in options.names] or PROGRAMS
    done = []
    for outcome in outcomes(chosen, options.seeds, bare_only=options.bare):
        print(line(outcome, by_name[outcome.name]), flush=True)
        done.append(outcome)
    if not options.bare:
        print(summary(done))
        if not options.names:
            keep("clinic_programs", {"summary": summary(done), "runs": [asdict(o) for o in done]})
