"""Exports read back by what other people wrote: json, polars, TensorBoard, MLflow, wandb."""

import json
import math
import shutil
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest

from relume.cli import run as relume
from relume.diagnosis.engine import diagnose
from relume.report.exporting.contents import contents_of, points
from relume.runs.query import read_run
from relume.runs.records import Layer, Metric
from relume.runs.store import RunWriter
from relume.runs.summary import summarise_layers
from relume.runs.tables import tables


@pytest.fixture(scope="module")
def run_file(watch_factory, tmp_path_factory):
    """A watched run whose script recorded a number that is none."""
    path = watch_factory.write_watch_run(tmp_path_factory.mktemp("watched") / "run.sqlite")
    writer = RunWriter(path, resume_after=10**9)
    writer.write_metrics([Metric("hard loss", 7, math.nan), Metric("hard loss", 9, math.inf)])
    writer.close()
    return path


@pytest.fixture(scope="module")
def run(run_file):
    return read_run(run_file)


def export(run_file, to, place, *options):
    assert relume(["export", str(run_file), "--to", to, "--out", str(place), *options]) == 0


def test_the_tables_hold_what_the_run_holds(run):
    by_name = {table.name: table.by_column() for table in tables(run)}
    layers, units = by_name["layers"], by_name["units"]
    summaries = summarise_layers(run)
    assert layers["name"] == [layer.name for layer in run.layers]
    assert layers["dead"] == [
        None if each.dead_units is None else len(each.dead_units) for each in summaries
    ]
    dead = [
        (layer, unit)
        for layer, unit, state in zip(
            *(units[key] for key in ("layer", "unit", "state")), strict=True
        )
        if state == "dead"
    ]
    assert dead == [(i, unit) for i, each in enumerate(summaries) for unit in each.dead_units or ()]
    assert len(units["unit"]) == sum(layer.units for layer in run.layers)
    place = units["layer"].index(0) + 41
    assert (units["cause"][place], units["first_silent"][place]) == ("large_update", 121)
    assert units["row_change"][place] == pytest.approx(8.4)
    windows, flow = by_name["windows"], by_name["layer_windows"]
    assert windows["loss"] == [window.loss.mean for window in run.windows]
    assert sum(windows["armed_steps"]) == 200
    assert len(flow["layer"]) == len(run.windows) * len(run.layers)
    first = run.windows[0].layers[0].activity
    assert flow["firing_rate"][0] == pytest.approx(first.fired.sum() / first.positions / 128)
    assert flow["silent_units"][0] == (first.fired == 0).sum()
    size = math.sqrt(first.total_square.sum() / first.positions / 128)
    assert flow["root_mean_square"][0] == pytest.approx(size)
    assert flow["slope_count"][0] == 0
    assert flow["slope"][0] is None


def test_every_column_is_described(run):
    for table in contents_of(run).tables:
        assert table.about
        assert len({column.name for column in table.columns}) == len(table.columns)
        for column in table.columns:
            assert column.kind in {"int", "float", "text", "flag"}
            assert column.about
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_json_is_read_back_whole(run, run_file, tmp_path):
    export(run_file, "json", tmp_path / "run.json")
    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    data = json.loads(text, parse_constant=pytest.fail)
    assert (data["format"], data["version"]) == ("relume-export", 1)
    for table in contents_of(run).tables:
        found = data["tables"][table.name]
        assert set(found["columns"]) == set(found["values"])
        expected = {
            name: [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
            for name, values in table.by_column().items()
        }
        assert found["values"] == expected
        assert found["rows"] == len(table.rows)
    codes = [str(each.code) for each in diagnose(run).findings]
    found = data["tables"]["findings"]["values"]
    roots = zip(found["code"], found["follows_from"], strict=True)
    assert [code for code, root in roots if root is None] == codes


def test_parquet_is_read_back_by_polars(run, run_file, tmp_path):
    import polars as pl

    folder = tmp_path / "tables"
    export(run_file, "parquet", folder)
    kinds = {"int": pl.Int64, "float": pl.Float64, "text": pl.String, "flag": pl.Boolean}
    about = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
    for table in contents_of(run).tables:
        frame = pl.read_parquet(folder / f"{table.name}.parquet")
        assert frame.schema == {each.name: kinds[each.kind] for each in table.columns}
        assert frame.height == len(table.rows)
        for name, values in table.by_column().items():
            assert repr(frame[name].to_list()) == repr(values)
        assert set(about["tables"][table.name]["columns"]) == set(frame.columns)
    hard = pl.read_parquet(folder / "metrics.parquet").filter(pl.col("name") == "hard loss")
    assert str(hard["value"].to_list()) == "[nan, inf]"


def test_a_fit_has_epochs_and_examined_units(digits_run):
    by_name = {table.name: table.by_column() for table in tables(digits_run)}
    assert by_name["epochs"]["validation_score"] == [
        each.validation_score for each in digits_run.epochs
    ]
    assert set(by_name["units"]["examined_rows"]) == {1149}
    assert by_name["units"]["state"].count("dead") == 3
    info = dict(zip(by_name["info"]["name"], by_name["info"]["value"], strict=True))
    assert json.loads(info["hidden"]) == [128, 128, 128]


def test_tensorboard_reads_the_event_files(run, run_file, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    export(run_file, "tensorboard", tmp_path / "log")
    events = accumulator.EventAccumulator(str(tmp_path / "log"), {"scalars": 0, "histograms": 0})
    events.Reload()
    expected = {}
    for point in points(run):
        expected.setdefault(point.name, []).append((point.step, point.value))
    tags = events.Tags()
    assert set(tags["scalars"]) == set(expected)
    for name, values in expected.items():
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == [step for step, _ in values]
        assert np.allclose(
            [value for _, value in found], [value for _, value in values], equal_nan=True
        )
    assert len(tags["histograms"]) == len(run.layers)
    last = events.Histograms("firing_rates/relu(fc1)")[-1]
    rates = run.windows[-1].layers[0].activity.firing_rate
    assert last.step == run.windows[-1].last_step
    assert last.histogram_value.num == 128
    assert last.histogram_value.sum == pytest.approx(rates.sum())
    assert {"findings/text_summary", "settings/text_summary"} <= set(tags["tensors"])


def test_mlflow_reads_the_run(run, run_file, tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking", reason="needs mlflow-skinny")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    export(run_file, "mlflow", tmp_path / "mlruns")
    client = tracking.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("relume")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["budget"] == "0.01"
    assert found.data.tags["relume.kind"] == "watch"
    for name, shown in (("loss/training",) * 2, ("firing_rate/relu(fc1)", "firing_rate/relu fc1")):
        expected = [(point.step, point.value) for point in points(run) if point.name == name]
        history = client.get_metric_history(found.info.run_id, shown)
        assert sorted((each.step, each.value) for each in history) == expected


def wandb_records(data):
    """Read the log format of LevelDB (its doc/log_format.md): wandb ships no reader any more."""
    at, parts = 7, b""  # after wandb's own head
    while at < len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield parts
            parts = b""


def test_wandb_reads_the_offline_run(run, run_file, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.delenv("WANDB_MODE", raising=False)
    export(run_file, "wandb", tmp_path)
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    found = {}
    for data in wandb_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        items = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
        if items:
            found[int(items["_step"])] = items
    losses = {step: json.loads(items["loss/training"]) for step, items in found.items()
              if "loss/training" in items}  # fmt: skip
    assert losses == {window.last_step: window.loss.mean for window in run.windows}


@pytest.mark.parametrize("to", ["json", "parquet", "tensorboard"])
def test_nothing_is_overwritten_unasked_and_nothing_foreign_at_all(run_file, to, tmp_path, capsys):
    place = tmp_path / "there"
    export(run_file, to, place)
    capsys.readouterr()
    assert relume(["export", str(run_file), "--to", to, "--out", str(place)]) == 2
    assert capsys.readouterr().err.endswith("give --out another name, or --overwrite\n")
    export(run_file, to, place, "--overwrite")
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("all of it")
    assert relume(["export", str(run_file), "--to", to, "--out", str(foreign), "--overwrite"]) == 2
    assert (foreign / "thesis.tex").read_text() == "all of it"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine", "there"]


@pytest.mark.parametrize(("to", "module"), [("tensorboard", "tensorboard"), ("wandb", "wandb"),
                                            ("mlflow", "mlflow")])  # fmt: skip
def test_what_is_not_installed_is_said_with_how_to(
    run_file, to, module, tmp_path, capsys, monkeypatch
):
    for name in [each for each in sys.modules if each.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert relume(["export", str(run_file), "--to", to, "--out", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"relume: --to {to} needs {module}")
    assert "python -m pip install" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_default_place_is_by_the_run(run_file, tmp_path, capsys):
    shutil.copy(run_file, tmp_path / "run.sqlite")
    assert relume(["export", str(tmp_path), "--to", "json"]) == 0
    assert capsys.readouterr().out == f"json: {tmp_path / 'export.json'}\n"


def test_a_place_that_cannot_be_written_leaves_nothing(run_file, tmp_path, capsys):
    (tmp_path / "file").touch()
    for to in ("json", "parquet", "tensorboard"):
        place = str(tmp_path / "file" / "x")
        assert relume(["export", str(run_file), "--to", to, "--out", place]) == 2
        assert "cannot write" in capsys.readouterr().err


def test_layers_of_one_name_have_series_of_their_own(run):
    twice = replace(
        run, layers=tuple(Layer("relu", "relu", each.units, True) for each in run.layers)
    )
    names = {point.name for point in points(twice)}
    assert {"firing_rate/relu", "firing_rate/relu #2", "firing_rate/relu #4"} <= names
