"""Trains the cases under the rivals, all in one training, and keeps what each reports.

Kept like the rest of the clinic, a line a training: by what it does and the sources that watch, so
that an interrupted run goes on where it was. Words are mapped to codes later, without training.
"""

import contextlib
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

from benchmarks.clinic.cache import CLINIC, Cache, Lines, digest_of, training_key
from benchmarks.clinic.cases import Case
from benchmarks.clinic.rival_installed import is_installed
from benchmarks.clinic.rival_names import RIVALS, Rival
from benchmarks.clinic.rival_watching import Together
from benchmarks.clinic.runner import do_all, jobs_of, workers
from benchmarks.clinic.training import Outcome, run_case

WATCHING = (
    "rival_watching.py", "rival_installed.py", "rebuilt_sagemaker.py", "rebuilt_autotrainer.py",
    "rebuilt_deepdiagnosis.py",
)  # fmt: skip

Say = Callable[[str], None]


@once
def watching_digest() -> str:
    """Return the hash of what watches for the rivals."""
    return digest_of(CLINIC / name for name in WATCHING)


@dataclass(frozen=True, slots=True)
class RivalJob:
    """One training; with ``is_cost``, by each rival alone as well, and bare."""

    key: str
    case: Case
    rivals: tuple[str, ...]
    is_cost: bool = False


def rivals_here(say: Say) -> list[Rival]:
    """Return the rivals that can be run; say which are not installed."""
    for each in RIVALS:
        if each.package and not is_installed(each.package):
            say(f"{each.label} is not installed: left out (pip install {each.package} --no-deps)")
    return [each for each in RIVALS if not each.package or is_installed(each.package)]


def key_of(case: Case, rivals: Sequence[Rival], *, is_cost: bool = False) -> str:
    """Return the name of what the rivals report of a case, or of what they cost."""
    names = "+".join(each.key for each in rivals)
    kind = "cost-" if is_cost else ""
    return f"{kind}{training_key(case, case.recipe)}-{watching_digest()}-{names}"


def lines_of(cache: Cache) -> Lines:
    """Return what is kept of the rivals."""
    return Lines(cache.folder / "rivals.jsonl")


def watched(case: Case, keys: Iterable[str]) -> tuple[Outcome, dict[str, dict[str, int]]]:
    """Train a case once under some rivals; return its outcome and their reports by rival."""
    watchers = {each.key: each.make(case) for each in RIVALS if each.key in set(keys)}
    try:
        outcome = run_case(case, observer=Together(list(watchers.values())))
    finally:
        for each in watchers.values():
            each.close()
    return outcome, {key: each.reports for key, each in watchers.items()}


def do_rival_job(job: RivalJob) -> tuple[str, dict[str, Any], str]:
    """Train, in a process and a folder of its own, as tools may write files."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        try:
            if job.is_cost:
                return job.key, _costs(job), ""
            outcome, reports = watched(job.case, job.rivals)
        except Exception:  # noqa: BLE001
            return job.key, {}, f"{job.case.id}\n{traceback.format_exc()}"
    return job.key, {"outcome": outcome.to_json(), "reports": reports}, ""


def _costs(job: RivalJob) -> dict[str, Any]:
    """Return CPU seconds bare, by each rival alone, and by Relume's own watch."""
    run_case(job.case)  # loads the data
    seconds = {"bare": run_case(job.case).cpu_s}
    for name in job.rivals:
        seconds[name] = watched(job.case, [name])[0].cpu_s
    seconds["relume"] = run_case(job.case, out=Path("relume")).cpu_s
    return {"cpu_s": seconds}


def run_rivals(
    cases: Sequence[Case], rivals: Sequence[Rival], cache: Cache, *, processes: int, say: Say
) -> list[str]:
    """Do what is not kept yet: labels, reports, costs; return what went wrong on our side."""
    lines, names = lines_of(cache), tuple(each.key for each in rivals)
    wanted = [RivalJob(key_of(case, rivals), case, names) for case in cases]
    wanted += [
        RivalJob(key_of(case, rivals, is_cost=True), case, names, is_cost=True)
        for case in cost_cases(cases)
    ]
    wanted.sort(key=lambda job: job.key)  # by hash: an interrupted run has done a fair sample
    ours = {job.key: job for job in wanted if job.key not in lines.known}
    theirs = jobs_of(cases, cache, is_watched=False)
    say(f"{len(ours)} trainings under rivals to be done, {len(theirs)} without")
    if not ours and not theirs:
        return []
    with workers(processes) as pool:
        errors = do_all(pool, theirs, cache, say)
        return errors + _do_ours(pool, list(ours.values()), lines, say)


def _do_ours(pool: Executor, jobs: Sequence[RivalJob], lines: Lines, say: Say) -> list[str]:
    errors = []
    futures = [pool.submit(do_rival_job, job) for job in jobs]
    for count, future in enumerate(as_completed(futures), 1):
        key, entry, error = future.result()
        if error:
            errors.append(error)
        else:
            lines.add(key, **entry)
        if count % 50 == 0:
            say(f"{count} of {len(futures)}")
    return errors


def cost_cases(cases: Iterable[Case]) -> list[Case]:
    """Return one healthy training a scenario, on which the cost is measured."""
    first: dict[str, Case] = {}
    for case in cases:
        if case.fault == "none":
            first.setdefault(case.scenario, case)
    return list(first.values())


def is_disturbed(known: Outcome, found: dict[str, Any]) -> bool:
    """Return whether a training ended otherwise than without rivals: it must not, in any bit."""
    return any(
        repr(asdict(known)[name]) != repr(found[name])
        for name in ("score", "claimed", "train_loss", "steps", "failure")
    )
