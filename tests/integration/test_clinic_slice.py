"""A slice of the clinic: real trainings of known truth, watched, and what is found in them."""

import json
from pathlib import Path

import pytest

from benchmarks.clinic.arrays import MissingDataError
from benchmarks.clinic.cases import Case
from benchmarks.clinic.grid import a_slice
from benchmarks.clinic.judging import findings_of
from benchmarks.clinic.scenarios import Part
from benchmarks.clinic.training import run_case

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "clinic.json"
LABELS = {name: case["label"] for name, case in json.loads(RESULTS.read_text())["cases"].items()}
EVERY = 3


def of_label(label: str) -> list[Case]:
    return [case for case in a_slice(Part.TUNING) if LABELS.get(case.id) == label][::EVERY]


def codes(findings, *, with_notes: bool) -> set[str]:
    """The codes of findings, consequences too."""
    found = set()
    for each in findings:
        if with_notes or each["severity"] != "note":
            found.add(each["code"])
        found |= codes(each["consequences"], with_notes=with_notes)
    return found


def found_in(case: Case, folder: Path) -> set[str]:
    try:
        run_case(case, out=folder)
    except MissingDataError as error:
        pytest.skip(f"needs a data set: {error}")
    return codes(findings_of(folder), with_notes=False)


def test_harmful_trainings_are_found_and_healthy_ones_left_alone(tmp_path):
    harmful, healthy = of_label("harmful"), of_label("healthy")
    assert len(harmful) >= 15
    assert len(healthy) >= 15
    missed = [
        case.id
        for case in harmful
        if not found_in(case, tmp_path / case.id) & {str(code) for code in case.true_codes}
    ]
    alarmed = [case.id for case in healthy if found_in(case, tmp_path / case.id)]
    assert len(missed) <= 0.1 * len(harmful), missed
    assert len(alarmed) <= 0.05 * len(healthy), alarmed
