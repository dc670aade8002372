"""What the clinic calls harmful, harmless, healthy and dropped."""

from dataclasses import replace

import pytest

from benchmarks.clinic.fault import Harm
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.outcomes import Label, label_of, tolerance_of
from benchmarks.clinic.training import Outcome

CASE = next(case for case in all_cases() if case.is_faulty and case.data == "digits")
HEALTHY = next(case for case in all_cases() if not case.is_faulty)


def _outcome(score, claimed=None, failure=""):
    return Outcome(score, score if claimed is None else claimed, 0.1, 100, 1.0, failure)


def _label(score, *, seeds=(0.9, 0.9, 0.9), harm=Harm.SCORE, claimed=None, failure=""):
    case = replace(CASE, harm=harm)
    twins = [_outcome(each) for each in seeds]
    return label_of(case, _outcome(score, claimed, failure), twins[0], twins)


def test_worse_by_more_than_the_tolerance_is_harmful():
    tolerance = tolerance_of(CASE)
    assert _label(0.9 - 0.9 * tolerance) is Label.HARMLESS
    assert _label(0.9 - 1.1 * tolerance) is Label.HARMFUL


def test_worse_by_less_than_the_seeds_scatter_is_harmless():
    assert _label(0.8, seeds=(0.9, 0.95, 0.84)) is Label.HARMLESS
    assert _label(0.8, seeds=(0.9, 0.92, 0.88)) is Label.HARMFUL


def test_a_leak_is_judged_by_what_is_claimed():
    assert _label(0.95, harm=Harm.CLAIM, claimed=0.95) is Label.HARMLESS
    assert _label(0.95, harm=Harm.CLAIM, claimed=0.99) is Label.HARMFUL


def test_what_is_switched_off_is_harmful_whatever_the_score():
    assert _label(0.99, harm=Harm.ALWAYS) is Label.HARMFUL


def test_a_training_that_stops_with_an_error_is_harmful():
    assert _label(0.95, failure="ValueError: no") is Label.HARMFUL


@pytest.mark.parametrize(("more", "label"), [(0.01, Label.HEALTHY), (-0.01, Label.DROPPED)])
def test_healthy_is_what_reaches_its_score(more, label):
    assert label_of(HEALTHY, _outcome(HEALTHY.good + more), _outcome(0.0), []) is label
