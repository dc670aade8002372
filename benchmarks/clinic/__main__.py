"""Run the clinic: ``python -m benchmarks.clinic``; what is cached is not done again."""

import argparse
import sys

from benchmarks.clinic.cache import Cache
from benchmarks.clinic.command_line import add_options, chosen, say
from benchmarks.clinic.grid import a_slice, all_cases
from benchmarks.clinic.results import Clinic, write
from benchmarks.clinic.runner import available, judge_all, train_all
from benchmarks.clinic.scenarios import Part
from benchmarks.clinic.showing import listing, show_case, tables


def options() -> argparse.ArgumentParser:
    """Return what can be asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clinic", description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--slice", action="store_true", help="one case a fault, and as many healthy [of tuning]"
    )
    parser.add_argument("--show", metavar="CASE", help="print facts and findings of a case")
    parser.add_argument("--worst", action="store_true", help="list the cases that went wrong")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked for; 1 if a training could not be run or judged."""
    given = options().parse_args(arguments)
    cache = Cache(given.cache)
    if given.show:
        print(show_case(given.show, cache))
        return 0
    cases = a_slice(Part(given.part or Part.TUNING)) if given.slice else all_cases()
    cases = available(chosen(cases, given), say)
    errors: list[str] = []
    try:
        if not given.judge:
            errors += train_all(cases, cache, processes=given.processes, say=say)
            cache.forget_old_records()
        errors += judge_all(cases, cache)
    except KeyboardInterrupt:
        say(f"interrupted; what was done is kept in {given.cache}, and the next run goes on")
        return 130
    clinic = Clinic.of(cases, cache)
    print(tables(clinic))
    if given.worst:
        print(listing(clinic))
    if len(clinic.judged) == len(all_cases()):
        write(clinic)
    for error in errors:
        say(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
