"""Runs what is not cached yet: trainings in processes of one thread, then verdicts."""

import multiprocessing
import shutil
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.clinic import judging
from benchmarks.clinic.arrays import MissingDataError
from benchmarks.clinic.cache import Cache, training_key
from benchmarks.clinic.cases import Case
from benchmarks.clinic.data import SOURCES, load
from benchmarks.clinic.recipe import Recipe
from benchmarks.clinic.scenarios import SEEDS
from benchmarks.clinic.training import Outcome, run_case
from relume.runs.query import RUN_FILE

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One training to be done; ``out`` is where its run file goes, None: it is not watched."""

    key: str
    case: Case
    recipe: Recipe
    out: Path | None


@dataclass(frozen=True, slots=True)
class Done:
    """What a job gave: an outcome, or the traceback of a fault of ours."""

    key: str
    outcome: Outcome | None
    has_steps: bool = False
    error: str = ""


def do_job(job: Job) -> Done:
    """Train, in a process of its own."""
    try:
        if job.out is not None:
            shutil.rmtree(job.out, ignore_errors=True)
        outcome = run_case(job.case, recipe=job.recipe, out=job.out)
    except Exception:  # noqa: BLE001
        return Done(job.key, None, error=f"{job.case.id}\n{traceback.format_exc()}")
    has_steps = job.out is not None and (job.out / RUN_FILE).is_file()
    return Done(job.key, outcome, has_steps)


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """Yield a pool of fresh processes; an error drops what is not begun yet."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_one_thread) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    """Let torch use one thread; Ctrl-C is for the process that hands out the jobs."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def available(cases: Iterable[Case], say: Say) -> list[Case]:
    """Return the cases whose data set is installed; say what is left out."""
    missing = set()
    cases = list(cases)
    for name in {case.data for case in cases} & set(SOURCES):
        try:
            load(name, 0)
        except MissingDataError as error:
            missing.add(name)
            say(str(error))
    return [case for case in cases if case.data not in missing]


def twin_seeds(case: Case) -> list[Case]:
    """Return the case with every seed of its group, its own first, to train its twins by."""
    seeds = sorted(SEEDS[case.group], key=lambda seed: seed != case.seed)
    return [replace(case, seed=seed) for seed in seeds]


def jobs_of(cases: Sequence[Case], cache: Cache, *, is_watched: bool = True) -> list[Job]:
    """Return the trainings that are not cached: all cases, watched or not, and their twins."""
    jobs: dict[str, Job] = {}
    for case in cases:
        key = training_key(case, case.recipe)
        if key not in cache.outcomes.known or (is_watched and not cache.has_record(key)):
            out = cache.record_folder(key) if is_watched else None
            jobs[key] = Job(key, case, case.recipe, out)
    for case in cases:
        for other in twin_seeds(case) if case.is_faulty else ():
            key = training_key(other, case.twin)
            if key not in cache.outcomes.known and key not in jobs:
                jobs[key] = Job(key, other, case.twin, None)
    return list(jobs.values())


def train_all(cases: Sequence[Case], cache: Cache, *, processes: int, say: Say) -> list[str]:
    """Train what is not cached; return the tracebacks of what went wrong on our side."""
    jobs = jobs_of(cases, cache)
    say(f"{len(jobs)} trainings to be done for {len(cases)} cases")
    if not jobs:
        return []
    with workers(processes) as pool:
        return do_all(pool, jobs, cache, say)


def do_all(pool: Executor, jobs: Sequence[Job], cache: Cache, say: Say) -> list[str]:
    """Do jobs and keep what they give; return the tracebacks of what went wrong on our side."""
    errors = []
    futures = [pool.submit(do_job, job) for job in jobs]
    watched = {job.key for job in jobs if job.out is not None}
    for count, future in enumerate(as_completed(futures), 1):
        done = future.result()
        if done.outcome is None:
            errors.append(done.error)
            continue
        cache.outcomes.add(done.key, **done.outcome.to_json())
        if done.key in watched:
            cache.records.add(cache.record_key(done.key), has_steps=done.has_steps)
        if count % 100 == 0:
            say(f"{count} of {len(jobs)}")
    return errors


def outcome_in(cache: Cache, case: Case, recipe: Recipe) -> Outcome | None:
    """Return how a training ended; None where it is not known."""
    entry = cache.outcomes.known.get(training_key(case, recipe))
    if entry is None:
        return None
    return Outcome(**{name: entry[name] for name in Outcome.__dataclass_fields__})


def judge_all(cases: Sequence[Case], cache: Cache) -> list[str]:
    """Judge the run files that the present rules have not judged; return what went wrong."""
    errors = []
    for case in cases:
        key = training_key(case, case.recipe)
        if cache.findings_key(key) in cache.findings.known or not cache.has_record(key):
            continue
        try:
            found = judging.findings_of(cache.record_folder(key))
        except Exception:  # noqa: BLE001
            errors.append(f"{case.id}\n{traceback.format_exc()}")
            continue
        cache.findings.add(cache.findings_key(key), id=case.id, findings=found)
    return errors


def findings_in(cache: Cache, case: Case) -> list[dict[str, Any]] | None:
    """Return what the present rules found; None where they have not judged."""
    key = cache.findings_key(training_key(case, case.recipe))
    entry = cache.findings.known.get(key)
    return None if entry is None else entry["findings"]
