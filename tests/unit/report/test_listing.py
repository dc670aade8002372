"""Lists of runs: the gist by a few queries is that of the whole run, and nothing stops a list."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from relume.cli import run as relume
from relume.cli.ls import HEADINGS
from relume.errors import RunFileError
from relume.report.listing import list_runs
from relume.runs.glance import glance, glance_of
from relume.runs.places import find_runs, is_open
from relume.runs.query import read_run


@pytest.fixture
def folder(tmp_path, digits_file, watch_factory):
    """A fit, an older watched run of two processes, a damaged one, and what is none."""
    for name in ("fit", "ranks", "broken", "none", ".hidden"):
        (tmp_path / name).mkdir()
    shutil.copy(digits_file, tmp_path / "fit" / "run.sqlite")
    shutil.copy(digits_file, tmp_path / ".hidden" / "run.sqlite")
    for seed, name in enumerate(("run.sqlite", "run-rank1.sqlite")):
        watch_factory.write_watch_run(tmp_path / "ranks" / name, windows=20, seed=seed)
        os.utime(tmp_path / "ranks" / name, (1e9, 1e9 + seed))
    (tmp_path / "broken" / "run.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    os.utime(tmp_path / "broken" / "run.sqlite", (9e8, 9e8))
    (tmp_path / "none" / "other.sqlite").touch()
    (tmp_path / "link").symlink_to(tmp_path / "fit")
    return tmp_path


def test_runs_are_found_newest_first_and_links_are_not_followed(folder):
    found = find_runs(folder)
    assert [run.folder.name for run in found] == ["fit", "ranks", "broken"]
    assert [file.name for file in found[1].files] == ["run.sqlite", "run-rank1.sqlite"]
    assert found[1].written_at == 1e9 + 1
    assert found[1].size == sum(file.stat().st_size for file in found[1].files)


def same(a, b):
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("ended", [True, False])
def test_the_gist_of_a_fit_is_that_of_the_whole_run(tmp_path, factory, ended):
    factory.write_run(tmp_path / "run.sqlite", ended=ended)
    (files,) = find_runs(tmp_path)
    short, whole = glance(files), glance_of(read_run(tmp_path))
    assert all(same(getattr(short, name), getattr(whole, name)) for name in short.__slots__)
    assert (short.kind, short.name, short.steps, short.units) == ("fit", "digits", 300, 384)
    assert short.dead_units == (3 if ended else 5)  # two are quiet on the last 64 rows by chance
    assert short.score == 0.9833 if ended else math.isnan(short.score)


@pytest.mark.parametrize("windows", [1, 2, 8, 20, 200])
def test_the_gist_of_a_watched_run_is_that_of_the_whole_run(tmp_path, watch_factory, windows):
    """At 8 windows units are silent on rows enough to be judged by their earlier rate alone."""
    watch_factory.write_watch_run(tmp_path / "run.sqlite", windows=windows)
    (files,) = find_runs(tmp_path)
    run = read_run(tmp_path)
    short = glance(files)
    assert short == glance_of(run)
    assert short.units == 224
    assert (short.metric, short.score) == ("accuracy", run.metrics[-1].value)


def test_units_that_fell_silent_lately_are_judged_by_the_whole_run(tmp_path, watch_factory):
    cause = watch_factory.Cause.UNKNOWN
    late = {(0, unit): (2000 - rows // 64 * 10 + 1, cause, np.nan)
            for unit, rows in enumerate(range(128, 1200, 64))}  # fmt: skip
    watch_factory.write_watch_run(tmp_path / "run.sqlite", deaths=late)
    (files,) = find_runs(tmp_path)
    assert glance(files) == glance_of(read_run(tmp_path))
    assert 0 < glance(files).dead_units < len(late)


def test_a_damaged_run_is_listed_and_stops_nothing(folder):
    listed = list(list_runs(folder, find_runs(folder), with_findings=True))
    assert [(each.name, each.status) for each in listed] == [
        ("fit", "finished"), ("ranks", "finished"), ("broken", "damaged"),
    ]  # fmt: skip
    assert listed[2].fault.startswith("is not a readable run file: ")
    assert ("RLM106", "warning") in listed[1].findings
    quick = list(list_runs(folder, find_runs(folder), with_findings=False))
    assert [each.findings for each in quick] == [None, None, None]
    assert [each.gist for each in quick] == [each.gist for each in listed]


def test_the_command_prints_a_line_each(folder, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert relume(["ls", str(folder)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.strip().splitlines()]
    assert lines[0] == "run of status written steps loss score dead findings size"
    assert lines[2].startswith("fit fit digits finished ")
    assert " accuracy 0.983 3 of 384 " in lines[2]
    assert lines[3].startswith("ranks watch train.py finished 2001-09-09")
    assert lines[4].startswith("broken damaged 1998-")
    assert lines[-1].startswith("broken: is not a readable run file: ")


@pytest.mark.parametrize(
    ("width", "headings"),
    [(80, "run status steps score dead findings"), (44, "run status dead findings")],
)
def test_a_narrow_terminal_has_fewer_columns_and_whole_names(
    folder, capsys, monkeypatch, width, headings
):
    monkeypatch.setenv("COLUMNS", str(width))
    assert relume(["ls", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == headings
    assert [line.split()[0] for line in lines[2:5]] == ["fit", "ranks", "broken"]
    assert max(map(len, lines[:5])) <= width
    left_out = lines[5].removeprefix("too narrow for: ").split(", ")
    assert {*left_out, *headings.split()} == set(HEADINGS)


def test_the_newest_are_shown_and_the_others_counted(folder, capsys):
    assert relume(["ls", str(folder), "-n", "1", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "and 2 older: --most 0 shows all" in out
    assert "ranks" not in out


def test_json_is_versioned_and_strict(folder, capsys):
    assert relume(["ls", str(folder), "--json", "--most", "0"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (data["format"], data["version"], data["total"]) == ("relume-ls", 1, 3)
    fit, ranks, broken = data["runs"]
    assert (fit["run"], fit["dead_units"], fit["score"]) == ("fit", 3, 0.9833)
    assert (ranks["files"], ranks["written"]) == (2, "2001-09-09T01:46:41+00:00")
    assert {"code": "RLM106", "severity": "warning"} in ranks["findings"]
    assert broken["status"] == "damaged"
    assert broken["fault"]


def test_nothing_to_list_is_said(tmp_path, capsys):
    assert relume(["ls", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith(f"no runs under {tmp_path}")
    assert relume(["ls", str(tmp_path / "absent")]) == 2
    assert "is not a folder with runs" in capsys.readouterr().err
    with pytest.raises(RunFileError, match="it is a file"):
        find_runs(Path(__file__))


WRITE = """
import sys, time
from pathlib import Path
from relume.runs.records import RunInfo
from relume.runs.store import RunWriter
writer = RunWriter(Path(sys.argv[1]))
writer.update_info(RunInfo())
print("open", flush=True)
time.sleep(60)
"""


def test_a_run_is_known_to_go_on_by_its_lock(tmp_path):
    """Killed and running ones say the same of themselves; only one of them is open."""
    file = tmp_path / "run.sqlite"
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(file)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"open\n"
        (listed,) = list_runs(tmp_path, find_runs(tmp_path), with_findings=False)
        assert (is_open(file), listed.status) == (True, "running")
    finally:
        process.kill()
        process.communicate()
    (listed,) = list_runs(tmp_path, find_runs(tmp_path), with_findings=False)
    assert (is_open(file), listed.status) == (False, "killed")
    assert is_open(tmp_path / "absent") is None


def test_a_list_is_quick_and_needs_no_torch(tmp_path, watch_factory):
    run = watch_factory.write_watch_run(tmp_path / "run.sqlite", windows=200)
    for number in range(40):
        (tmp_path / str(number)).mkdir()
        os.link(run, tmp_path / str(number) / "run.sqlite")
    found = find_runs(tmp_path)
    started = time.process_time()
    listed = list(list_runs(tmp_path, found, with_findings=False))
    spent = time.process_time() - started
    assert len(listed) == 41
    started = time.process_time()
    read_run(run)
    assert spent < 41 * (time.process_time() - started)
    code = (
        "import sys; from relume.cli import run; assert run(['ls', sys.argv[1]]) == 0; "
        "print([m for m in ('torch', 'pandas', 'sklearn', 'polars', 'matplotlib', 'jinja2') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr
