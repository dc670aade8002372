"""The repairs of AutoTrainer, rebuilt, on the trainings that ``curing.py`` cured.

    python -m benchmarks.clinic.curing_beside

Cases that are in the results already are left as they are, unless ``--again`` is said.

Scores and shares are those of ``curing.py``: what the script prints of its validation rows, on the
fresh seeds of its twin. "Repaired" is what AutoTrainer says: the detector that had named a problem
names none any more.
"""

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from statistics import fmean

import torch

from benchmarks.clinic.curing import ENOUGH, TWIN_SEEDS
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.rebuilt_autotrainer_repairs import Repair, repair, trained
from benchmarks.clinic.rival_names import RIVALS
from benchmarks.measure import RESULTS, keep

NAME = "clinic_curing_autotrainer"
CURED = RESULTS / "clinic_curing.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What came of one training; scores are means over the fresh seeds.

    Args:
        case: Its id.
        fault: Of it.
        named: Problems that the detector named.
        repairs: What was kept.
        is_quiet: Whether the detector named something and names nothing now.
        trainings: How many it took.
        untreated: Score without repairs.
        treated: Score with them.
        twin: Score without the fault.
        recovered: Share of the gap; nan where there is none.
    """

    case: str
    fault: str
    named: tuple[str, ...]
    repairs: tuple[str, ...]
    is_quiet: bool
    trainings: int
    untreated: float
    treated: float
    twin: float
    recovered: float


def beside(case_id: str) -> Beside:
    """Repair one training, and score it on fresh seeds."""
    torch.set_num_threads(1)
    case = next(each for each in all_cases() if each.id == case_id)
    watcher = next(rival.make for rival in RIVALS if rival.key == "autotrainer")
    done = repair(case, watcher)
    healthy = replace(case, recipe=case.twin)

    def score(of: object, repairs: tuple[Repair, ...] = ()) -> float:
        scores = [trained(replace(of, seed=seed), repairs) for seed in TWIN_SEEDS]  # type: ignore[type-var]
        return fmean(each if math.isfinite(each) else 0.0 for each in scores)

    untreated, twin = score(case), score(healthy)
    treated = score(case, done.repairs) if done.repairs else untreated
    return Beside(
        case=case.id,
        fault=case.fault,
        named=done.named,
        repairs=tuple(each.name for each in done.repairs),
        is_quiet=bool(done.named) and not done.left,
        trainings=done.trainings,
        untreated=untreated,
        treated=treated,
        twin=twin,
        recovered=(treated - untreated) / (twin - untreated) if twin > untreated else math.nan,
    )


def kept() -> dict[str, Beside]:
    """Return what earlier runs came to, by case."""
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.exists() else []
    return {row["case"]: Beside(**row) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="cases that are known, too")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    cases = [each["case"] for each in json.loads(CURED.read_text(encoding="utf-8"))["cases"]]
    wanted = [case for case in cases if given.again or case not in kept()]
    with ProcessPoolExecutor(given.processes) as pool:
        for future in as_completed([pool.submit(beside, case) for case in wanted]):
            done = future.result()
            print(done, flush=True)
            rows = kept() | {done.case: done}
            keep(NAME, summary(list(rows.values())), is_printed=False)


def summary(found: list[Beside]) -> dict[str, object]:
    """Return the figures, and every case."""
    known = [each for each in found if math.isfinite(each.recovered)]
    recovered = sum(each.recovered >= ENOUGH for each in known)
    quiet = [each for each in found if each.is_quiet]
    return {
        "cases": [asdict(each) for each in sorted(found, key=lambda each: each.case)],
        "with a gap": len(known),
        f"recovered {ENOUGH:.0%} of it": recovered,
        "share": recovered / len(known) if known else math.nan,
        "said to be repaired": len(quiet),
        "of these without a gain": sum(not each.treated > each.untreated for each in quiet),
        "made worse": sum(each.treated < each.untreated for each in found),
    }


if __name__ == "__main__":
    main()
