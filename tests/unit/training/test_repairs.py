"""What a fit repairs on its way, and that it leaves alone what is well."""

import math
import os
import signal
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import relume.training.fit as fit_module
import relume.training.repairs as repairs_module
from relume.diagnosis.codes import Code
from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Finding, Severity
from relume.errors import SettingsError, SnapshotError
from relume.remedies.actions import revive_units
from relume.training import repair_bench
from relume.training.fit import Audience, fit

WELL = {"hidden": (16, 8), "epochs": 5, "batch_size": 32, "every": 5}
MAD = WELL | {"lr": 5.0, "batch_size": 16}
DEAD = Finding(
    code=Code.DEAD_UNITS,
    severity=Severity.WARNING,
    message="two units are dead",
    where="hidden.0.activation",
    units=(0, 3),
)


def rows(count=1200):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 5))
    label = np.where(x[:, 0] * x[:, 1] + x[:, 3] > 0, "yes", "no")
    return pl.DataFrame(x, schema=list("abcde")).with_columns(pl.Series("label", label))


def weights(result):
    return result.model.network.state_dict()


def same(one, other):
    mine, theirs = weights(one), weights(other)
    return all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    data = rows()

    def run(**options):
        if "resume" in options:
            return fit(data, **options)
        return fit(data, out=tmp_path_factory.mktemp("fit") / "out", target="label", **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "CHECKPOINT_INTERVAL_S", 0.0)
        yield run


@pytest.fixture(scope="module")
def untreated(train):
    return train(**WELL, repair=False)


@pytest.fixture(scope="module")
def repaired(train):
    return train(**MAD)


@pytest.fixture
def found(monkeypatch):
    """Have the rules find something whatever they are asked about."""

    def find(*findings):
        diagnosis = Diagnosis(findings, (), {})
        monkeypatch.setattr(repairs_module, "diagnose", lambda _: diagnosis)

    return find


class Cut(Audience):
    """Stops a fit as Ctrl-C does: at a step, or after an epoch, where repairs begin."""

    def __init__(self, *, step=None, epoch=None):
        self.at_step, self.at_epoch = step, epoch

    def step(self, step, steps, loss):
        if step == self.at_step:
            os.kill(os.getpid(), signal.SIGINT)

    def epoch(self, epoch):
        if epoch.epoch == self.at_epoch:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_healthy_fit_is_bitwise_the_one_without_repairs(train, untreated):
    on, off = train(**WELL), untreated
    assert same(on, off)
    assert on.run.remedies == ()
    assert on.model.result["repairs"] == []
    assert off.model.settings["repair"] is False


def test_where_nothing_is_better_all_goes_on_as_if_nothing_had_been_tried(
    train, untreated, found, monkeypatch
):
    found(DEAD)
    monkeypatch.setattr(repairs_module, "_is_enough", lambda _: False)
    on, off = train(**WELL), untreated
    assert same(on, off)
    tried = on.run.remedies
    assert [each.action for each in tried] == [
        "revive_units + lower_rate",
        "lower_rate",
        "clip_gradients + lower_rate",
        "restart + lower_rate",
    ]
    assert not any(each.is_kept for each in tried)
    assert [epoch.validation_loss for epoch in on.run.epochs] == [
        epoch.validation_loss for epoch in off.run.epochs
    ]
    assert on.run.scores == off.run.scores
    assert np.array_equal(on.run.curve.losses, off.run.curve.losses)


def test_a_mad_rate_is_repaired_and_told(train, repaired):
    on, off = repaired, train(**MAD, repair=False)
    kept = [each for each in on.run.remedies if each.is_kept]
    assert kept
    assert kept[0].gain >= kept[0].low > 0
    assert kept[0].evidence["severity"] in {"warning", "error"}
    assert on.run.epochs[-1].validation_loss < off.run.epochs[-1].validation_loss - 0.1
    ((found, tried, stayed),) = on.model.result["repairs"][:1]
    assert found.startswith("found after step ")
    assert tried.startswith("tried for 2 epochs each")
    assert stayed.startswith("kept: ")


def test_a_loss_that_is_no_number_is_repaired_in_place_of_ending_the_fit(train):
    result = train(**MAD | {"lr": 1e3})
    (kept,) = [each for each in result.run.remedies if each.is_kept]
    assert math.isinf(kept.gain)
    assert result.run.epochs[-1].validation_loss < 0.6


@pytest.mark.parametrize("cut", [{"epoch": 1}, {"step": 140}], ids=["in it", "after it"])
def test_a_resumed_fit_is_bitwise_the_uninterrupted_one_across_repairs(train, repaired, cut):
    assert any(each.is_kept for each in repaired.run.remedies)
    begun = train(**MAD, audience=Cut(**cut))
    assert begun.status == "interrupted"
    resumed = train(resume=begun.folder)
    assert same(repaired, resumed)
    assert [each.to_row() for each in resumed.run.remedies] == [
        each.to_row() for each in repaired.run.remedies
    ]


def test_faults_of_ours_leave_the_training_alone_and_a_note(train, untreated, found, monkeypatch):
    def failing(*_):
        raise RuntimeError("it broke")

    def full(_):
        raise SnapshotError("no room")

    found(DEAD)
    monkeypatch.setattr(repairs_module, "_is_enough", lambda _: False)
    broken = replace(revive_units.ACTION, apply=failing)
    original = repairs_module.get_action
    with monkeypatch.context() as patch:
        patch.setattr(
            repairs_module,
            "get_action",
            lambda name: broken if name == "revive_units" else original(name),
        )
        on = train(**WELL)
    assert same(on, untreated)
    assert len(on.run.remedies) == 3
    assert any("(revive_units + lower_rate): it broke" in note for note in on.notes)
    monkeypatch.setattr(repair_bench, "Snapshot", full)
    on = train(**WELL)
    assert same(on, untreated)
    assert any("no repair could be tried" in note and "no room" in note for note in on.notes)


def test_repair_is_yes_or_no(train):
    with pytest.raises(SettingsError, match="repair in the settings must be bool; got 3"):
        train(**WELL, repair=3)
