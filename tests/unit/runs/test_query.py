from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from relume.errors import RunFileError
from relume.runs.query import read_run
from relume.runs.records import (
    Layer,
    LayerWindow,
    Lifetimes,
    Metric,
    Moments,
    RunInfo,
    UnitActivity,
    Window,
)
from relume.runs.store import RunWriter

LAYERS = (Layer("a", "relu", 2, True),)


def write(path, fired=None, *, layers=LAYERS, name="", metrics=()):
    """A shard of one window; without counts that of a process that never trained."""
    with closing(RunWriter(path)) as writer:
        writer.update_info(RunInfo(kind="watch", status="finished", data={"name": name}))
        if metrics:
            writer.write_metrics(metrics)
        if fired is None:
            return
        writer.set_layers(layers)
        seen = np.array(fired)
        activity = UnitActivity(8, 8, seen, seen * 1.0, seen * 1.0, 8, seen * 1.0)
        window = Window(1, 10, 1, Moments.of(1.0), 0.1, (LayerWindow(activity),))
        lives = Lifetimes.unseen(len(fired)).after(1, seen, 8)
        writer.write_window(window, [lives])


def fired(run):
    return run.windows[0].layers[0].activity.fired.tolist()


def test_a_folder_or_its_run_file_stands_for_all_processes(tmp_path):
    write(tmp_path / "run.sqlite", [1, 0], name="rank 0")
    write(tmp_path / "run-rank1.sqlite", [2, 0])
    write(tmp_path / "run-rank10.sqlite", [4, 0])
    write(tmp_path / "run-old.sqlite", [64, 64])
    for given in (tmp_path, tmp_path / "run.sqlite"):
        run = read_run(given)
        assert fired(run) == [7, 0]
        assert (run.shards, run.path, run.info.data["name"]) == (
            3, tmp_path / "run.sqlite", "rank 0",
        )  # fmt: skip
        assert run.lifetimes[0].silent_rows.tolist() == [0, 24]
        assert (run.other_shards, run.damaged_shards) == ((), ())
    alone = read_run(tmp_path / "run-rank1.sqlite")
    assert (fired(alone), alone.shards) == ([2, 0], 1)


def test_the_first_shard_that_trained_stands_in_for_a_launcher(tmp_path):
    write(tmp_path / "run.sqlite", name="launcher", metrics=[Metric("acc", 1, 0.5)])
    write(tmp_path / "run-9.sqlite")
    write(tmp_path / "run-20.sqlite", [1, 1], name="child")
    write(tmp_path / "run-100.sqlite", [1, 3])
    run = read_run(tmp_path)
    assert fired(run) == [2, 4]
    assert (run.shards, run.info.data["name"]) == (2, "child")
    assert run.metrics == (Metric("acc", 1, 0.5),)
    (tmp_path / "run.sqlite").unlink()
    assert fired(read_run(tmp_path)) == [2, 4]


def test_shards_with_other_layers_and_damaged_ones_are_named(tmp_path):
    write(tmp_path / "run.sqlite", [1, 0])
    write(tmp_path / "run-5.sqlite", [9, 9, 9], layers=(Layer("a", "relu", 3, True),))
    write(tmp_path / "run-6.sqlite", [9, 9], layers=(Layer("b", "relu", 2, True),))
    (tmp_path / "run-7.sqlite").write_bytes(b"")
    run = read_run(tmp_path)
    assert fired(run) == [1, 0]
    assert run.shards == 1
    assert [path.name for path in run.other_shards] == ["run-5.sqlite", "run-6.sqlite"]
    assert [path.name for path in run.damaged_shards] == ["run-7.sqlite"]


def test_where_nothing_can_be_read_it_is_said(tmp_path):
    with pytest.raises(RunFileError, match=r"there is no run file at .*run\.sqlite"):
        read_run(tmp_path)
    with pytest.raises(RunFileError, match="there is no run file at"):
        read_run(Path("nowhere/run.sqlite"))
    (tmp_path / "run-7.sqlite").write_bytes(b"")
    with pytest.raises(RunFileError, match="no readable run file in"):
        read_run(tmp_path)
    (tmp_path / "run.sqlite").write_bytes(b"")
    with pytest.raises(RunFileError, match="not a Relume run file"):
        read_run(tmp_path)
