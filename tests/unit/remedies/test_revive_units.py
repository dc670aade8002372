"""A revival keeps the function, brings the units to life, and resets exactly their entries."""

import pytest
import torch
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.errors import SettingsError
from relume.remedies import application
from relume.remedies.actions import get_action
from relume.remedies.circuit import circuit_of
from relume.remedies.patient import Patient, Sample
from relume.remedies.plan import Plan

DEAD = (1, 3)


def dense():
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def normalised():
    return nn.Sequential(
        nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3)
    )


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 4, 3),
    )  # fmt: skip


def flattened():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6 * 9, 3)
    )


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(5, 6)
        self.left, self.right = nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, x):
        a = torch.relu(self.fc1(x))
        return self.left(a), self.right(a)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.act = nn.Linear(5, 5), nn.Linear(5, 2), nn.ReLU()

    def forward(self, x):
        return self.fc2(x + self.act(self.fc1(x)))


CASES = {
    "dense": (dense, (5,), "1"),
    "normalised": (normalised, (5,), "2"),
    "convolutional": (convolutional, (1, 8, 8), "2"),
    "flattened": (flattened, (1, 8, 8), "1"),
    "functional": (Functional, (5,), "relu(fc1)"),
}
each_case = pytest.mark.parametrize("case", CASES)


def kill(patient, where):
    """Units whose pre-activation is far below zero on every row, with or without a norm."""
    place = patient.find(where)
    with torch.no_grad():
        place.owner.bias[list(DEAD)] = -1e3
        for module in patient.model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.bias[list(DEAD)] = -1e3


def setting(case, steps=3):
    make, shape, where = CASES[case]
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    x = torch.randn(64, *shape)
    patient = Patient(model, (optimizer,), sample=Sample((x,)))
    kill(patient, where)
    for _ in range(steps):
        optimizer.zero_grad()
        out = model(x)
        (out if isinstance(out, torch.Tensor) else torch.cat(out, 1)).square().mean().backward()
        optimizer.step()
    kill(patient, where)
    finding = Finding(
        code=Code.DEAD_UNITS, severity=Severity.WARNING, message="", where=where, units=DEAD
    )
    return patient, finding


def outputs(patient, x=None):
    with torch.no_grad():
        out = patient.model(patient.sample.args[0] if x is None else x)
    return out if isinstance(out, torch.Tensor) else torch.cat(out, 1)


def firing(patient, where):
    """Shares of positions on which the units fire, by a hook of the test's own."""
    place = patient.find(where)
    seen = []
    module = place.activation or place.owner

    def note(_, __, output):
        seen.append(torch.relu(output))

    handle = module.register_forward_hook(note)
    outputs(patient)
    handle.remove()
    a = seen[0] if seen[0].ndim == 2 else seen[0].movedim(1, -1).flatten(0, -2)
    return (a > 0).double().mean(0)


@each_case
@pytest.mark.parametrize("mode", [True, False])
def test_the_function_is_the_same_and_the_units_fire(case, mode):
    patient, finding = setting(case)
    patient.model.train(mode)
    torch.manual_seed(1)  # of dropout
    before = outputs(patient)
    assert firing(patient, finding.where)[list(DEAD)].max() == 0
    plan = get_action("revive_units").plan(finding, patient)
    application.apply(plan, patient)
    torch.manual_seed(1)
    assert torch.allclose(outputs(patient), before, rtol=0, atol=1e-6)
    patient.model.eval()
    assert firing(patient, finding.where)[list(DEAD)].min() > 0.1
    assert patient.model.training is False


@each_case
def test_exactly_the_entries_of_the_units_change(case):
    patient, finding = setting(case)
    place = patient.find(finding.where)
    circuit = circuit_of(patient, place.owner)
    before = {n: p.detach().clone() for n, p in patient.model.named_parameters()}
    moments = {
        n: {k: v.clone() for k, v in patient.optimizers[0].state[p].items()}
        for n, p in patient.model.named_parameters()
    }
    application.apply(get_action("revive_units").plan(finding, patient), patient)
    masks = {id(r.layer.weight): r.mask(torch.tensor(DEAD)) for r in circuit.readers}
    fed = [place.owner, *([circuit.norm] if circuit.norm is not None else [])]
    rows = {id(p) for module in fed for p in module.parameters(recurse=False)}
    for name, parameter in patient.model.named_parameters():
        changed = torch.zeros(parameter.shape, dtype=torch.bool)
        if id(parameter) in masks:
            changed = masks[id(parameter)]
            assert (parameter[changed] == 0).all()
        if id(parameter) in rows:
            changed[list(DEAD)] = True
        assert torch.equal(parameter[~changed], before[name][~changed])
        state = patient.optimizers[0].state[parameter]
        for key, kept in moments[name].items():
            now = state[key]
            if now.shape != parameter.shape:
                assert torch.equal(now, kept)
                continue
            assert torch.equal(now[~changed], kept[~changed])
            if changed.any() and key == "exp_avg":
                assert (now[changed] == 0).all()
            if changed.any() and key == "exp_avg_sq":
                expected = kept[~changed].mean()
                assert torch.allclose(now[changed], expected.expand_as(now[changed]))


@each_case
def test_revived_units_learn(case):
    patient, finding = setting(case)
    application.apply(get_action("revive_units").plan(finding, patient), patient)
    owner = patient.find(finding.where).owner
    rows = owner.weight[list(DEAD)].detach().clone()
    y = torch.randn(64, outputs(patient).shape[1])
    patient.model.train()
    for _ in range(3):
        patient.optimizers[0].zero_grad()
        out = patient.model(patient.sample.args[0])
        out = out if isinstance(out, torch.Tensor) else torch.cat(out, 1)
        (out - y).square().mean().backward()
        patient.optimizers[0].step()
    assert (owner.weight[list(DEAD)] != rows).flatten(1).any(1).all()


def test_a_layer_without_a_live_unit_is_drawn_by_he_and_forgotten():
    patient, _ = setting("dense")
    where, units = "3", (0, 1, 2, 3)
    with torch.no_grad():
        patient.model[2].bias.fill_(-1e3)
    before = outputs(patient)
    application.apply(Plan("revive_units", where, units), patient)
    assert torch.allclose(outputs(patient), before, atol=1e-6, rtol=0)
    assert patient.model[2].weight not in patient.optimizers[0].state
    assert patient.model[4].weight not in patient.optimizers[0].state
    assert firing(patient, where).min() > 0.2


def test_units_that_are_added_to_others_are_left_alone():
    torch.manual_seed(0)
    model = Residual()
    patient = Patient(model, sample=Sample((torch.randn(8, 5),)))
    finding = Finding(
        code=Code.DEAD_UNITS, severity=Severity.WARNING, message="", where="act", units=(0,)
    )
    assert get_action("revive_units").plan(finding, patient) is None
    with pytest.raises(SettingsError, match="not read by layers alone"):
        application.apply(Plan("revive_units", "act", (0,)), patient)


def test_a_weight_that_is_used_twice_is_left_alone():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(4, 2))
    patient = Patient(model, sample=Sample((torch.randn(8, 4),)))
    assert circuit_of(patient, layer) is None


def test_units_that_go_out_of_the_network_are_left_alone():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    assert circuit_of(Patient(model, sample=Sample((torch.randn(8, 4),))), model[0]) is None


def test_lifted_biases_fire_on_the_share_that_was_asked_for():
    for case in ("dense", "normalised", "convolutional"):
        patient, finding = setting(case)
        patient.model.eval()
        before = firing(patient, finding.where)
        plan = get_action("lift_biases").plan(finding, patient)
        application.apply(plan, patient)
        after = firing(patient, finding.where)
        assert after[list(DEAD)].min() >= 0.1
        assert after[list(DEAD)].max() < 0.3
        others = [unit for unit in range(len(after)) if unit not in DEAD]
        assert torch.equal(after[others], before[others])
