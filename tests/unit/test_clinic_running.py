"""The clinic as it is run: trained once in processes, judged without training, shown as tables."""

from dataclasses import replace

import pytest

from benchmarks.clinic import cache as caching
from benchmarks.clinic import judging, runner, showing
from benchmarks.clinic.__main__ import main
from benchmarks.clinic.cache import Cache
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.outcomes import Label
from benchmarks.clinic.results import Clinic, as_json

PLAIN = next(case for case in all_cases() if case.scenario == "wine/tower" and case.fault == "none")
SICK = next(case for case in all_cases() if case.scenario == "wine/tower" and case.is_faulty)


def _short(case):
    return replace(
        case, recipe=replace(case.recipe, epochs=2), twin=replace(case.twin, epochs=2), good=0.0
    )


CASES = [_short(PLAIN), _short(SICK)]


@pytest.fixture
def trained(tmp_path):
    """Return a cache filled by this process."""
    cache = Cache(tmp_path)
    for job in runner.jobs_of(CASES, cache):
        done = runner.do_job(job)
        cache.outcomes.add(done.key, **done.outcome.to_json())
        if job.out is not None:
            cache.records.add(cache.record_key(done.key), has_steps=done.has_steps)
    return cache


def test_trainings_run_in_a_process_and_only_once(tmp_path):
    said = []
    assert runner.train_all(CASES[:1], Cache(tmp_path), processes=1, say=said.append) == []
    assert said == ["1 trainings to be done for 1 cases"]
    assert runner.train_all(CASES[:1], Cache(tmp_path), processes=1, say=said.append) == []
    assert said[-1] == "0 trainings to be done for 1 cases"


def test_a_fault_of_ours_is_reported_and_not_kept(tmp_path):
    broken = replace(CASES[0], recipe=replace(CASES[0].recipe, loss="no such loss"))
    job = runner.Job("key", broken, broken.recipe, None)
    done = runner.do_job(job)
    assert done.outcome is None
    assert "KeyError: 'no such loss'" in done.error


def test_a_changed_rule_judges_again_and_trains_nothing(trained, monkeypatch):
    calls = []

    def findings_of(folder):
        calls.append(folder.name)
        return [{"code": "RLM001", "severity": "warning", "consequences": []}]

    monkeypatch.setattr(judging, "findings_of", findings_of)
    for _ in range(2):
        assert runner.judge_all(CASES, trained) == []
    assert len(calls) == len(CASES)
    monkeypatch.setattr(caching, "judging_digest", lambda: "another")
    assert runner.findings_in(trained, CASES[0]) is None
    runner.judge_all(CASES, trained)
    assert len(calls) == 2 * len(CASES)
    assert runner.jobs_of(CASES, trained) == []

    clinic = Clinic.of(CASES, trained)
    assert clinic.is_judged
    assert [each.label is Label.HEALTHY for each in clinic.judged] == [True, False]
    text = showing.tables(clinic)
    assert "healthy with a warning or error    100.0 %" in text
    assert PLAIN.id in showing.listing(clinic)
    assert as_json(clinic)["cases"][PLAIN.id]["found"] == ["w RLM001"]


def test_what_is_not_judged_has_outcomes_alone(trained):
    clinic = Clinic.of(CASES, trained)
    assert not clinic.is_judged
    assert "precision" not in showing.tables(clinic)
    assert "precision" not in as_json(clinic)["parts"]["tuning"]


def test_an_interrupted_run_says_so_and_writes_nothing(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.clinic.__main__.train_all", interrupted)
    monkeypatch.setattr("benchmarks.clinic.__main__.write", pytest.fail)
    assert main(["--cache", str(tmp_path)]) == 130
    assert "the next run goes on" in capsys.readouterr().err


def test_run_files_of_other_sources_are_deleted(trained, monkeypatch):
    monkeypatch.setattr(caching, "recording_digest", lambda: "another")
    trained.forget_old_records()
    assert not any((trained.folder / "runs").iterdir())
    assert len(runner.jobs_of(CASES, trained)) == len(CASES)  # the twins are known still


def test_a_case_is_shown_by_its_id_or_what_begins_it(tmp_path, capsys):
    assert main(["--show", PLAIN.id, "--cache", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "not judged" in shown
    assert "there is no run file" in shown
    assert main(["--show", "tuning_wine", "--cache", str(tmp_path)]) == 0
    assert "give the id of one" in capsys.readouterr().out
