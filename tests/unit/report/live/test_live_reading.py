import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from relume.errors import RunFileError
from relume.report.live.finding_runs import named_run, runs_under, stamp
from relume.report.live.reading import GrowingRun, Pace
from relume.runs.loss_curve import Curve
from relume.runs.store import RunWriter


@pytest.fixture
def growing(factory, tmp_path):
    """A training that writes a window at every call."""
    training = factory.Training(windows=20)
    windows = iter(training.windows())
    writer = RunWriter(tmp_path / "run.sqlite")
    writer.update_info(replace(factory.INFO, status="running", result={}))
    writer.set_layers(training.layers)
    yield lambda: writer.write_window(next(windows), [])
    writer.close()


def test_a_run_is_read_when_it_was_written(growing, tmp_path):
    run = GrowingRun(tmp_path, "mine")
    assert run.has_changed
    growing()
    assert run.read().steps == 5
    assert not run.has_changed
    for steps in (10, 15, 20):
        growing()
        assert run.has_changed
        assert run.read().steps == steps
        assert not run.has_changed
    assert run.written_at_s == pytest.approx((tmp_path / "run.sqlite-wal").stat().st_mtime)


def test_every_write_changes_the_stamp(growing, tmp_path):
    stamps = set()
    for _ in range(20):
        growing()
        stamps.add(stamp(tmp_path))
    assert len(stamps) == 20


def test_a_shard_that_appears_is_a_change(growing, tmp_path):
    growing()
    run = GrowingRun(tmp_path, "mine")
    run.read()
    shutil.copy(tmp_path / "run.sqlite", tmp_path / "run-rank1.sqlite")
    (tmp_path / "model.bin").write_bytes(b"no run file")
    assert run.has_changed
    run.read()
    (tmp_path / "other.bin").write_bytes(b"no run file")
    assert not run.has_changed


def test_a_file_that_is_gone_says_so_and_comes_back(digits_file, tmp_path):
    run = GrowingRun(tmp_path, "mine")
    assert run.read() is None
    assert "there is no run file at" in run.fault
    assert not run.has_changed
    shutil.copy(digits_file, tmp_path / "run.sqlite")
    assert run.has_changed
    assert run.read().steps == 300
    assert run.fault == ""


def test_nothing_is_said_of_the_end_of_a_training_that_goes_on(factory, tmp_path):
    codes = []
    for ended in (False, True):
        folder = tmp_path / str(ended)
        folder.mkdir()
        writer = RunWriter(folder / "run.sqlite")
        writer.update_info(replace(factory.INFO, status="finished" if ended else "running"))
        training = factory.Training(windows=12)
        writer.set_layers(training.layers)
        for window in training.windows():
            writer.write_window(window, [])
        losses, none = np.linspace(2, 1, 60), np.zeros(60)
        writer.write_curve(Curve(1, losses, losses, losses, none + 0.1, none.astype(np.int64)))
        writer.close()
        codes.append({finding.code for finding in GrowingRun(folder, "").read().findings})
    assert codes[1] - codes[0] == {"RLM307"}


def test_reading_keeps_to_its_share():
    pace, now_s, spent_s = Pace(share=0.2), 0.0, 0.0
    for _ in range(200):
        while not pace.is_ready(now_s):
            now_s += 0.01
        now_s += 0.05
        spent_s += 0.05
        pace.note(cost_s=0.05, now_s=now_s)
    assert 0.18 < spent_s / now_s <= 0.2
    pace.note(cost_s=0.0, now_s=now_s)
    assert not pace.is_ready(now_s + 0.09)  # ten a second at most
    assert pace.is_ready(now_s + 0.11)


def test_runs_are_found_where_they_are_put(factory, tmp_path):
    for number, place in enumerate(("a", "b/c", ".hidden", "venv/x", "1/2/3/4/5", "d")):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        name = "run-rank1.sqlite" if place == "d" else "run.sqlite"
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (number, number))
    (tmp_path / "a" / "notes.sqlite").write_bytes(b"x")
    assert runs_under(tmp_path) == [tmp_path / "d", tmp_path / "b" / "c", tmp_path / "a"]
    assert runs_under(tmp_path / "nowhere") == []


def test_runs_are_named_as_other_commands_name_them(digits_file, tmp_path):
    folder = digits_file.parent
    assert named_run(folder) == named_run(digits_file) == folder
    other = tmp_path / "mine.sqlite"
    shutil.copy(digits_file, other)
    assert named_run(other) == other
    assert GrowingRun(other, "").read().steps == 300
    for wrong in (tmp_path / "none", tmp_path):
        with pytest.raises(RunFileError, match="there is no run file") as caught:
            named_run(wrong)
        assert str(wrong) in str(caught.value)


def test_a_file_that_is_no_run_is_one_clear_line(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("import torch\n")
    with pytest.raises(RunFileError, match="is no run file"):
        named_run(script)
