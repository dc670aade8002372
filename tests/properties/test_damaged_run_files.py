"""Whatever happened to a run file, its readers give what there is or one clear line."""

import io
import json
import sqlite3
import tempfile
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase as Phase_
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.cli import run as relume
from relume.diagnosis.engine import diagnose
from relume.errors import RelumeError
from relume.report.comparing.comparison import compare_runs
from relume.report.document import build_document
from relume.report.exporting.contents import contents_of, described, histograms, points
from relume.report.leavings import leavings
from relume.report.listing import list_runs, listing_json
from relume.runs.facts import (
    InputFacts,
    LossFacts,
    ModuleFacts,
    NormFacts,
    OptimizerFacts,
    Phase,
    RecurrentFacts,
    WeightFacts,
)
from relume.runs.loss_curve import Curve
from relume.runs.places import find_runs
from relume.runs.query import read_run
from relume.runs.records import (
    Deaths,
    Epoch,
    Layer,
    LayerWindow,
    Lifetimes,
    Metric,
    Moments,
    RunInfo,
    Score,
    UnitActivity,
    WeightWindow,
    Window,
)
from relume.runs.remedies import AppliedRemedy
from relume.runs.store import RunWriter

SETTINGS = settings(
    deadline=None, derandomize=True, max_examples=60, phases=[Phase_.explicit, Phase_.generate]
)
LAYERS = (
    Layer("fc1", "relu", 6, True, "fc1", "train.py:3"),
    Layer("gate", "tanh", 4, False, saturates=True),
    Layer("mix", "gelu", 3, False),
)
FACTS = (
    InputFacts(name="x", phase=Phase.TRAINING, shape=(8, 5), batches=3, rows=24, features=5),
    LossFacts(function="cross_entropy", phase=Phase.TRAINING, rows=24, class_counts=(12, 12)),
    LossFacts(function="mse_loss", phase=Phase.EVALUATION, rows=24),
    ModuleFacts(name="fc1", kind="Linear", order=0, details={"is_frozen": False}),
    WeightFacts(name="fc1.weight", shape=(6, 5), is_optimised=True, armed_steps=8, fan_in=5),
    OptimizerFacts(number=0, kind="SGD", groups=({"lr": 0.1, "weight_decay": 0.0},), updates=80),
    NormFacts(name="bn", passes=4, least_values=8, least_rows=8),
    RecurrentFacts(name="rnn", kind="RNN", time_steps=9, passes=3),
)


def window(number, rng):
    parts = []
    for layer in LAYERS:
        fired = rng.integers(0, 9, layer.units) * (np.arange(layer.units) > 0)
        activity = UnitActivity(8, 8, fired, fired * 0.5, fired * 0.5, 8, fired * 0.01)
        parts.append(LayerWindow(activity, Moments.of(0.5), Moments.of(0.01)))
    weight = WeightWindow(Moments.of(0.5), Moments.of(0.01), Moments.of(2.0))
    steps = (10 * number + 1, 10 * number + 10)
    return Window(*steps, 1, Moments.of(2.0 / (number + 1)), 0.1, tuple(parts), (weight,))


def write(path, kind):
    """Write a small run with something in every table."""
    rng = np.random.default_rng(0)
    windows = [window(number, rng) for number in range(8)]
    writer = RunWriter(path)
    result = {"metric": "accuracy", "score": 0.9, "interval": [0.8, 0.95], "rows": 100}
    given = result if kind == "fit" else {"notes": []}
    writer.update_info(
        RunInfo(kind, "finished", {"lr": 0.1}, {"name": "d"}, {"python": "3"}, given,
                {"measured_share": 0.01, "budget": 0.01, "period": 4})
    )  # fmt: skip
    writer.set_layers(LAYERS)
    writer.add_weights(["fc1.weight"])
    lives = [Lifetimes.unseen(layer.units) for layer in LAYERS]
    for each in windows:
        lives = [
            life.after(each.first_step, part.activity.fired, part.activity.rows)
            for life, part in zip(lives, each.layers, strict=True)
        ]
        writer.write_window(each, lives)
    writer.write_deaths([Deaths.unseen(layer.units) for layer in LAYERS])
    writer.write_facts(FACTS)
    losses = np.linspace(2, 0.2, 40)
    counts = np.zeros(40, np.int64)
    writer.write_curve(Curve(2, losses, losses, losses, np.full(40, 0.1), counts))
    writer.add_scores([Score(40, "evaluation", 50, 0.5, 0.8), Score(80, "training", 50, 0.4, 0.9)])
    writer.write_metrics([Metric("accuracy", 40, 0.8), Metric("accuracy", 80, 0.9)])
    writer.write_unobserved({("relu", "a.py:1"): 3})
    writer.write_remedy(AppliedRemedy(step=40, action="lower_rate", plan={"rate": 0.1}, gain=0.1))
    if kind == "fit":
        writer.write_epoch(Epoch(1, 80, 0.5, 0.6, 0.8, 0.1, 12, 13))
        writer.write_losses(1, {"total": 0.5})
        writer.write_examination([each.activity for each in windows[-1].layers], held_out_rows=4)
    writer.close()


@pytest.fixture(scope="module", params=["watch", "fit"])
def whole(request, tmp_path_factory):
    """The bytes of a run file."""
    path = tmp_path_factory.mktemp("whole") / "run.sqlite"
    write(path, request.param)
    return Whole(path.read_bytes())


class Whole(bytes):
    """Bytes that are not written out where a test tells what it was given."""

    def __repr__(self):
        return f"{len(self)} bytes"


def try_readers(folder):
    """Have everything read a folder's run; only our own errors may come out of it."""
    found = find_runs(folder)
    for with_findings in (False, True):
        listed = list(list_runs(folder, found, with_findings=with_findings))
        json.dumps(listing_json(folder, listed, len(found)), allow_nan=False)
        assert all(each.status for each in listed)
        assert all("\n" not in each.fault for each in listed)
    for files in found:
        leavings(files, models=False)
    with suppress(RelumeError):
        try_run(read_run(folder))


def try_run(run):
    diagnosis = diagnose(run)
    json.dumps(diagnosis.to_json(run), allow_nan=False)
    build_document(run, diagnosis).to_json()
    json.dumps(compare_runs(run, run).to_json(), allow_nan=False)
    contents = contents_of(run)
    json.dumps(described(contents), allow_nan=False)
    assert sum(1 for _ in points(run)) >= 0
    assert sum(1 for _ in histograms(run)) >= 0


def try_commands(folder):
    """Type the commands; a fault of ours would end with 1."""
    place = str(folder)
    for arguments in (
        ["report", place], ["report", place, "--png"], ["diagnose", place, "--json"],
        ["diff", place, place], ["ls", place], ["clean", place, "--keep", "0"],
        ["export", place, "--to", "json", "--overwrite"],
        ["export", place, "--to", "parquet", "--overwrite"],
    ):  # fmt: skip
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = relume(arguments)
        assert code in {0, 2}, (arguments, err.getvalue())
        assert err.getvalue().count("\n") == (code == 2)


DAMAGE = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1)),
    st.tuples(
        st.just("flip"), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12)
    ),
    st.tuples(st.just("fill"), st.tuples(st.floats(0, 1), st.integers(1, 5000), st.booleans())),
)


def damaged(data, damage):
    how, what = damage
    if how == "cut":
        return data[: int(what * len(data))]
    spoilt = bytearray(data)
    if how == "flip":
        for place, value in what:
            spoilt[min(len(data) - 1, int(place * len(data)))] = value
    else:
        place, length, is_zero = what
        start = int(place * len(data))
        length = min(length, len(data) - start)
        spoilt[start : start + length] = (b"\0" if is_zero else b"\xff") * length
    return bytes(spoilt)


@SETTINGS
@given(damage=DAMAGE)
def test_bytes_that_are_others(whole, damage):
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "run.sqlite").write_bytes(damaged(whole, damage))
        try_readers(Path(name))


VALUES = st.sampled_from(
    [None, -1, 0, 1, 2**31, -(2**63), 2**63 - 1, 0.5, 1e308, "", "x", "[]", "{}", "null", "nan",
     "5", "\x1b[2J\n", "\ud7ff", '"text"', "[1, [2]]", '{"a": {"b": []}}', "1" * 5000, "[" * 20_000,
     '{"score": "high", "interval": 5, "targets": [1, {"score": []}]}',
     '{"notes": 5, "name": {"x": 1}, "classes": 7, "rows": "many", "fingerprint": []}',
     '{"measured_share": "much", "period": [], "budget": {}}',
     '{"best_epoch": "first", "network": 5, "stopped": [], "baselines": [5, {"score": 1}]}',
     '{"spread": 5, "phase": "sleeping", "name": 5, "shape": "wide", "values": [1]}',
     '{"name": "x", "phase": "training", "shape": [null, "a", {}], "rows": "9", "values": {}}',
     '{"function": 5, "phase": "training", "head": 5, "class_counts": ["a", null]}',
     b"", b"\0" * 40, b"\xff" * 500]
)  # fmt: skip
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "delete", "drop", "version"]),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        VALUES,
    ),
    min_size=1,
    max_size=3,
)


def edit(connection, change):
    """Set a cell, delete a row, drop a table or pretend another version."""
    what, table_number, row_number, column_number, value = change
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master "
              "WHERE type = 'table' ORDER BY name")]  # fmt: skip
    table = tables[table_number % len(tables)]
    if what == "version":
        connection.execute(f"PRAGMA user_version = {row_number % 6}")
    elif what == "drop":
        connection.execute(f"DROP TABLE {table}")
    else:
        columns = list(connection.execute(f"PRAGMA table_info({table})"))
        keys = [column[1] for column in columns if column[5]] or [columns[0][1]]
        select = f"SELECT {', '.join(keys)} FROM {table}"  # noqa: S608
        rows = connection.execute(select).fetchall()
        if not rows:
            return
        where = " AND ".join(f"{key} IS ?" for key in keys)
        row = rows[row_number % len(rows)]
        if what == "delete":
            connection.execute(f"DELETE FROM {table} WHERE {where}", row)  # noqa: S608
        else:
            name = columns[column_number % len(columns)][1]
            change_it = f"UPDATE OR IGNORE {table} SET {name} = ? WHERE {where}"  # noqa: S608
            connection.execute(change_it, (value, *row))


def edited(folder, data, changes):
    (folder / "run.sqlite").write_bytes(data)
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as connection:
        for change in changes:
            try:
                edit(connection, change)
            except sqlite3.DatabaseError:
                continue  # what SQLite itself refuses cannot be in a file


@settings(SETTINGS, max_examples=90)
@given(changes=EDITS)
def test_tables_that_hold_other_things(whole, changes):
    with tempfile.TemporaryDirectory() as name:
        edited(Path(name), whole, changes)
        try_readers(Path(name))


@settings(SETTINGS, max_examples=3)
@given(changes=EDITS)
def test_commands_on_tables_that_hold_other_things(whole, changes):
    with tempfile.TemporaryDirectory() as name:
        edited(Path(name), whole, changes)
        try_commands(Path(name))


@pytest.mark.parametrize("make", ["empty", "folder", "foreign", "text"])
def test_what_is_no_run_file_at_all(make, tmp_path):
    path = tmp_path / "run.sqlite"
    if make == "folder":
        path.mkdir()
    elif make == "foreign":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE info (key, value)")
            connection.execute(f"PRAGMA application_id = {0x52454C55}")
            connection.execute("PRAGMA user_version = 4")
    else:
        path.write_text("" if make == "empty" else "step,loss\n1,2\n")
    try_readers(tmp_path)
    try_commands(tmp_path)


def test_a_whole_file_passes_everything(whole, tmp_path):
    """So that the tests above do not pass because nothing is ever read."""
    (tmp_path / "run.sqlite").write_bytes(whole)
    (listed,) = list_runs(tmp_path, find_runs(tmp_path), with_findings=True)
    assert not listed.fault
    run = read_run(tmp_path)
    assert len(run.facts) == len(FACTS)
    assert run.remedies
    assert run.scores
    try_run(run)
    try_commands(tmp_path)
