"""The figures of the clinic: intervals, and what counts as found, first, false and precise."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from benchmarks.clinic.figures import Judged, Share, figures_of, wilson, worst
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.outcomes import Label
from relume.diagnosis.codes import Code

FAULTY = replace(
    next(case for case in all_cases() if case.is_faulty),
    true_codes=(Code.UNSCALED_INPUT,),
    expected=(Code.DEAD_UNITS,),
)
HEALTHY = next(case for case in all_cases() if not case.is_faulty)


def _finding(code, severity="warning", consequences=()):
    return {"code": code, "severity": severity, "consequences": list(consequences)}


@given(st.integers(1, 400), st.data())
@settings(deadline=None, derandomize=True, max_examples=60)
def test_wilson_is_that_of_scipy(total, data):
    hits = data.draw(st.integers(0, total))
    wanted = binomtest(hits, total).proportion_ci(0.95, "wilson")
    assert wilson(hits, total) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_nothing_has_no_interval():
    assert all(math.isnan(end) for end in Share(0, 0).interval)
    assert repr(Share(0, 0)) == "none"


def test_a_folded_consequence_counts_as_found_but_not_as_first():
    folded = _finding("RLM202", consequences=[_finding("RLM001")])
    judged = Judged(FAULTY, Label.HARMFUL, [folded])
    figures = figures_of([judged])
    assert (figures.found.hits, figures.first.hits, figures.first_three.hits) == (1, 0, 0)
    assert worst([judged]) == [judged]


def test_a_note_neither_finds_nor_alarms():
    figures = figures_of(
        [
            Judged(FAULTY, Label.HARMFUL, [_finding("RLM001", "note")]),
            Judged(HEALTHY, Label.HEALTHY, [_finding("RLM001", "note")]),
        ]
    )
    assert (figures.found.hits, figures.false_alarms.hits, dict(figures.precision)) == (0, 0, {})


def test_the_first_serious_finding_counts_whatever_notes_come_before():
    found = [_finding("RLM307", "note"), _finding("RLM101"), _finding("RLM001", "error")]
    figures = figures_of([Judged(FAULTY, Label.HARMFUL, found)])
    assert (figures.first.hits, figures.first_three.hits) == (0, 1)


def test_harmless_and_dropped_are_outside_of_recall_and_alarms():
    loud = [_finding("RLM404")]
    figures = figures_of(
        [Judged(FAULTY, Label.HARMLESS, loud), Judged(HEALTHY, Label.DROPPED, loud)]
    )
    assert figures.found.total == figures.false_alarms.total == 0
    assert figures.precision["RLM404"] == Share(0, 1)  # the dropped one is not counted


def test_precision_counts_trainings_and_takes_consequences_for_right():
    figures = figures_of(
        [
            Judged(FAULTY, Label.HARMFUL, [_finding("RLM101"), _finding("RLM101")]),
            Judged(HEALTHY, Label.HEALTHY, [_finding("RLM101")]),
        ]
    )
    assert figures.precision["RLM101"] == Share(1, 2)
    assert figures.to_json()["precision"]["RLM101"]["too_few"]
    assert figures.false_alarms == Share(1, 1)
