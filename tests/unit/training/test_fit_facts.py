"""What a fit records for the rules, and what they say of it."""

import os
import signal

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import relume
import relume.training.fit as fit_module
from relume.diagnosis.codes import Code
from relume.diagnosis.engine import diagnose
from relume.diagnosis.finding import Severity
from relume.runs.facts import InputFacts, LossFacts, ModuleFacts, OptimizerFacts, Phase, WeightFacts
from relume.training.fit import Audience, fit
from relume.training.recording import Unrecorded


def rows(count=240, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 5)) * [1, 20, 3, 0.5, 1]
    label = np.where(x[:, 0] + x[:, 3] > 0, "yes", "no")
    return pl.DataFrame(x, schema=list("abcde")).with_columns(
        pl.Series("label", label), pl.Series("amount", 3 * x[:, 0] - x[:, 2])
    )


def graver(diagnosis):
    return [each.code for each in diagnosis.findings if each.severity != Severity.NOTE]


class Cut(Audience):
    """Stops a fit at a step, as Ctrl-C does."""

    def __init__(self, at):
        self.at = at

    def step(self, step, steps, loss):
        if step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit as in a process in which nothing was compiled: another test may have done so here."""
    folder = tmp_path_factory.mktemp("fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relume.observe.evaluations.is_anything_compiled", lambda: False)
        return fit(rows(), out=folder / "out", target="label", drop=("amount",), epochs=12, every=4)


def test_a_fit_has_what_the_rules_ask_for(fitted):
    run = fitted.run
    assert {type(fact) for fact in run.facts} >= {
        InputFacts, LossFacts, ModuleFacts, OptimizerFacts, WeightFacts,
    }  # fmt: skip
    training, scored = (
        next(fact for fact in run.of(LossFacts) if fact.phase == phase) for phase in Phase
    )
    assert (training.function, scored.function) == ("cross_entropy", "cross_entropy")
    assert (training.place, training.head_width, training.target_kind) == (None, 2, "classes")
    assert training.is_in_training_mode == 1
    assert scored.is_in_training_mode == 0
    evaluations = run.scores_of(Phase.EVALUATION)
    assert [score.step for score in evaluations] == [epoch.step for epoch in run.epochs]
    losses = [score.loss for score in evaluations]
    expected = [epoch.validation_loss for epoch in run.epochs]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    right = [score.right for score in evaluations]
    assert right == pytest.approx([epoch.validation_score for epoch in run.epochs])
    (optimizer,) = run.of(OptimizerFacts)
    assert (optimizer.kind, optimizer.updates) == ("AdamW", run.last_step)
    assert all(fact.is_optimised for fact in run.of(WeightFacts))
    phases = {fact.phase: fact.rows for fact in run.of(InputFacts)}
    assert phases[Phase.EVALUATION] > 0  # though means of the weights are what is scored
    assert np.isfinite(run.curve.losses).all()
    assert len(run.curve.losses) == run.last_step


def test_the_rules_judge_it(fitted):
    diagnosis = diagnose(fitted.run)
    assert not {each.code for each in diagnosis.not_judged} - {
        Code.STARVED_LAYER,
        Code.UPDATE_RATIO,
    }
    assert not graver(diagnosis)


def test_what_is_recorded_changes_no_weight(tmp_path, monkeypatch):
    given = {"target": "label", "drop": ("amount",), "epochs": 3, "every": 1}
    seen = fit(rows(), out=tmp_path / "seen", **given)
    monkeypatch.setattr(fit_module, "looking", lambda _: lambda _: False)
    unseen = fit(rows(), out=tmp_path / "unseen", **given)
    assert not any(fact.phase == Phase.TRAINING for fact in unseen.run.of(InputFacts))
    kept = [each.model.network.state_dict().values() for each in (seen, unseen)]
    assert all(torch.equal(a, b) for a, b in zip(*kept, strict=True))


def test_facts_outlive_an_interruption(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "CHECKPOINT_INTERVAL_S", 0.0)
    given = {"target": "label", "drop": ("amount",), "epochs": 9, "every": 2}
    table = rows()
    whole = fit(table, out=tmp_path / "whole", **given).run
    fit(table, out=tmp_path / "cut", audience=Cut(whole.epochs[4].step + 3), **given)
    resumed = fit(table, resume=tmp_path / "cut").run
    np.testing.assert_allclose(resumed.curve.losses, whole.curve.losses, rtol=1e-12)
    for kind, names in (
        (OptimizerFacts, ("updates",)),
        (WeightFacts, ("name", "armed_steps", "initial", "final", "identical_units")),
        (ModuleFacts, ("name", "training_steps", "order")),
    ):
        pairs = zip(whole.of(kind), resumed.of(kind), strict=True)
        for a, b in pairs:
            assert [getattr(a, name) for name in names] == [getattr(b, name) for name in names]
    first = [run.of(LossFacts)[0].first_loss for run in (whole, resumed)]
    assert first[0] == first[1]


def test_several_targets_have_their_own_losses(tmp_path):
    run = fit(rows(), out=tmp_path / "out", target="label,amount", epochs=4).run
    known = {(fact.place, fact.function, fact.phase) for fact in run.of(LossFacts)}
    assert known == {
        (name, function, phase)
        for name, function in (("label", "cross_entropy"), ("amount", "mse_loss"))
        for phase in Phase
    }


def test_weights_of_classes_are_told(tmp_path):
    table = rows()
    rare = table.filter(pl.col("label") == "yes").head(20)
    table = pl.concat([table.filter(pl.col("label") == "no"), rare])
    run = fit(table, out=tmp_path / "out", target="label", drop=("amount",), epochs=4).run
    assert all(fact.weighted for fact in run.of(LossFacts))


def test_a_mad_rate_is_found(tmp_path):
    mad = {"epochs": 15, "lr": 3.0, "repair": False}
    run = fit(rows(), out=tmp_path / "out", target="label", drop=("amount",), **mad).run
    assert Code.RATE_TOO_HIGH in graver(diagnose(run))


def test_a_dead_start_is_found(tmp_path, monkeypatch):
    built = fit_module.build_network

    def dead(*arguments):
        network = built(*arguments)
        biases = [p for n, p in network.named_parameters() if p.ndim == 1]
        nn.init.constant_(biases[0], -1e4)
        return network

    monkeypatch.setattr(fit_module, "build_network", dead)
    run = fit(rows(), out=tmp_path / "out", target="label", drop=("amount",), epochs=5).run
    found = set(graver(diagnose(run)))
    assert found & {Code.DEAD_AT_START, Code.DEAD_LAYER}


def own(step, tmp_path, **given):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 4, generator=generator)
    y = (x[:, 0] > 0).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    return relume.fit(
        model, (x, y), step=step, out=tmp_path / "own", epochs=15, batch_size=16, **given
    ).run


def test_a_step_of_ones_own_is_judged_too(tmp_path):
    def step(model, batch):
        return cross_entropy(model(batch[0]), batch[1])

    run = own(step, tmp_path)
    (loss,) = run.of(LossFacts)
    assert (loss.function, loss.phase) == ("cross_entropy", Phase.TRAINING)
    assert loss.place.startswith("test_fit_facts.py:")
    assert run.of(OptimizerFacts)[0].updates == run.last_step
    assert not graver(diagnose(run))


def test_a_fault_in_a_step_of_ones_own_is_found(tmp_path):
    def step(model, batch):
        return cross_entropy(model(batch[0]).softmax(1), batch[1])

    assert Code.SOFTMAX_TWICE in [each.code for each in diagnose(own(step, tmp_path)).findings]


def test_nothing_is_asked_of_a_training_without_a_record():
    nothing, model = Unrecorded(), nn.Linear(1, 1)
    nothing.before_backward(torch.zeros(()))
    nothing.before_update(torch.optim.SGD(model.parameters()))
    with nothing.scoring(model):
        pass
    assert (nothing.units, nothing.units_alive) == (0, 0)
