import ast
import runpy
import sys
import warnings

import pytest

from benchmarks.clinic.program_runs import LAST_LINE, Outcome, flat, summary
from benchmarks.clinic.programs import FOLDER, PROGRAMS
from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity

SLICE = ("broadcast_targets", "optimizer_before_replacement", "missing_targets", "batch_norm_lags")


def score(program, capsys, monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", [str(program.script), "--seed", "0", *flags])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of some of the faults itself
        runpy.run_path(str(program.script), run_name="__main__")
    return float(LAST_LINE.match(capsys.readouterr().out.splitlines()[-1])[1])


def test_there_are_programs_enough_each_of_a_thread_of_its_own():
    assert len(PROGRAMS) >= 17
    for what in ("name", "url", "fault"):
        assert len({getattr(program, what) for program in PROGRAMS}) == len(PROGRAMS)
    places = ("https://github.com/", "https://discuss.pytorch.org/t/")
    assert all(program.url.startswith(places) for program in PROGRAMS)


def test_the_faults_are_spread():
    codes = {code for program in PROGRAMS for code in program.true_codes}
    assert len(codes) >= 20
    assert {code[:4] for code in codes} == {f"RLM{family}" for family in "0123456"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_what_is_said_of_a_program_is_whole(program):
    assert program.title
    assert program.fix
    assert program.true_codes
    assert all(isinstance(code, Code) for code in program.true_codes + program.expected)
    assert not set(program.true_codes) & set(program.expected)
    assert len(set(program.seeds)) == 3
    assert not program.is_good(float("nan"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_script_is_short_plain_and_has_both_versions(program):
    text = program.script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert "args.fixed" in text
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported <= {"argparse", "copy", "sklearn", "torch"}


def test_no_script_is_left_out():
    assert {path.stem for path in FOLDER.glob("*.py")} == {program.name for program in PROGRAMS}


@pytest.mark.parametrize("name", SLICE)
def test_a_program_shows_its_symptom_and_the_fix_mends_it(name, capsys, monkeypatch):
    program = next(each for each in PROGRAMS if each.name == name)
    assert not program.is_good(score(program, capsys, monkeypatch))
    assert program.is_good(score(program, capsys, monkeypatch, "--fixed"))


def test_notes_are_no_alarms_and_folded_warnings_are():
    note = Finding(code="RLM307", severity=Severity.NOTE, message="")
    deep = Finding(code="RLM302", severity=Severity.ERROR, message="")
    fold = Finding(code="RLM101", severity=Severity.WARNING, message="", consequences=(deep, note))
    assert [each.code for each in flat([fold])] == ["RLM101", "RLM302"]


def test_a_program_counts_as_found_when_most_of_its_runs_are():
    def outcome(seed, *, found=False, first=False, is_fixed=False, alarms=()):
        return Outcome("a", seed, is_fixed, 0.0, found=found, first=first, alarms=alarms)

    runs = [outcome(0, found=True, first=True), outcome(1, found=True), outcome(2)]
    fixed = [outcome(0, is_fixed=True, alarms=("RLM101",)), outcome(1, is_fixed=True)]
    assert summary([*runs, *fixed]) == {
        "programs": 1,
        "found": 1,
        "first": 0,
        "fixed runs": 2,
        "with a false alarm": 1,
    }
