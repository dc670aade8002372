"""When a healthy training counts as harmed by repair."""

import math

import pytest

from benchmarks.clinic.grid import all_cases
from benchmarks.harm import FURTHER_SEEDS, MORE_SEEDS, summary
from benchmarks.harm_trainings import Pair


def pair(off, on, again=(), tried=1):
    return Pair(
        "clinic", f"case {off}", 1, tried=tried, kept=0, off=off, on=on, noise=0.05, again=again
    )


def drops(*amounts, tried=1):
    return [
        (seed, tried, 0.9, 0.9 - drop) for seed, drop in zip(FURTHER_SEEDS, amounts, strict=False)
    ]


SUSPECTS = {
    "alike by every seed": (drops(0.1, 0.11, 0.09), True),
    "no number": (drops(0.1, math.nan, 0.09), True),
    "luck": (drops(0.01, -0.04, 0.02, -0.06), False),
    "hardly ever treated": (drops(-0.1), True),
    "untreated pairs say nothing": (drops(*6 * [0.0], tried=0), True),
}


@pytest.mark.parametrize("name", SUSPECTS)
def test_further_seeds_decide_about_a_suspect_training(name):
    again, is_harmed = SUSPECTS[name]
    figures = summary([pair(0.8, 0.79), pair(0.9, 0.8, again)])["kinds"]["clinic"]
    assert figures["lower by more than two deviations"] == 1
    assert figures["harmed beyond noise"] == is_harmed


def test_the_further_seeds_are_those_of_no_case():
    assert not set(FURTHER_SEEDS) & ({case.seed for case in all_cases()} | set(MORE_SEEDS))
