import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from relume.cli import run as relume
from relume.runs.records import RunInfo
from relume.runs.store import RunWriter


@pytest.fixture
def run_file(digits_file, tmp_path):
    return shutil.copy(digits_file, tmp_path / "run.sqlite")


def test_the_page_goes_beside_the_run_and_its_place_is_said(run_file, tmp_path, capsys):
    assert relume(["report", str(run_file)]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"Report: {tmp_path / 'report.html'}\n")
    assert "3 of 384 units dead" in " ".join(out.split())
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_folder_stands_for_its_run_file(run_file, tmp_path, capsys):
    assert relume(["report", str(tmp_path), "--out", str(tmp_path / "other.html")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.html", "run.sqlite"]


def test_a_folder_as_out_gets_the_page(run_file, tmp_path):
    (tmp_path / "pages").mkdir()
    assert relume(["report", str(run_file), "-o", str(tmp_path / "pages")]) == 0
    assert (tmp_path / "pages" / "report.html").is_file()


def test_json_is_all_that_is_printed(run_file, tmp_path, capsys, digits_document):
    assert relume(["report", str(run_file), "--json"]) == 0
    out = capsys.readouterr()
    expected = json.loads(digits_document.to_json())
    assert json.loads(out.out) == expected
    assert out.err == ""
    assert not (tmp_path / "report.html").exists()


def test_json_with_a_page(run_file, tmp_path, capsys):
    assert relume(["report", str(run_file), "--json", "--out", str(tmp_path / "a.html")]) == 0
    out = capsys.readouterr()
    json.loads(out.out)
    assert "a.html" in out.err
    assert (tmp_path / "a.html").is_file()


def test_a_run_that_is_being_written_can_be_reported(tmp_path, factory, capsys):
    training = factory.Training(windows=8)
    writer = RunWriter(tmp_path / "run.sqlite")
    try:
        writer.update_info(RunInfo(data={"name": "still going"}))
        writer.set_layers(training.layers)
        windows = training.windows()
        for window in windows:
            writer.write_window(window, factory.lifetimes_after(windows, training.layers))
        assert relume(["report", str(tmp_path)]) == 0
    finally:
        writer.close()
    out = " ".join(capsys.readouterr().out.split())
    assert "still going: No test score: the run has not ended, or was killed" in out
    assert "running, 40 steps" in out


def test_a_folder_stands_for_all_processes_of_a_run(watch_factory, tmp_path, capsys):
    for seed, name in enumerate(("run.sqlite", "run-rank1.sqlite")):
        watch_factory.write_watch_run(tmp_path / name, windows=20, seed=seed)
    assert relume(["report", str(tmp_path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "The records of 2 processes were added up." in out
    assert (tmp_path / "report.html").is_file()
    (tmp_path / "run.sqlite").unlink()
    assert relume(["report", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["processes"] == 1


def damaged(path):
    path.write_bytes(path.read_bytes()[:5000] + b"\xff" * 3000)


def newer(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def foreign(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.commit()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "there is no run file at"),
        (lambda path: path.write_text("a,b\n1,2\n"), "not a readable run file"),
        (damaged, "not a readable run file"),
        (newer, "version 99"),
        (foreign, "not a Relume run file"),
    ],
    ids=["missing", "text", "damaged", "newer", "foreign"],
)
def test_what_is_no_run_file_gives_one_line_and_exit_code_2(
    run_file, tmp_path, capsys, spoil, said
):
    spoil(run_file)
    for given in (run_file, tmp_path):
        assert relume(["report", str(given)]) == 2
        out = capsys.readouterr()
        assert out.out == ""
        assert out.err.count("\n") == 1
        assert said in out.err
    assert not (tmp_path / "report.html").exists()


def test_the_run_file_is_never_overwritten(run_file, capsys):
    before = run_file.read_bytes()
    assert relume(["report", str(run_file), "--out", str(run_file)]) == 2
    assert "is the run file itself" in capsys.readouterr().err
    assert run_file.read_bytes() == before


def test_reporting_leaves_the_run_file_as_it_was(run_file, tmp_path):
    before = run_file.read_bytes()
    assert relume(["report", str(run_file)]) == 0
    assert run_file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "run.sqlite"]


@pytest.mark.parametrize("display", ["", ":0"])
def test_open_asks_for_a_browser_where_there_is_a_display(run_file, tmp_path, monkeypatch, display):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)))
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(sys, "platform", "linux")
    assert relume(["report", str(run_file), "--open"]) == 0
    assert opened == ([(tmp_path / "report.html").as_uri()] if display else [])


def test_reporting_imports_no_torch(run_file):
    script = (
        "import sys\n"
        "from relume.cli import run\n"
        f"code = run(['report', {str(run_file)!r}])\n"
        "heavy = {'torch', 'sklearn', 'polars', 'pandas', 'matplotlib', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'exit code {code}, imported {heavy}' if code or heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stderr
