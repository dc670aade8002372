"""Train one case of the clinic as a script would: ``python -m benchmarks.clinic.one_case ID``.

Ends with two lines, the validation score that the script goes by and the score on held-out rows.
Nothing of Relume is imported by it but what the networks of the clinic are made of.
"""

import argparse
from dataclasses import replace

import torch

from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.training import run_case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("id")
    parser.add_argument("--twin", action="store_true", help="without its fault")
    parser.add_argument("--seed", type=int, help="another seed than that of the case")
    given = parser.parse_args()
    torch.set_num_threads(1)
    case = next(each for each in all_cases() if each.id == given.id)
    if given.seed is not None:
        case = replace(case, seed=given.seed)
    outcome = run_case(case, recipe=case.twin if given.twin else case.recipe)
    if outcome.failure:
        raise SystemExit(outcome.failure)
    print(f"validation: {outcome.claimed:.6f}")
    print(f"held-out: {outcome.score:.6f}")


if __name__ == "__main__":
    main()
