"""Sequences as a person gives them: an npz file, from fit to predict."""

import json
import os
import runpy
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from relume.cli import run
from relume.errors import DataError, SettingsError
from relume.runs.query import read_run
from relume.training.fit import Audience, fit
from relume.training.model_folder import load_model
from relume.training.predict import predict
from tests.integration.command_line import relume

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "adding_problem.py"))
ADDING = EXAMPLE["adding_problem"]
X, Y = ADDING(900, 20, seed=0)
RNG = np.random.default_rng(0)
ROWS, STEPS = 300, 9
VALUES = RNG.normal(size=(ROWS, STEPS, 2))
LENGTHS = RNG.integers(1, STEPS + 1, ROWS)
LAST = VALUES[np.arange(ROWS), LENGTHS - 1, 0]
LABELS = np.where(LAST > 0, "up", "down")
PADDING = np.arange(STEPS) >= LENGTHS[:, None]


def test_the_adding_problem_of_the_example_is_learned():
    """Over 60 steps; benchmarks/adding_problem.py holds it against tanh over 100."""
    found = EXAMPLE["compare"](train=3_000, test=500, steps=60, epochs=14, hidden=[48])
    assert found["relu"]["mse"] < 0.02


def test_a_file_of_sequences_as_a_person_types_it(tmp_path):
    np.savez(tmp_path / "adding.npz", x=X, y=Y)
    quick = ["--epochs", 6, "--threads", 1, "--hidden", "16,16", "--batch-size", 16]
    done = relume("fit", "adding.npz", *quick, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second, *notes = done.stderr.splitlines()
    assert first.startswith("adding.npz: a value of 'y' from sequences of 20 steps of 2 features")
    assert second.startswith(
        "rnn 16, 16 with relu, identity initialisation, gradients clipped to norm 1: "
    )
    assert any("was read as sequences of 20 steps of 2 features" in note for note in notes)
    assert "note: network rnn: the data are sequences; --network names another" in notes
    assert "ridge regression" in done.stdout
    record = read_run(tmp_path / "out/run.sqlite").info
    assert (record.settings["init"], record.settings["clip"]) == ("identity", 1.0)
    done = relume("predict", "out", "adding.npz", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    predicted = pl.read_csv(tmp_path / told["predictions"])["prediction"].to_numpy()
    assert told["score"] == pytest.approx(1 - ((predicted - Y) ** 2).mean() / Y.var())
    report = json.loads(relume("report", "out", "--json", cwd=tmp_path).stdout)
    assert "R²" in report["headline"]
    assert "recurrent" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("network", "widths"), [("rnn", [16]), ("transformer", [8]), ("mlp", [9])])
def test_padding_changes_nothing_in_any_network(tmp_path, network, widths):
    found = []
    for noise in (0.0, np.nan):
        values = np.where(PADDING[:, :, None], noise, VALUES)
        data = tmp_path / "a.npz"
        np.savez(data, sequences=values, labels=LABELS, lengths=LENGTHS)
        options = {"network": network, "hidden": widths, "epochs": 2, "threads": 1}
        fit(data, out=tmp_path / "out", overwrite=True, **options)
        found.append(
            (load_file(tmp_path / "out/model/weights.safetensors"), predict(tmp_path / "out", data))
        )
    (one, first), (two, second) = found
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert first.frame.equals(second.frame)
    assert load_model(tmp_path / "out").network_name == network
    np.savez(tmp_path / "cut.npz", sequences=VALUES[LENGTHS == 4, :4])
    cut = predict(tmp_path / "out", tmp_path / "cut.npz")
    assert cut.score is None
    whole = first.frame.filter(pl.Series(LENGTHS == 4))
    np.testing.assert_allclose(cut.frame["probability"], whole["probability"], rtol=1e-4)


def test_a_recurrent_network_finds_the_last_step_that_is_there(tmp_path):
    data = tmp_path / "a.npz"
    np.savez(data, sequences=VALUES, labels=LABELS, lengths=LENGTHS)
    result = fit(data, out=tmp_path / "out", hidden=[16], epochs=12, lr=0.01, threads=1)
    linear = result.verdict.comparisons[1].score.value
    assert result.verdict.score.value > max(0.85, linear + 0.05)


class Stop(Audience):
    """Interrupts a fit after some epochs, as a signal would."""

    def epoch(self, epoch):
        if epoch.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_fit_resumes_to_the_same_weights_on_the_same_sequences_only(tmp_path):
    np.savez(tmp_path / "a.npz", sequences=VALUES, labels=LABELS, lengths=LENGTHS)
    options = {"epochs": 4, "hidden": [8], "threads": 1}
    fit(tmp_path / "a.npz", out=tmp_path / "whole", **options)
    cut = fit(tmp_path / "a.npz", out=tmp_path / "cut", audience=Stop(), **options)
    assert cut.status == "interrupted"
    np.savez(tmp_path / "b.npz", sequences=VALUES + 1, labels=LABELS, lengths=LENGTHS)
    with pytest.raises(SettingsError, match="is not the data that this training was started on"):
        fit(tmp_path / "b.npz", resume=tmp_path / "cut")
    fit(resume=tmp_path / "cut")
    whole, again = (
        load_file(tmp_path / name / "model/weights.safetensors") for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_bad_sequences_and_networks_that_do_not_fit_give_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    holes = X.copy()
    holes[7, 3, 1] = np.nan
    np.savez("holes.npz", sequences=holes, values=Y)
    np.savez("good.npz", sequences=X, values=Y)
    np.savez("pictures.npz", x=RNG.random((40, 16, 16)), y=np.arange(40) % 2)
    for command, words in (
        (["holes.npz"], "row 8 of 900 is nan in step 4, feature 2"),
        (
            ["wine", "--network", "rnn"],
            "--network rnn wants sequences or texts; wine is a table: use mlp",
        ),
        (["good.npz", "--network", "cnn"], "was read as sequences: use rnn or mlp"),
        (["pictures.npz", "--network", "rnn"], "name its array sequences if it holds such"),
        (["good.npz", "--hidden", "64,32"], "one width; for 2 layers give 64,64"),
        (["good.npz", "--norm", "batch"], "--norm is not for rnn"),
        (["good.npz", "--init", "identiy"], "did you mean identity?"),
        (["good.npz", "--clip=-1"], "clip must be at least 0"),
        (["good.npz", "--network", "transformer", "--hidden", "30"], "multiple of attention_heads"),
    ):
        assert run(["fit", *command, "--out", "out"]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert words in lines[0]
        assert not (tmp_path / "out").exists()


def test_a_model_of_sequences_refuses_what_is_none_and_reads_its_own_test_part(tmp_path):
    np.savez(tmp_path / "a.npz", sequences=VALUES, labels=LABELS)
    fit(tmp_path / "a.npz", out=tmp_path / "out", epochs=1, hidden=[4], threads=1)
    np.savez(tmp_path / "narrow.npz", sequences=VALUES[:, :, :1])
    np.savez(tmp_path / "strange.npz", x=VALUES[:9], y=["emu"] * 9)
    parts = {"x_train": VALUES, "y_train": LABELS, "x_test": VALUES[:5], "y_test": LABELS[:5]}
    np.savez(tmp_path / "parts.npz", **parts)
    for data, words in (
        ("iris", "are read from an .npz file; got 'iris'"),
        (pl.DataFrame({"a": [1]}), "got a table"),
        (tmp_path / "narrow.npz", "of 1 feature; sequences of 9 steps of 2 features are needed"),
    ):
        with pytest.raises(DataError, match=words):
            predict(tmp_path / "out", data)
    strange = predict(tmp_path / "out", tmp_path / "strange.npz")
    assert "9 rows have a class that the model never saw" in strange.notes[0]
    own = predict(tmp_path / "out", tmp_path / "parts.npz")
    assert "predicted is the own test part of parts.npz, 5 sequences" in own.notes
    assert own.rows_scored == 5


def test_another_target_array_is_not_scored_as_this_one(tmp_path):
    np.savez(tmp_path / "a.npz", sequences=VALUES, labels=LABELS)
    fit(tmp_path / "a.npz", out=tmp_path / "out", epochs=1, hidden=[4], threads=1)
    np.savez(tmp_path / "b.npz", sequences=VALUES, values=VALUES[:, 0, 0])
    other = predict(tmp_path / "out", tmp_path / "b.npz")
    assert other.score is None
    assert "not scored: the file holds values, no labels" in other.notes
