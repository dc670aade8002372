"""What is held to be curable is said of every fault of the clinic, once; results are resumed."""

import sys

from benchmarks import measure
from benchmarks.clinic import curing
from benchmarks.clinic.curable import CURABLE, INCURABLE
from benchmarks.clinic.grid import FAULTS, a_slice


def test_every_fault_is_either_curable_or_not():
    assert not CURABLE.keys() & INCURABLE.keys()
    assert CURABLE.keys() | INCURABLE.keys() == {fault.name for fault in FAULTS}


def test_cases_in_the_results_are_cured_again_only_when_that_is_said(tmp_path, monkeypatch):
    first, second = a_slice()[:2]
    cured = []

    def cure(case, budget):
        cured.append(case.id)
        return curing.Cured(case=case.id, fault=case.fault, outcome="cured", recovered=budget / 10)

    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(curing, "RESULTS", tmp_path)
    monkeypatch.setattr(curing, "chosen", lambda cache, part, skip: [first, second])
    monkeypatch.setattr(curing, "cure", cure)
    for words in (["--only", first.id], [], ["--only", second.id, "--again", "--budget", "5"]):
        monkeypatch.setattr(sys, "argv", ["curing", "--cache", str(tmp_path), *words])
        curing.main()
    assert cured == [first.id, second.id, second.id]
    assert {name: each.recovered for name, each in curing.kept(curing.NAME).items()} == {
        first.id: 2.4, second.id: 0.5
    }  # fmt: skip
