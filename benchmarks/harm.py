"""What repair does to healthy trainings: each with it and without, by the same seed.

    python -m benchmarks.harm [--kinds fit,own,estimators,clinic] [--most 48]

``fit``: tables on which nothing is wrong, by their usual settings and by other sound ones: that of
the tuning list that scikit-learn ships, and made ones. ``own``: a step of one's own on the same,
``estimators``: the two estimators. ``clinic``: healthy cases and hard controls
of the clinic's validation part in processes of their own, bare and under ``relume run --repair``,
in an order drawn once; those that miss the score by which a case counts as healthy are dropped.

A training counts as changed if anything that was tried was kept, and as suspect if its score on
rows that nothing was chosen by is lower with repair than without by more than twice the standard
deviation of the scores without over the seeds of the same training; of the clinic a score that is
lower is held against four more seeds.

A treatment that is undone has shifted which rows a script draws when, as another seed would, and
two runs by two seeds differ by the square root of two of such deviations: about 8 % of pure luck is
suspect. So a suspect training of the clinic is trained by further seeds, with repair and without.
It counts as harmed unless at least three of all these pairs were treated and the interval (95 %) of
the difference over the treated ones reaches 0. Pairs in which nothing was tried are the same to the
digit, and say nothing of what a treatment costs. The suspect ones are listed, too. What is done
already is not done again: the result is read and added to.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.clinic.cases import Case
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.scenarios import Part
from benchmarks.harm_trainings import Job, Pair, estimator_jobs, fit_jobs, own_jobs
from benchmarks.measure import RESULTS, keep
from relume.remedies.verdict import Verdict, judge
from relume.runs.query import read_run

NAME = "harm"
ROOT = Path(__file__).parents[1]
NOTICEABLE = 0.01
"""Of a score of which fewer than three seeds are known."""
MORE_SEEDS = (31, 32, 33, 34, 35)
FURTHER_SEEDS = (41, 42, 43, 44, 45, 46)
"""By which no case of the clinic is trained: they decide whether a suspect training is harmed."""
FEWEST_TREATED = 3
BEYOND = 2.0
"""Standard deviations of the untreated scores over seeds."""
_HELD_OUT = re.compile(r"^held-out: (\S+)$", re.MULTILINE)


def clinic_jobs() -> Iterator[tuple[tuple[str, str, int], Job]]:
    """Yield healthy cases of the clinic's validation part, in an order drawn once."""
    cases = [each for each in all_cases() if each.part is Part.VALIDATION and not each.is_faulty]
    for index in np.random.default_rng(0).permutation(len(cases)):
        case = cases[index]
        key = ("clinic", case.id, case.seed)
        yield key, _clinic_job(key, case)


def _clinic_job(key: tuple[str, str, int], case: Case) -> Job:
    def job() -> Pair:
        off, on, tried, kept = _both_arms(case.id, case.seed)
        noise, again = 0.0, []
        if on < off:
            seeds = [seed for seed in MORE_SEEDS if seed != case.seed]
            noise = BEYOND * stdev([off, *(_bare(case.id, seed) for seed in seeds)])
        is_healthy = off >= case.good
        if is_healthy and not off - on <= noise:
            for seed in FURTHER_SEEDS:
                off_again, on_again, tried_again, _ = _both_arms(case.id, seed)
                again.append((seed, tried_again, off_again, on_again))
        return Pair(*key, tried, kept, off, on, is_healthy=is_healthy, noise=noise, again=again)

    return job


def _both_arms(case: str, seed: int) -> tuple[float, float, int, int]:
    """Return the scores without repair and with it, and what was tried and kept."""
    ours = ("-m", "relume", "run", "--repair", "--no-report", "-q", "--out", "run")
    with TemporaryDirectory() as folder:
        on = _held_out([*ours, *_script(case, seed)], folder)
        remedies = read_run(Path(folder) / "run").remedies
    return _bare(case, seed), on, len(remedies), sum(bool(each.is_kept) for each in remedies)


def _bare(case: str, seed: int) -> float:
    with TemporaryDirectory() as folder:
        return _held_out(_script(case, seed), folder)


def _script(case: str, seed: int) -> list[str]:
    return ["-m", "benchmarks.clinic.one_case", case, "--seed", str(seed)]


def _held_out(words: Sequence[str], folder: str) -> float:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    found = _HELD_OUT.search(done.stdout)
    return math.nan if found is None else float(found[1])


KINDS: Mapping[str, Callable[[], Iterator[tuple[tuple[str, str, int], Job]]]] = {
    "fit": fit_jobs,
    "own": own_jobs,
    "estimators": estimator_jobs,
    "clinic": clinic_jobs,
}


def summary(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return the figures of each kind, and every pair."""
    kinds = {}
    for kind in KINDS:
        of_kind = [each for each in pairs if each.kind == kind and each.is_healthy]
        if len(of_kind) > 1:
            kinds[kind] = _figures(of_kind)
    return {"kinds": kinds, "pairs": [asdict(each) for each in pairs]}


def _figures(pairs: Sequence[Pair]) -> dict[str, Any]:
    noise = _noise_of(pairs)
    suspect = [
        each
        for each in pairs
        if not each.off - each.on <= (noise[each.name] if each.noise is None else each.noise)
    ]
    harmed = [each for each in suspect if _is_harmed(each)]
    found = _difference([(each.off, each.on) for each in pairs])
    return {
        "n": len(pairs),
        "something tried": sum(each.tried > 0 for each in pairs),
        "changed": sum(each.kept > 0 for each in pairs),
        "lower by more than two deviations": len(suspect),
        "suspect": [list(each.key) for each in suspect],
        "harmed beyond noise": len(harmed),
        "harmed": [list(each.key) for each in harmed],
        "difference": found.gain,
        "interval": list(found.interval),
        "differs though nothing was kept": sum(
            each.on != each.off and not each.kept for each in pairs
        ),
    }


def _is_harmed(suspect: Pair) -> bool:
    """Whether further seeds do not acquit a training."""
    first = (suspect.seed, suspect.tried, suspect.off, suspect.on)
    treated = [(off, on) for _, tried, off, on in (first, *suspect.again) if tried]
    return len(treated) < FEWEST_TREATED or _difference(treated).is_worse


def _difference(scores: Sequence[tuple[float, float]]) -> Verdict:
    off, on = zip(*scores, strict=True)
    return judge(off, on, metric="score", higher_is_better=True, pairs_of="training")


def _noise_of(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return by how much a score may fall before it counts, for each training."""
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for each in pairs:
        scores[each.name].append(each.off)
    return {
        name: NOTICEABLE if len(known) < 3 else BEYOND * stdev(known)
        for name, known in scores.items()
    }


def known() -> list[Pair]:
    """Return the pairs that are done."""
    path = RESULTS / f"{NAME}.json"
    if not path.exists():
        return []
    return [Pair(**each) for each in json.loads(path.read_text(encoding="utf-8"))["pairs"]]


def main() -> None:
    """Do what is not done yet, and keep the result after every pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--most", type=int, default=120, help="pairs of a kind")
    given = parser.parse_args()
    pairs = known()
    for kind in given.kinds.split(","):
        done = {each.key for each in pairs}
        jobs = list(KINDS[kind]())[: given.most]
        for key, job in jobs:
            if key not in done:
                pairs.append(job())
                keep(NAME, summary(pairs), is_printed=False)
                print(pairs[-1], flush=True)
        changed = [each for each in pairs if each.kind == kind]
        print(kind, fmean(each.kept > 0 for each in changed) if changed else "nothing")


if __name__ == "__main__":
    main()
