"""Cleaning: what goes, what never does, and that a run goes whole or not at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from relume.cli import run as relume
from relume.report import leavings as leavings_module
from relume.report.leavings import Choice, LeftAlone, choose, leavings, uninterrupted
from relume.report.plots import write_report_png
from relume.runs.places import find_runs
from relume.runs.store import RunWriter

DAY = 86_400
NOW = 1_800_000_000


@pytest.fixture(scope="module")
def page(digits_document, tmp_path_factory):
    from relume.report.html import write_page

    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(digits_document, path)
    return path


@pytest.fixture
def folder(tmp_path, digits_file, page):
    """Four runs, the oldest last by name; the second has everything that a fit leaves."""
    for age, name in enumerate(("a", "b", "c", "d")):
        (tmp_path / name).mkdir()
        shutil.copy(digits_file, tmp_path / name / "run.sqlite")
        os.utime(tmp_path / name / "run.sqlite", (NOW - age * 10 * DAY,) * 2)
    for name, text in {
        "model/model.json": json.dumps({"format": "relume-model"}),
        "model/weights.safetensors": "w",
        "notes.txt": "mine",
    }.items():
        (tmp_path / "b" / "model").mkdir(exist_ok=True)
        (tmp_path / "b" / name).write_text(text)
    shutil.copy(page, tmp_path / "b")
    header = json.dumps({"__metadata__": {"relume": "{}"}}).encode()
    checkpoint = len(header).to_bytes(8, "little") + header
    (tmp_path / "b" / "checkpoint.safetensors").write_bytes(checkpoint)
    return tmp_path


def everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def chosen(folder, *, models=False, **conditions):
    found = choose(find_runs(folder), Choice(**conditions), models=models, now=NOW)
    return [each.run.folder.name for each in found if not isinstance(each, LeftAlone)]


def test_conditions_narrow_the_choice(folder):
    assert chosen(folder, keep=1) == ["b", "c", "d"]
    assert chosen(folder, older_than_s=15 * DAY) == ["c", "d"]
    assert chosen(folder, older_than_s=15 * DAY, keep=3) == ["d"]
    assert chosen(folder, failed=True) == []


@pytest.mark.parametrize(
    ("status", "is_failed"),
    [("failed", True), ("running", True), ("interrupted", False), ("finished", False)],
)
def test_a_run_failed_that_says_so_or_was_killed(tmp_path, factory, status, is_failed):
    info = replace(factory.INFO, status=status)
    factory.write_run(tmp_path / "run.sqlite", factory.Training(windows=2), info=info)
    assert bool(chosen(tmp_path, failed=True)) is is_failed


def test_nothing_goes_unless_it_is_said(folder, capsys):
    before = everything(folder)
    assert relume(["clean", str(folder), "--keep", "1"]) == 0
    out = capsys.readouterr().out
    assert everything(folder) == before
    assert "would delete b (finished, " in out
    assert "report.html, checkpoint.safetensors, run.sqlite\n" in out
    assert "3 runs, " in out
    assert out.endswith("; nothing was deleted: --yes does it\n")


def test_what_is_not_our_own_stays(folder, capsys):
    own = sum((folder / "b" / name).stat().st_size
              for name in ("run.sqlite", "report.html", "checkpoint.safetensors"))  # fmt: skip
    (found,) = (each for each in choose(find_runs(folder), Choice(), models=False)
                if each.run.folder.name == "b")  # fmt: skip
    assert found.size == own
    assert relume(["clean", str(folder), "--keep", "0", "--yes"]) == 0
    assert "4 runs deleted, " in capsys.readouterr().out
    assert everything(folder) == {
        "b", "b/model", "b/model/model.json", "b/model/weights.safetensors", "b/notes.txt",
    }  # fmt: skip


def test_models_go_if_asked(folder):
    assert relume(["clean", str(folder), "--keep", "0", "--models", "--yes"]) == 0
    assert everything(folder) == {"b", "b/notes.txt"}


def foreign(folder):
    """Files of the names that ours have, and of other contents."""
    (folder / "report.html").write_text("<!doctype html><p>Made by hand")
    (folder / "report.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    (folder / "checkpoint.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text('{"format": "another"}')
    (folder / "model" / "weights.safetensors").touch()


def links(folder):
    """Links of the names that ours have, to things of ours elsewhere."""
    for name in ("report.html", "checkpoint.safetensors", "model"):
        (folder / name).symlink_to(folder.parent / "b" / name)


def with_more(folder):
    """A model's folder that somebody has put a thing of theirs into."""
    shutil.copytree(folder.parent / "b" / "model", folder / "model")
    (folder / "model" / "thesis.tex").touch()


@pytest.mark.parametrize("spoil", [foreign, links, with_more])
def test_other_things_of_the_same_names_stay(folder, spoil):
    spoil(folder / "a")
    os.utime(folder / "a" / "run.sqlite", (NOW - 99 * DAY,) * 2)
    before = everything(folder)
    assert relume(["clean", str(folder), "--keep", "3", "--models", "--yes"]) == 0
    assert before - everything(folder) == {"a/run.sqlite"}


def test_a_database_that_is_no_run_file_is_left_alone(folder, capsys):
    import sqlite3
    from contextlib import closing

    (folder / "a" / "run.sqlite").unlink()
    with closing(sqlite3.connect(folder / "a" / "run.sqlite")) as connection:
        connection.execute("CREATE TABLE info (key, value)")
        connection.commit()
    (folder / "c" / "run.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    assert relume(["clean", str(folder), "--keep", "0", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "left alone   a: " in out
    assert "not a Relume run file" in out
    assert "left alone   c: " in out
    assert (folder / "a" / "run.sqlite").exists()
    assert (folder / "c" / "run.sqlite").exists()


def test_a_linked_run_file_is_not_even_found(folder):
    (folder / "e").mkdir()
    (folder / "e" / "run.sqlite").symlink_to(folder / "a" / "run.sqlite")
    (folder / "f").symlink_to(folder / "a")
    assert {run.folder.name for run in find_runs(folder)} == {"a", "b", "c", "d"}


WRITE = """
import sys, time
from pathlib import Path
from relume.runs.store import RunWriter
writer = RunWriter(Path(sys.argv[1]), resume_after=10**9)
print("open", flush=True)
time.sleep(60)
"""


def test_a_run_that_is_being_written_is_left_alone(folder, capsys):
    file = folder / "a" / "run.sqlite"
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(file)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"open\n"
        assert relume(["clean", str(folder / "a"), "--keep", "0", "--yes"]) == 0
        assert capsys.readouterr().out == (
            "left alone   .: it is being written\nno run to delete\n"
        )
    finally:
        process.kill()
        process.communicate()
    assert file.exists()
    (found,) = choose(find_runs(folder / "a"), Choice(), models=False)
    assert {path.name for path in found.paths} == {"run.sqlite", "run.sqlite-shm", "run.sqlite-wal"}


def test_a_run_that_began_again_meanwhile_is_left_alone(folder, capsys, monkeypatch):
    answers = iter([False, True])
    monkeypatch.setattr(leavings_module, "is_open", lambda file: next(answers))
    assert relume(["clean", str(folder / "a"), "--keep", "0", "--yes"]) == 0
    assert "it is being written" in capsys.readouterr().out
    assert (folder / "a" / "run.sqlite").exists()


def test_ctrl_c_leaves_no_run_half_deleted(folder, monkeypatch, capsys):
    unlink = Path.unlink

    def interrupted(path, **options):
        unlink(path, **options)
        signal.raise_signal(signal.SIGINT)

    os.utime(folder / "b" / "run.sqlite", (NOW + 1,) * 2)  # the first one to go, in three parts
    monkeypatch.setattr(Path, "unlink", interrupted)
    assert relume(["clean", str(folder), "--keep", "0", "--yes"]) == 130
    assert capsys.readouterr().err == "relume: interrupted\n"
    left = everything(folder)
    assert not left & {"b/run.sqlite", "b/report.html", "b/checkpoint.safetensors"}
    assert {"a/run.sqlite", "c/run.sqlite", "d/run.sqlite"} <= left


def test_the_signals_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_all_processes_of_a_run_go_together(tmp_path, watch_factory):
    for name in ("run.sqlite", "run-rank1.sqlite", "run-77.sqlite"):
        watch_factory.write_watch_run(tmp_path / name, windows=2)
    (run,) = find_runs(tmp_path)
    names = [path.name for path in leavings(run, models=False).paths]
    assert names == ["run-rank1.sqlite", "run-77.sqlite", "run.sqlite"]


def test_a_picture_of_ours_is_known(tmp_path, digits_run, digits_document, digits_file):
    from relume.diagnosis.engine import diagnose

    shutil.copy(digits_file, tmp_path / "run.sqlite")
    write_report_png(digits_run, digits_document, diagnose(digits_run), tmp_path / "report.png")
    (run,) = find_runs(tmp_path)
    assert [path.name for path in leavings(run, models=False).paths] == ["report.png", "run.sqlite"]


def test_real_models_and_checkpoints_are_known(tmp_path, digits_file):
    from relume.training import job, model_folder

    assert leavings_module.CHECKPOINT == job.CHECKPOINT_NAME
    assert leavings_module.MODEL_FORMAT == model_folder.FORMAT
    names = {model_folder._JSON_NAME, model_folder._WEIGHTS_NAME}
    assert names == leavings_module.MODEL_FILES


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say which runs: --older-than 30d, --keep 10, --failed, or several"),
        (["--older-than", "soon"], "takes a number with m, h, d or w, such as 30d or 12h"),
        (["--older-than", "-3d"], "got '-3d'"),
    ],
)
def test_a_mistake_is_one_line(folder, options, said, capsys):
    before = everything(folder)
    assert relume(["clean", str(folder), "--yes", *options]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert everything(folder) == before


def test_what_cannot_be_deleted_is_said(folder, capsys, monkeypatch):
    def refused(path, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    assert relume(["clean", str(folder), "--keep", "3", "--yes"]) == 2
    assert capsys.readouterr().err.endswith("run.sqlite: permission denied\n")


def test_a_run_file_is_still_one_when_it_was_killed_at_once(tmp_path):
    writer = RunWriter(tmp_path / "run.sqlite")
    shutil.copytree(tmp_path, tmp_path / "killed")
    writer.close()
    (run,) = (each for each in find_runs(tmp_path) if each.folder.name == "killed")
    assert leavings(run, models=False).status == "killed"
