"""Run files of version 1, laid by hand as Relume 0.1.0 did, are read and gone on with."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from relume.runs import schema
from relume.runs.query import read_run
from relume.runs.records import Layer, LayerWindow, Lifetimes, Metric, Moments, UnitActivity, Window
from relume.runs.store import RunWriter

VERSION_1 = """
CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layers (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, activation TEXT NOT NULL,
    units INTEGER NOT NULL, can_die INTEGER NOT NULL, owner TEXT
);
CREATE TABLE windows (
    first_step INTEGER PRIMARY KEY, last_step INTEGER NOT NULL, armed_steps INTEGER NOT NULL,
    loss BLOB NOT NULL, learning_rate REAL
);
CREATE TABLE layer_windows (
    first_step INTEGER NOT NULL, layer INTEGER NOT NULL,
    rows INTEGER NOT NULL, positions INTEGER NOT NULL, gradient_positions INTEGER NOT NULL,
    units BLOB NOT NULL, gradient_norm BLOB NOT NULL, update_ratio BLOB NOT NULL,
    PRIMARY KEY (first_step, layer)
) WITHOUT ROWID;
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY, step INTEGER NOT NULL, train_loss REAL, validation_loss REAL,
    validation_score REAL, learning_rate REAL, units_alive INTEGER NOT NULL, units INTEGER NOT NULL
);
CREATE TABLE lifetimes (layer INTEGER PRIMARY KEY, units BLOB NOT NULL);
CREATE TABLE examination (
    layer INTEGER PRIMARY KEY, rows INTEGER NOT NULL, positions INTEGER NOT NULL,
    gradient_positions INTEGER NOT NULL, units BLOB NOT NULL, held_out_rows INTEGER NOT NULL
);
PRAGMA application_id = 1380273237;
PRAGMA user_version = 1;
INSERT INTO info VALUES ('kind', '"fit"'), ('status', '"interrupted"');
INSERT INTO layers VALUES (0, 'hidden.0', 'relu', 2, 1, 'linear.0');
INSERT INTO epochs VALUES (1, 10, 0.5, 0.25, 0.75, 0.1, 2, 2);
"""


@pytest.fixture(params=[False, True], ids=["plain", "with named losses"])
def old_file(request, tmp_path):
    path = tmp_path / "run.sqlite"
    fired = schema.pack_arrays(np.array([3, 0]), *(np.ones(2, np.float32),) * 3)
    loss = schema.pack_moments(Moments.of(0.5))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
        connection.execute("INSERT INTO windows VALUES (1, 10, 2, ?, 0.1)", (loss,))
        row = (1, 0, 4, 4, 4, fired, loss, schema.pack_moments(Moments.of(0.01)))
        connection.execute("INSERT INTO layer_windows VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        if request.param:
            connection.execute(
                "CREATE TABLE losses (epoch INTEGER NOT NULL, name TEXT NOT NULL, mean REAL,"
                " PRIMARY KEY (epoch, name)) WITHOUT ROWID"
            )
            connection.execute("INSERT INTO losses VALUES (1, 'critic', 0.5)")
        connection.commit()
    return path


def test_a_file_of_version_1_is_read_and_left_as_it_was(old_file):
    before = old_file.read_bytes()
    run = read_run(old_file)
    assert run.info.status == "interrupted"
    assert run.layers == (Layer("hidden.0", "relu", 2, True, "linear.0", None, False),)
    (window,) = run.windows
    assert window.layers[0].activity.fired.tolist() == [3, 0]
    assert window.layers[0].update_ratio == Moments.of(0.01)
    assert window.layers[0].slope == Moments()
    assert run.epochs[0].validation_score == 0.75
    assert run.losses in ({}, {1: {"critic": 0.5}})
    assert (run.deaths, run.metrics, run.unobserved, run.shards) == ((), (), (), 1)
    assert old_file.read_bytes() == before


def test_a_file_of_version_1_is_gone_on_with_in_the_present_one(old_file):
    losses = read_run(old_file).losses
    with closing(RunWriter(old_file, resume_after=10)) as writer:
        seen = LayerWindow(UnitActivity.zero(2), slope=Moments.of(0.25))
        window = Window(11, 20, 1, Moments(), 0.1, (seen,))
        writer.write_window(window, [Lifetimes.unseen(2)])
        writer.write_metrics([Metric("score", 12, 0.5)])
        writer.update_info(overhead={"budget": 0.01})
    with closing(sqlite3.connect(old_file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)
        rows = connection.execute("SELECT value FROM info WHERE key = 'overhead'").fetchone()
        assert json.loads(rows[0]) == {"budget": 0.01}
    run = read_run(old_file)
    assert [each.layers[0].slope for each in run.windows] == [Moments(), Moments.of(0.25)]
    assert run.windows[0].layers[0].activity.fired.tolist() == [3, 0]
    assert run.metrics == (Metric("score", 12, 0.5),)
    assert run.losses == losses
