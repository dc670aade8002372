"""What a training with a step of one's own repairs on its way, and when it leaves all alone."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import relume.training.repairs as repairs_module
from relume.diagnosis.codes import Code
from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Finding, Severity
from relume.errors import SettingsError
from relume.training.entry import fit
from relume.training.own_loop import Given
from relume.training.own_repair import OwnBench

LEARNED, EPOCHS = 900, 6
FAST = Finding(code=Code.RATE_TOO_HIGH, severity=Severity.WARNING, message="the rate is too high")


def rows(scale=1.0):
    x = torch.randn(1200, 8, generator=torch.Generator().manual_seed(0))
    return x * scale, (x[:, 0] * x[:, 1] + x[:, 2] > 0).long()


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2)
    )


def loss_of(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y)


def train(folder, data, step=loss_of, **options):
    x, y = data
    model = network()
    if "optimizer" in options:
        options["optimizer"] = options["optimizer"](model.parameters())
    learned = options.pop("learned", (x[:LEARNED], y[:LEARNED]))
    given = {"validation": (x[LEARNED:], y[LEARNED:]), "epochs": EPOCHS, "batch_size": 32}
    if not isinstance(learned, tuple):
        del given["batch_size"]
    return fit(model, learned, step=step, out=folder / "out", **given | options)


def accuracy(result, data):
    x, y = data
    return (result.model.eval()(x[LEARNED:]).argmax(1) == y[LEARNED:]).float().mean().item()


def same(one, other):
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.fixture
def found(monkeypatch):
    """Have the rules find a rate that is too high, whatever they are asked about."""
    monkeypatch.setattr(repairs_module, "diagnose", lambda _: Diagnosis((FAST,), (), {}))


@pytest.fixture
def futile(monkeypatch):
    """Let nothing that is tried be enough."""
    monkeypatch.setattr(repairs_module, "_is_enough", lambda _: False)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    data = rows(scale=1000.0)
    on, off = (
        train(tmp_path_factory.mktemp("own"), data, **options)
        for options in ({}, {"repair": False})
    )
    return data, on, off


def test_unscaled_inputs_are_repaired_to_a_plain_network(raw):
    _, on, off = raw
    assert 2 * on.run.epochs[-1].validation_loss < off.run.epochs[-1].validation_loss
    (kept,) = [each for each in on.run.remedies if each.is_kept]
    assert kept.action == "restart + scale_inputs"
    assert kept.gain >= kept.low > 0
    assert "batches" in kept.verdict
    ((story, *_),) = on.repairs[:1]
    assert story.startswith("found after step ")
    assert off.run.remedies == off.repairs == ()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in on.model)
    assert [type(module).__name__ for module in on.model] == [
        type(module).__name__ for module in network()
    ]


def test_what_is_saved_takes_the_inputs_as_they_came(raw):
    from safetensors.torch import load_file

    data, on, _ = raw
    fresh = network()
    fresh.load_state_dict(load_file(on.folder / "weights.safetensors"))
    best = on.run.epochs[on.run.info.result["best_epoch"] - 1]
    with torch.no_grad():
        loss = loss_of(fresh.eval(), [each[LEARNED:] for each in data]).item()
    assert loss == pytest.approx(best.validation_loss, rel=1e-3)


def test_a_mad_rate_is_repaired_whoever_made_the_optimizer(tmp_path):
    data = rows()
    mad = {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=10.0)}
    on, off = (train(tmp_path / str(r), data, repair=r, **mad) for r in (True, False))
    assert [each.action for each in on.run.remedies if each.is_kept] == ["restart + lower_rate"]
    assert accuracy(on, data) > accuracy(off, data) + 0.1
    assert on.run.epochs[-1].validation_loss < off.run.epochs[-1].validation_loss


@pytest.mark.parametrize("kind", ["rows", "loader"])
def test_a_healthy_training_is_bitwise_the_one_without(tmp_path, kind):
    data = rows()

    def learned():
        if kind == "rows":
            return data[0][:LEARNED], data[1][:LEARNED]
        generator = torch.Generator().manual_seed(3)
        return DataLoader(
            TensorDataset(data[0][:LEARNED], data[1][:LEARNED]), 32, shuffle=True,
            generator=generator,
        )  # fmt: skip

    on, off = (train(tmp_path / str(r), data, repair=r, learned=learned()) for r in (None, False))
    assert same(on, off)
    assert on.run.remedies == on.repairs == on.notes == ()


def test_what_is_tried_in_vain_leaves_weights_orders_and_schedules_as_they_were(
    tmp_path, found, futile
):
    data = rows()
    schedules = []

    def optimizer(parameters):
        made = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
        schedules.append(torch.optim.lr_scheduler.StepLR(made, 40, 0.5))
        return made

    def step(model, batch):
        if model.training and schedules[-1].optimizer.state:
            schedules[-1].step()
        return loss_of(model, batch)

    x, y = (each[:LEARNED] for each in data)
    loader = DataLoader(TensorDataset(x, y), 32, shuffle=True)
    on = train(tmp_path, data, step, optimizer=optimizer, learned=loader)
    assert len(on.run.remedies) >= 2
    assert not any(each.is_kept for each in on.run.remedies)
    off = train(tmp_path / "off", data, step, optimizer=optimizer, learned=loader, repair=False)
    assert same(on, off)
    assert schedules[0].last_epoch == schedules[1].last_epoch
    assert on.losses == off.losses


class Counting:
    """A step with a state of its own."""

    def __init__(self):
        self.calls = 0

    def __call__(self, model, batch):
        self.calls += 1
        return loss_of(model, batch) * (1 + 1e-3 * self.calls)


def test_a_step_that_does_not_do_the_same_twice_is_left_alone(tmp_path, found):
    result = train(tmp_path, rows(), Counting())
    assert result.run.remedies == ()
    (note,) = result.notes
    assert "the same steps from the same state came to something else" in note


class Odd(nn.Module):
    """A layer that cannot draw its weights anew."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.factor


@pytest.mark.parametrize(
    ("more", "usual_init", "is_drawn"),
    [((), False, False), ((), True, True), ((Odd(),), True, False)],
)
def test_a_fresh_start_is_the_first_one_unless_that_is_at_fault(more, usual_init, is_drawn):
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), *more)
    nn.init.zeros_(model[0].weight)
    bench = OwnBench(Given(model, model, None, loss_of), None, 1, None, None)
    with torch.no_grad():
        model[0].weight.fill_(7.0)  # learned
    weight = bench.fresh(1, usual_init=usual_init)["0.weight"]
    assert bool(weight.any()) is is_drawn
    assert (weight != 7.0).all()


def test_the_weights_with_the_least_validation_loss_are_kept(tmp_path):
    data = rows()
    result = train(tmp_path, data, epochs=12, lr=0.05)
    losses = [epoch.validation_loss for epoch in result.run.epochs]
    assert all(map(math.isfinite, losses))
    assert result.run.info.result["best_epoch"] == 1 + int(np.argmin(losses))
    with torch.no_grad():
        kept = loss_of(result.model.eval(), [each[LEARNED:] for each in data]).item()
    assert kept == pytest.approx(min(losses), rel=0.05)  # the mean over batches, not over rows
    assert result.score is None


def test_validation_draws_no_random_number(tmp_path):
    data = rows()
    loader = DataLoader(TensorDataset(data[0][LEARNED:], data[1][LEARNED:]), 50, shuffle=True)
    assert same(
        train(tmp_path / "a", data, epochs=1, validation=loader),
        train(tmp_path / "b", data, epochs=1, validation=None),
    )


def updating(model, batch):
    loss = loss_of(model, batch)
    torch.optim.SGD(model.parameters(), 0.1).step()
    return loss.item()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repair": 3}, "repair must be True or False; got 3"),
        ({"repair": True, "validation": None}, "repair=True needs validation="),
        ({"validation": iter(())}, "a generator can be read only once"),
        ({"step": updating}, "validation= needs a step that returns its loss"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, options, message):
    with pytest.raises(SettingsError, match=message):
        train(tmp_path, rows(), **options)
