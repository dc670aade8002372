"""Run the clinic: ``python -m benchmarks.clinic``; what is cached is not done again."""

import argparse
import sys
from pathlib import Path

from benchmarks.clinic.cache import Cache
from benchmarks.clinic.grid import a_slice, all_cases
from benchmarks.clinic.results import Clinic, write
from benchmarks.clinic.runner import available, judge_all, train_all
from benchmarks.clinic.scenarios import Part
from benchmarks.clinic.showing import listing, show_case, tables

FOLDER = Path(__file__).parents[2] / "build" / "clinic"


def options() -> argparse.ArgumentParser:
    """Return what can be asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clinic", description=__doc__)
    parser.add_argument("--part", choices=[part.value for part in Part], help="only this half")
    parser.add_argument("--only", metavar="TEXT", help="only cases whose id has this in it")
    parser.add_argument(
        "--slice", action="store_true", help="one case a fault, and as many healthy"
    )
    parser.add_argument("--judge", action="store_true", help="train nothing; judge what there is")
    parser.add_argument("--show", metavar="CASE", help="print facts and findings of a case")
    parser.add_argument("--worst", action="store_true", help="list the cases that went wrong")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--cache", type=Path, default=FOLDER, metavar="FOLDER")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked for; 1 if a training could not be run or judged."""
    given = options().parse_args(arguments)
    cache = Cache(given.cache)
    if given.show:
        print(show_case(given.show, cache))
        return 0
    cases = a_slice() if given.slice else all_cases()
    cases = [case for case in cases if given.part in {None, case.part.value}]
    cases = available([case for case in cases if (given.only or "") in case.id], _say)
    errors: list[str] = []
    try:
        if not given.judge:
            errors += train_all(cases, cache, processes=given.processes, say=_say)
            cache.forget_old_records()
        errors += judge_all(cases, cache, say=_say)
    except KeyboardInterrupt:
        _say(f"interrupted; what was done is kept in {given.cache}, and the next run goes on")
        return 130
    clinic = Clinic.of(cases, cache)
    print(tables(clinic))
    if given.worst:
        print(listing(clinic))
    if len(clinic.judged) == len(all_cases()):
        write(clinic)
    for error in errors:
        _say(error)
    return 1 if errors else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
