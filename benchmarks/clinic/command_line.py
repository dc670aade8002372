"""What both commands of the clinic are asked by, and where they say how far they are."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.clinic.cases import Case
from benchmarks.clinic.scenarios import Part

FOLDER = Path(__file__).parents[2] / "build" / "clinic"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add which cases are meant, and how they are done."""
    parser.add_argument("--part", choices=[part.value for part in Part], help="only this part")
    parser.add_argument("--only", metavar="TEXT", default="", help="cases with this in their id")
    parser.add_argument("--judge", action="store_true", help="train nothing; judge what there is")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--cache", type=Path, default=FOLDER, metavar="FOLDER")


def chosen(cases: Iterable[Case], given: argparse.Namespace) -> list[Case]:
    """Return the cases that are meant."""
    return [
        case for case in cases if given.part in {None, case.part.value} and given.only in case.id
    ]


def say(line: str) -> None:
    """Print a line beside the results."""
    print(line, file=sys.stderr, flush=True)
