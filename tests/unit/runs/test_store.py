import dataclasses
import math
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from relume.errors import OutputError, RunFileError
from relume.runs import schema
from relume.runs.query import read_run
from relume.runs.records import (
    NEVER,
    Cause,
    Deaths,
    Epoch,
    Layer,
    LayerWindow,
    Lifetimes,
    Metric,
    Moments,
    RunInfo,
    UnitActivity,
    Unobserved,
    Window,
)
from relume.runs.store import RunWriter

LAYERS = (
    Layer("hidden.0.activation", "relu", 5, True, "hidden.0.linear"),
    Layer("hidden.1.activation", "tanh", 3, False, None),
)


def window(step, rng, *, steps=10):
    parts = tuple(
        LayerWindow(
            UnitActivity(
                4,
                8,
                rng.integers(0, 9, layer.units),
                rng.integers(0, 9, layer.units).astype(np.float64),
                rng.integers(0, 9, layer.units).astype(np.float64),
                8,
                rng.integers(0, 9, layer.units).astype(np.float64),
            ),
            Moments.of(float(step)),
            Moments.of(0.25),
        )
        for layer in LAYERS
    )
    return Window(step, step + steps - 1, 1, Moments.of(float(step)), 0.1, parts)


def lives(step):
    return tuple(
        Lifetimes.unseen(layer.units).after(step, np.ones(layer.units, np.int64), 4)
        for layer in LAYERS
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.sqlite"


@pytest.fixture
def writer(path):
    writer = RunWriter(path)
    writer.update_info(RunInfo(settings={"lr": 0.1}, data={"name": "ünï"}))
    writer.set_layers(LAYERS)
    yield writer
    writer.close()


def test_what_is_written_is_read_back(writer, path):
    rng = np.random.default_rng(0)
    written = [window(1 + 10 * i, rng) for i in range(5)]
    for each in written:
        writer.write_window(each, lives(each.first_step))
    epoch = Epoch(1, 50, 0.5, math.nan, 0.9, 1e-3, 7, 8)
    writer.write_epoch(epoch)
    writer.write_examination([w.activity for w in written[0].layers], held_out_rows=3)
    writer.update_info(status="finished", result={"score": 1.0})
    for run in (read_run(path), (writer.close(), read_run(path))[1]):
        assert run.info == RunInfo(
            status="finished", settings={"lr": 0.1}, data={"name": "ünï"}, result={"score": 1.0}
        )
        assert run.layers == LAYERS
        assert run.last_step == 50
        for got, put in zip(run.windows, written, strict=True):
            for name in ("first_step", "last_step", "armed_steps", "loss", "learning_rate"):
                assert getattr(got, name) == getattr(put, name)
            for a, b in zip(got.layers, put.layers, strict=True):
                assert np.array_equal(a.activity.fired, b.activity.fired)
                assert np.array_equal(a.activity.total, b.activity.total)
                assert np.array_equal(a.activity.absolute_gradient, b.activity.absolute_gradient)
                assert (a.gradient_norm, a.update_ratio) == (b.gradient_norm, b.update_ratio)
        assert math.isnan(run.epochs[0].validation_loss)
        assert dataclasses.replace(run.epochs[0], validation_loss=0.0) == dataclasses.replace(
            epoch, validation_loss=0.0
        )
        assert run.lifetimes[0].last_fired.tolist() == [41] * 5
        assert np.array_equal(run.examination[1].fired, written[0].layers[1].activity.fired)
        assert run.held_out_rows == 3
    assert [file.name for file in path.parent.iterdir()] == ["run.sqlite"]


def test_the_open_window_is_replaced_as_it_grows(writer, path):
    rng = np.random.default_rng(0)
    first = window(1, rng, steps=3)
    writer.write_window(first, lives(1))
    grown = first + window(4, rng, steps=3)
    writer.write_window(grown, lives(4))
    (only,) = read_run(path).windows
    assert (only.first_step, only.last_step, only.armed_steps) == (1, 6, 2)


def test_merging_bounds_the_file_and_loses_no_count(tmp_path):
    writer = RunWriter(tmp_path / "run.sqlite", most_windows=8)
    writer.set_layers(LAYERS)
    rng = np.random.default_rng(0)
    written = [window(1 + 10 * i, rng) for i in range(100)]
    for each in written:
        writer.write_window(each, lives(each.first_step))
    writer.close()
    run = read_run(tmp_path / "run.sqlite")
    assert len(run.windows) <= 9
    assert [w.first_step for w in run.windows[1:]] == [w.last_step + 1 for w in run.windows[:-1]]
    for index in range(len(LAYERS)):
        total = sum((w.layers[index].activity.fired for w in run.windows), np.zeros(1, np.int64))
        expected = sum((w.layers[index].activity.fired for w in written), np.zeros(1, np.int64))
        assert np.array_equal(total, expected)
    assert sum(w.loss.count for w in run.windows) == 100
    assert sum(w.armed_steps for w in run.windows) == 100


def test_bytes_bound_the_file_too(tmp_path):
    layers = (Layer("wide", "relu", 20_000, True),)
    writer = RunWriter(tmp_path / "run.sqlite", most_bytes=500_000)
    writer.set_layers(layers)
    rng = np.random.default_rng(0)
    for step in range(1, 40):
        noise = rng.normal(size=20_000)
        activity = UnitActivity(9, 9, rng.integers(0, 9, 20_000), noise, noise, 9, noise)
        one = Window(step, step, 1, Moments.of(1.0), 0.1, (LayerWindow(activity),))
        writer.write_window(one, (Lifetimes.unseen(20_000),))
    writer.close()
    assert (tmp_path / "run.sqlite").stat().st_size < 1_500_000
    assert read_run(tmp_path / "run.sqlite").last_step == 39


def noisy_windows(writer, count):
    rng = np.random.default_rng(0)
    writer.set_layers((Layer("wide", "relu", 5_000, True),))
    for step in range(1, count + 1):
        noise = rng.normal(size=5_000)
        activity = UnitActivity(9, 9, rng.integers(0, 9, 5_000), noise, noise, 9, noise)
        one = Window(step, step, 1, Moments.of(1.0), 0.1, (LayerWindow(activity),))
        writer.write_window(one, ())


@pytest.mark.parametrize(("other_bytes", "merges"), [(0, False), (900_000, True)])
def test_what_else_is_in_a_file_leaves_less_for_its_windows(
    tmp_path, monkeypatch, other_bytes, merges
):
    monkeypatch.setattr("relume.runs.store.MOST_FILE_BYTES", 1_000_000)
    with closing(RunWriter(tmp_path / "run.sqlite", most_bytes=2_000_000)) as writer:
        writer.update_info(data={"notes": "x" * other_bytes})
        noisy_windows(writer, 30)
    assert (len(read_run(tmp_path / "run.sqlite").windows) < 30) == merges


def test_a_file_full_of_other_things_keeps_its_windows(tmp_path, monkeypatch):
    monkeypatch.setattr("relume.runs.store.MOST_FILE_BYTES", 100_000)
    with closing(RunWriter(tmp_path / "run.sqlite", most_bytes=4_000_000)) as writer:
        writer.update_info(data={"notes": "x" * 200_000})
        noisy_windows(writer, 20)
    assert len(read_run(tmp_path / "run.sqlite").windows) == 20


def test_windows_after_the_last_checkpoint_do_not_merge(tmp_path):
    path = tmp_path / "run.sqlite"
    writer = RunWriter(path, most_windows=4)
    writer.set_layers(LAYERS)
    rng = np.random.default_rng(0)
    for i in range(30):
        if i == 15:
            writer.settle(100)
        writer.write_window(window(1 + 10 * i, rng), lives(1))
    run = read_run(path)
    late = [w for w in run.windows if w.first_step > 150]
    assert all(w.last_step - w.first_step == 9 for w in late)
    assert any(w.last_step - w.first_step > 9 for w in run.windows)
    writer.close()


def test_resuming_forgets_what_came_after(writer, path):
    rng = np.random.default_rng(0)
    for i in range(6):
        writer.write_window(window(1 + 10 * i, rng), lives(1))
        writer.write_epoch(Epoch(i + 1, 10 * i + 10, 0.0, 0.0, 0.0, 0.0, 0, 8))
    writer.close()
    again = RunWriter(path, resume_after=30)
    assert [w.first_step for w in read_run(path).windows] == [1, 11, 21]
    assert [e.epoch for e in read_run(path).epochs] == [1, 2, 3]
    again.write_window(window(31, rng), lives(31))
    again.close()
    assert read_run(path).last_step == 40


def test_a_run_file_is_never_overwritten(writer, path):
    with pytest.raises(OutputError, match="exists already"):
        RunWriter(path)


def test_a_place_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match="cannot write the run file"):
        RunWriter(tmp_path / "missing" / "run.sqlite")
    with pytest.raises(RunFileError, match="no run file"):
        RunWriter(tmp_path / "run.sqlite", resume_after=3)


def test_files_that_are_not_run_files(tmp_path, writer, path):
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"not a database" * 100)
    with pytest.raises(RunFileError, match="not a readable run file"):
        read_run(garbage)
    other = tmp_path / "other"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(RunFileError, match="not a Relume run file"):
        read_run(other)
    with pytest.raises(RunFileError, match="there is no run file"):
        read_run(tmp_path / "nothing")
    writer.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    with pytest.raises(RunFileError, match="upgrade Relume"):
        read_run(path)


def test_damaged_records_are_refused(writer, path):
    rng = np.random.default_rng(0)
    writer.write_window(window(1, rng), lives(1))
    writer.close()
    statements = (
        "UPDATE layer_windows SET units = X'00'",
        "UPDATE layer_windows SET units = zeroblob(40)",
        "UPDATE layer_windows SET gradient_norm = X'0102'",
        "UPDATE windows SET loss = 'text'",
        "UPDATE layers SET units = 4000000000",
        "DELETE FROM layer_windows WHERE layer = 1",
        "UPDATE info SET value = '{'",
        "DROP TABLE epochs",
        "UPDATE lifetimes SET units = X'0500000003616161'",
        "DROP TABLE metrics",
        "INSERT INTO deaths VALUES (0, X'0500000003616161')",
    )
    for number, statement in enumerate(statements):
        copy = path.with_name(f"damaged{number}")
        shutil.copy(path, copy)
        with sqlite3.connect(copy) as connection:
            connection.execute(statement)
        connection.close()
        with pytest.raises(RunFileError):
            read_run(copy)


def test_every_truncation_gives_a_clear_error_or_a_run(writer, path):
    writer.write_window(window(1, np.random.default_rng(0)), lives(1))
    writer.close()
    whole = path.read_bytes()
    cut = path.with_name("cut")
    refused = 0
    for size in range(0, len(whole), 997):
        cut.write_bytes(whole[:size])
        try:
            assert read_run(cut).layers == LAYERS
        except RunFileError:
            refused += 1
    assert refused >= 0.8 * len(whole) / 997


def test_arrays_survive_packing_whatever_their_range():
    rng = np.random.default_rng(0)
    for low, high in ((0, 5), (-128, 127), (-1, 2**20), (-(2**40), 2**40)):
        array = rng.integers(low, high, 33)
        floats = rng.normal(size=33).astype(np.float32)
        back, back_floats = schema.unpack_arrays(schema.pack_arrays(array, floats), 33, 2)
        assert np.array_equal(back, array)
        assert np.array_equal(back_floats, floats)
    (empty,) = schema.unpack_arrays(schema.pack_arrays(np.zeros(0, np.int64)), 0, 1)
    assert len(empty) == 0


def test_closing_twice_is_allowed(writer):
    writer.close()
    writer.close()


def test_reading_a_run_needs_no_torch(writer, path):
    code = (
        "import sys; from pathlib import Path; from relume.runs.query import read_run;"
        "from relume.runs.summary import summarise_layers;"
        "summarise_layers(read_run(Path(sys.argv[1]))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_layers_found_late_were_not_seen_before(path):
    rng = np.random.default_rng(0)
    both = window(11, rng)
    with_one = dataclasses.replace(window(1, rng), layers=both.layers[:1])
    with closing(RunWriter(path)) as writer:
        writer.set_layers(LAYERS[:1])
        writer.write_window(with_one, lives(1)[:1])
        writer.add_layers(LAYERS[1:])
        writer.write_window(both, lives(11))
    run = read_run(path)
    assert run.layers == LAYERS
    early, late = run.windows
    assert early.layers[0].activity.fired.tolist() == with_one.layers[0].activity.fired.tolist()
    assert (early.layers[1].activity.rows, late.layers[1].activity.rows) == (0, 4)
    merged = early + late
    assert merged.layers[1].activity.fired.tolist() == both.layers[1].activity.fired.tolist()
    assert len(run.lifetimes) == 2


def test_losses_with_names_come_back_by_epoch(path):
    with closing(RunWriter(path)) as writer:
        writer.set_layers(LAYERS)
        assert read_run(path).losses == {}
        writer.write_losses(1, {"generator": 0.5, "discriminator": math.nan})
        writer.write_losses(2, {"generator": 0.25})
    losses = read_run(path).losses
    assert losses[2] == {"generator": 0.25}
    assert losses[1]["generator"] == 0.5
    assert math.isnan(losses[1]["discriminator"])


def test_what_a_watched_training_brings_comes_back(path):
    layers = (
        Layer("net.act", "prelu", 3, False, "net.linear", "model.py:41"),
        Layer("gate", "sigmoid", 2, False, None, "train.py:7", saturates=True),
    )
    deaths = (
        Deaths(
            np.array([5, 900_000, NEVER]),
            np.array([NEVER, 900_040, 1]),
            np.array([math.nan, 8.4, math.inf]),
            np.array([Cause.ALIVE, Cause.LARGE_UPDATE, Cause.FROM_START], np.int8),
        ),
        Deaths.unseen(2),
    )
    slope = Moments.of(0.25) + Moments.of(0.5)
    seen = tuple(LayerWindow(UnitActivity.zero(layer.units), slope=slope) for layer in layers)
    with closing(RunWriter(path)) as writer:
        writer.update_info(RunInfo(kind="watch", overhead={"budget": 0.01, "period": 40}))
        writer.set_layers(layers)
        writer.write_window(Window(1, 9, 1, Moments(), math.nan, seen), ())
        writer.write_deaths(deaths[:1])
        writer.write_deaths(deaths)
        writer.write_unobserved({("gone", "a.py:1"): 3})
        writer.write_unobserved({("relu of torch.func", "ünï.py:3"): 12, ("lstm", ""): 1})
        writer.write_metrics([Metric("loss", 1, math.nan), Metric("acc", 2, 0.5)])
        writer.write_metrics([Metric("acc", 2, math.inf)])
    run = read_run(path)
    assert run.info.overhead == {"budget": 0.01, "period": 40}
    assert run.layers == layers
    assert [part.slope for part in run.windows[0].layers] == [slope, slope]
    for got, put in zip(run.deaths, deaths, strict=True):
        for name in ("last_fired", "first_silent", "cause"):
            assert np.array_equal(getattr(got, name), getattr(put, name))
        assert np.allclose(got.row_change, put.row_change, equal_nan=True)
    assert run.unobserved == (
        Unobserved("lstm", None, 1),
        Unobserved("relu of torch.func", "ünï.py:3", 12),
    )
    assert run.metrics[:2] == (Metric("acc", 2, 0.5), Metric("acc", 2, math.inf))
    assert math.isnan(run.metrics[2].value)


def test_scores_are_bounded_by_name_and_in_names(path):
    with closing(RunWriter(path)) as writer:
        for start in range(0, 9000, 3000):
            steps = range(start, start + 3000)
            assert writer.write_metrics([Metric("a", 7 * step, step) for step in steps]) == ()
        many = [Metric(f"name {number:03}", 1, 0.0) for number in range(201)]
        assert writer.write_metrics([*many, *many]) == ("name 199", "name 200")
    run = read_run(path)
    values = [metric.value for metric in run.metrics if metric.name == "a"]
    assert 1000 <= len(values) <= 2000
    assert (values[0], values[-1]) == (0, 8999)
    assert set(np.diff(values[:-1])) == {8}
    with closing(RunWriter(path, resume_after=7 * 4000)) as writer:
        writer.write_metrics([Metric("a", 7 * 4001, -1.0)])
    steps = [metric.step for metric in read_run(path).metrics if metric.name == "a"]
    assert steps == [*range(0, 7 * 4001, 56), 7 * 4001]


def test_codes_of_causes_never_change():
    assert {cause.name: int(cause) for cause in Cause} == {
        "UNKNOWN": 0, "ALIVE": 1, "FROM_START": 2, "LARGE_UPDATE": 3, "GRADIENT_SPIKE": 4,
        "RATE_STEP": 5, "INPUT_DRIFT": 6, "UPSTREAM_DEATH": 7,
    }  # fmt: skip
    later = Deaths(np.zeros(1), np.zeros(1), np.zeros(1), np.array([99], np.int8))
    assert schema.unpack_deaths(schema.pack_deaths(later), 1).cause.tolist() == [Cause.UNKNOWN]


def test_names_that_are_not_valid_unicode_do_not_stop_the_writer(path):
    odd = "a\udcff.py"  # as Python names a file whose bytes are not UTF-8
    with closing(RunWriter(path)) as writer:
        writer.set_layers([Layer(odd, "relu", 1, True, odd, odd)])
        writer.write_unobserved({(odd, odd): 1})
        for start in range(0, 3000, 100):
            writer.write_metrics([Metric(odd, start + step, 0.0) for step in range(100)])
    run = read_run(path)
    assert run.layers[0].place == "a?.py"
    assert run.unobserved == (Unobserved("a?.py", "a?.py", 1),)
    assert 1000 <= len(run.metrics) <= 2000


def test_who_reads_a_file_for_long_does_not_keep_its_writer_from_ending(writer, path, monkeypatch):
    monkeypatch.setattr("relume.runs.log_folding.LONGEST_FOLD_S", 0.05)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT COUNT(*) FROM windows").fetchone()
        writer.close()
        assert path.with_name(path.name + "-wal").exists()
    assert read_run(path).info.status == "running"


def test_reading_a_file_that_grows_lets_go_of_it_before_it_is_read(writer, path, monkeypatch):
    def close_the_writer(*_):
        began_s = time.monotonic()
        writer.close()
        assert time.monotonic() - began_s < 1
        assert not path.with_name(path.name + "-wal").exists()

    monkeypatch.setattr("relume.runs.schema.check_version", close_the_writer)
    assert read_run(path).info.status == "running"
