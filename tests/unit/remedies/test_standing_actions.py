"""Actions that go on over steps: what they do to an update, how they end, what is delivered."""

import copy
import math

import pytest
import torch
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.remedies import application
from relume.remedies.actions import get_action
from relume.remedies.patient import Patient, Sample
from relume.remedies.plan import Plan


def patient_of(model, x, rate=0.1):
    optimizer = torch.optim.SGD(model.parameters(), rate)
    return Patient(model, (optimizer,), sample=Sample((x,)))


def update(patient, x, y):
    patient.optimizers[0].zero_grad()
    loss = (patient.model(x) - y).square().mean()
    loss.backward()
    patient.before_update()
    patient.optimizers[0].step()
    patient.after_update()
    return loss.item()


def dead_network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    nn.init.constant_(model[0].bias, -5.0)
    return model, torch.randn(32, 3), torch.randn(32, 1)


def test_a_leak_lets_dead_units_learn_and_closes_on_plain_relu():
    model, x, y = dead_network()
    relu = model[1]
    patient = patient_of(model, x)
    application.apply(Plan("leak", "1", numbers={"slope": 0.4, "steps": 4}), patient)
    before = model[0].weight.detach().clone()
    slopes = []
    for _ in range(4):
        slopes.append(model[1].slope)
        update(patient, x, y)
    assert slopes == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert not torch.equal(model[0].weight, before)
    assert model[1] is relu
    assert patient.standings == []


def test_a_leak_is_scored_as_what_will_be_delivered():
    model, x, _ = dead_network()
    patient = patient_of(model, x)
    plain = model.eval()(x)
    application.apply(Plan("leak", None, numbers={"slope": 0.4, "steps": 4}), patient)
    assert torch.equal(model.eval()(x), plain)
    assert not torch.equal(model.train()(x), plain)
    patient.finish()
    assert type(model[1]) is nn.ReLU


def test_noise_in_the_gate_reaches_silent_units_and_leaves_outputs_alone():
    model, x, y = dead_network()
    patient = patient_of(model, x)
    plain = model(x)
    numbers = {"noise": 20.0, "steps": 2, "seed": 3}
    application.apply(Plan("noisy_gate", "1", numbers=numbers), patient)
    assert torch.equal(model(x), plain)
    before = model[0].weight.detach().clone()
    update(patient, x, y)
    assert not torch.equal(model[0].weight, before)
    update(patient, x, y)
    assert type(model[1]) is nn.ReLU


def test_the_gradient_of_a_noisy_gate_is_that_of_its_open_units():
    gate_plan = Plan("noisy_gate", None, numbers={"noise": 1.0, "steps": 9, "seed": 3})
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    patient = patient_of(model, torch.randn(4, 2))
    application.apply(gate_plan, patient)
    z = torch.randn(1000, 2, requires_grad=True)
    model[1](z).sum().backward()
    assert set(z.grad.unique().tolist()) == {0.0, 1.0}
    share = z.grad[(z > -0.1) & (z < 0.1)].mean()  # at zero the gate is open half of the time
    assert 0.3 < share < 0.7
    assert z.grad[z > 3].mean() > 0.99


def relus(seed, noise):
    """The setting of the paper: separable rows, hinge loss, outgoing weights fixed at 1 and -1."""
    torch.manual_seed(seed)
    x, w = torch.randn(100, 10), torch.randn(10)
    y = torch.sign(x @ w)
    x = x + 0.3 * y[:, None] * w / w.norm()
    model = nn.Sequential(nn.Linear(10, 2), nn.ReLU(), nn.Linear(2, 1, bias=False))
    nn.init.constant_(model[0].bias, -6.0)
    model[2].weight = nn.Parameter(torch.tensor([[1.0, -1.0]]), requires_grad=False)
    optimizer = torch.optim.SGD(model[0].parameters(), 0.1)
    patient = Patient(model, (optimizer,))
    if noise:
        numbers = {"noise": noise, "steps": 400, "seed": seed}
        application.apply(Plan("noisy_gate", "1", numbers=numbers), patient)
    for step in range(400):
        rows = torch.arange(step * 10, step * 10 + 10) % 100
        optimizer.zero_grad()
        torch.relu(1 - y[rows] * model(x[rows])[:, 0]).sum().backward()
        patient.before_update()
        optimizer.step()
        patient.after_update()
    return (torch.sign(model(x)[:, 0]) == y).float().mean().item()


@pytest.mark.parametrize("seed", [0, 1])
def test_relus_learns_from_a_dead_start_what_plain_relu_cannot(seed):
    assert relus(seed, 0.0) == 0.0
    assert relus(seed, 8.0) > 0.9


def test_updates_that_are_not_finite_are_skipped_whole():
    model, x, y = dead_network()
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    patient = Patient(model, (optimizer,))
    application.apply(Plan("skip_nonfinite", numbers={"most": 2}), patient)
    update(patient, x, y)
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    for _ in range(2):
        update(patient, x * math.nan, y)
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in before[0].items())
    moments = optimizer.state_dict()["state"]
    assert all(
        torch.equal(moments[key][name], value)
        for key, each in before[1]["state"].items()
        for name, value in each.items()
    )
    assert patient.standings[0].skipped == 2
    update(patient, x * math.nan, y)
    assert any(p.isnan().any() for p in model.parameters())


def test_a_network_whose_weights_are_broken_is_not_skipped_over():
    model, x, _ = dead_network()
    nn.init.constant_(model[0].weight, math.nan)
    finding = Finding(code=Code.NONFINITE_GRADIENT, severity=Severity.ERROR, message="")
    assert get_action("skip_nonfinite").plan(finding, patient_of(model, x)) is None


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_scaled_inputs_train_as_inputs_that_were_scaled_before(kind):
    torch.manual_seed(0)
    if kind == "dense":
        make = lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))  # noqa: E731
        x = torch.randn(64, 3) * torch.tensor([1.0, 50.0, 1e3]) + torch.tensor([0.0, 9.0, 1e3])
        ready = (x - x.mean(0)) / x.std(0, correction=0)
    else:
        make = lambda: nn.Sequential(  # noqa: E731
            nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4, 1)
        )
        x = torch.randn(64, 2, 4, 4) * 30 + 200
        ready = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), correction=0, keepdim=True)
    y = torch.randn(64, 1)
    model = make()
    twin = copy.deepcopy(model)
    patient, other = patient_of(model, x), patient_of(twin, ready)
    application.apply(Plan("scale_inputs", numbers={"centre": True}), patient)
    for _ in range(5):
        update(patient, x, y)
        update(other, ready, y)
    expected = twin(ready)
    assert torch.allclose(model(x), expected, atol=1e-4)
    patient.finish()
    assert not model[0]._forward_pre_hooks
    assert torch.allclose(model(x), expected, atol=2e-3)


def test_scaled_targets_train_as_targets_that_were_scaled_before():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    twin = copy.deepcopy(model)
    x, y = torch.randn(64, 3), 500 + 40 * torch.randn(64, 1)
    patient, other = patient_of(model, x), patient_of(twin, x)
    application.apply(Plan("scale_targets", numbers={"shift": 500.0, "scale": 40.0}), patient)
    for _ in range(10):
        update(patient, x, y)
        update(other, x, (y - 500) / 40)
    expected = twin(x) * 40 + 500
    assert torch.allclose(model(x), expected, atol=1e-2)
    patient.finish()
    assert torch.allclose(model(x), expected, atol=1e-2)
    assert not model[2]._forward_hooks


def test_inputs_that_no_layer_reads_directly_are_not_scaled():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    finding = Finding(code=Code.UNSCALED_INPUT, severity=Severity.ERROR, message="")
    assert (
        get_action("scale_inputs").plan(finding, patient_of(model, torch.randn(8, 3) * 9)) is None
    )


def test_where_a_layer_goes_on_is_plain_data():
    model, x, y = dead_network()
    patient = patient_of(model, x)
    plans = [
        Plan("leak", "1", numbers={"slope": 0.4, "steps": 8}),
        Plan("clip_gradients", numbers={"percentile": 50.0}),
        Plan("warm_up", numbers={"steps": 10}),
    ]
    for plan in plans:
        application.apply(plan, patient)
    for _ in range(3):
        update(patient, x, y)
    states = [each.state() for each in patient.standings]
    twin = patient_of(copy.deepcopy(model), x)
    twin.model[1] = nn.ReLU()
    for plan in plans:
        application.apply(plan, twin)
    for standing, state in zip(twin.standings, states, strict=True):
        standing.load(state)
    for _ in range(3):
        update(patient, x, y)
        update(twin, x, y)
    for one, other in zip(patient.model.parameters(), twin.model.parameters(), strict=True):
        assert torch.equal(one, other)
