"""``relume cure`` on curable trainings of the clinic: how much of what a fault cost comes back.

    python -m benchmarks.clinic.curing

Cases that are in the results already are left as they are, unless ``--again`` is said.

From the validation part, of each fault that ``curable.py`` names the first training that did harm
(``outcomes.py``), in an order drawn once; ``--skip 1`` takes the second of each. Each is cured as a
person would cure a script, by the validation score that it prints. Recovered is
(treated - untreated) / (twin - untreated), means over fresh seeds, where the twin is the training
without the fault. "Repaired" is what ``relume cure`` says, which it may only where the interval of
its gain lies above 0.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.clinic.cache import Cache
from benchmarks.clinic.cases import Case
from benchmarks.clinic.curable import CURABLE
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.outcomes import Label
from benchmarks.clinic.results import Clinic
from benchmarks.clinic.scenarios import Part
from benchmarks.measure import RESULTS, keep

NAME = "clinic_curing"
ROOT = Path(__file__).parents[2]
PATTERN = r"validation: (\S+)"
TWIN_SEEDS = tuple(range(1001, 1007))
ENOUGH = 0.95
"""Share of what a fault cost that a cured training has back."""
NOT_CURED = {4, 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cured:
    """What came of one training.

    Args:
        case: Its id.
        fault: Of it.
        outcome: What ``relume cure`` said.
        cure: What it did; None: nothing.
        untreated: Mean score on fresh seeds.
        treated: Mean score on them with the cure; that of the untreated one where there is none.
        twin: Mean score without the fault.
        recovered: Share of the gap; nan where there is none on these seeds.
        interval: Of the gain that was said, 95 %.
        seeds: Of the proof.
        spent: By the cure, in runs of the untreated training.
    """

    case: str
    fault: str
    outcome: str
    cure: str | None = None
    untreated: float = math.nan
    treated: float = math.nan
    twin: float = math.nan
    recovered: float = math.nan
    interval: tuple[float | None, float | None] = (None, None)
    seeds: int = 0
    spent: float = 0.0


def chosen(cache: Cache, part: Part, skip: int = 0) -> list[Case]:
    """Return harmful curable cases of a part: one a fault, in an order drawn once.

    Args:
        cache: Of what the trainings came to.
        part: Of the clinic.
        skip: How many of each fault are passed over.
    """
    cases = [case for case in all_cases() if case.part is part and case.is_faulty]
    order = np.random.default_rng(0).permutation(len(cases))
    judged = Clinic.of([cases[index] for index in order], cache).judged
    of_fault: defaultdict[str, list[Case]] = defaultdict(list)
    for each in judged:
        if each.label is Label.HARMFUL and each.case.fault in CURABLE:
            of_fault[each.case.fault].append(each.case)
    return [cases[skip] for cases in of_fault.values() if len(cases) > skip]


def run(*words: str, cwd: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def fresh_scores(case: Case, *more: str, cwd: str) -> Iterator[float]:
    """Yield the scores of a case on fresh seeds, with ``--twin`` those without its fault."""
    for seed in TWIN_SEEDS:
        words = ("-m", "benchmarks.clinic.one_case", case.id, "--seed", str(seed), *more)
        found = re.search(PATTERN, run(*words, cwd=cwd).stdout)
        if found is not None:
            yield float(found[1])


def cure(case: Case, budget: int) -> Cured:
    """Cure one case in an empty folder."""
    with TemporaryDirectory() as cwd:
        ours = ["-m", "relume", "cure", "-q", "--json", "--allow", "model"]
        ours += ["--budget", str(budget), "--metric-regex", PATTERN, "--maximise"]
        command = [sys.executable, "-m", "benchmarks.clinic.one_case", case.id]
        done = run(*ours, "--", *command, cwd=cwd)
        if done.returncode not in {0, *NOT_CURED}:
            return Cured(case=case.id, fault=case.fault, outcome=f"failed: {done.stderr[-300:]}")
        said = json.loads(done.stdout)
        gain = said["gain"] or {}
        twins = list(fresh_scores(case, "--twin", cwd=cwd))
        untreated = _mean(gain.get("untreated") or list(fresh_scores(case, cwd=cwd)))
    treated = _mean(gain["treated"]) if said["outcome"] == "cured" else untreated
    twin = _mean(twins)
    gap = twin - untreated
    return Cured(
        case=case.id,
        fault=case.fault,
        outcome=said["outcome"],
        cure=" + ".join(each["label"] for each in said["cure"]) if said["cure"] else None,
        untreated=untreated,
        treated=treated,
        twin=twin,
        recovered=(treated - untreated) / gap if gap > 0 else math.nan,
        interval=(gain.get("low"), gain.get("high")),
        seeds=len(gain.get("treated", ())),
        spent=said["spent_runs"],
    )


def _mean(scores: list[float | None]) -> float:
    """Return the mean; a run that ended without a score counts as one of 0."""
    return fmean(each if each is not None else 0.0 for each in scores) if scores else math.nan


def kept(name: str) -> dict[str, Cured]:
    """Return what earlier runs came to, by case."""
    path = RESULTS / f"{name}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.exists() else []
    return {row["case"]: Cured(**row | {"interval": tuple(row["interval"])}) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=list(Part), default=Part.VALIDATION, type=Part)
    parser.add_argument("--skip", type=int, default=0, help="cases of each fault to pass over")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="of these, those named")
    parser.add_argument("--again", action="store_true", help="those that are known, too")
    parser.add_argument("--budget", type=int, default=24, help="runs that a cure may spend")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "clinic")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    name = NAME + f"_{given.part}" * (given.part is not Part.VALIDATION) + "_more" * given.skip
    cases = chosen(Cache(given.cache), given.part, given.skip)
    named = {case.id for case in cases} if given.only is None else set(given.only)
    known = set() if given.again else kept(name).keys()
    wanted = [case for case in cases if case.id in named - known]
    with ThreadPoolExecutor(given.processes) as pool:
        for future in as_completed([pool.submit(cure, case, given.budget) for case in wanted]):
            done = future.result()
            print(done, flush=True)
            rows = kept(name) | {done.case: done}
            keep(name, summary(list(rows.values())), is_printed=False)
    found = summary(list(kept(name).values()))
    print({name: value for name, value in found.items() if name != "cases"})


def summary(found: list[Cured]) -> dict[str, object]:
    """Return the figures, and every case."""
    known = [each for each in found if math.isfinite(each.recovered)]
    recovered = sum(each.recovered >= ENOUGH for each in known)
    said = [each for each in found if each.outcome == "cured"]
    return {
        "cases": [asdict(each) for each in sorted(found, key=lambda each: each.case)],
        "with a gap": len(known),
        f"recovered {ENOUGH:.0%} of it": recovered,
        "share": recovered / len(known) if known else math.nan,
        "said to be cured": len(said),
        "of these without a gain": sum(not each.treated > each.untreated for each in said),
    }


if __name__ == "__main__":
    main()
