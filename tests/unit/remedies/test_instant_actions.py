"""Actions of one instant, each against what it promises."""

import pytest
import torch
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.errors import SettingsError
from relume.remedies import application
from relume.remedies.actions import get_action
from relume.remedies.patient import Patient, Sample
from relume.remedies.plan import Plan
from relume.remedies.snapshot import Snapshot


def found(code, where=None):
    return Finding(code=code, severity=Severity.ERROR, message="", where=where)


def test_equal_units_differ_after_noise_and_then_train_apart():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.weight, 0.1)
        nn.init.zeros_(layer.bias)
    patient = Patient(model)
    plan = get_action("break_symmetry").plan(found(Code.IDENTICAL_UNITS, "0.weight"), patient)
    application.apply(plan, patient)
    assert len(torch.unique(model[0].weight, dim=0)) == 4
    assert (
        get_action("break_symmetry").plan(found(Code.IDENTICAL_UNITS, "0.weight"), patient) is None
    )


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=20),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
        lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0),
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [torch.optim.lr_scheduler.LinearLR(o), torch.optim.lr_scheduler.ExponentialLR(o, 0.9)],
            [2],
        ),
    ],
)
def test_schedules_move_the_new_group_as_the_old_one(schedule):
    model = nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), 0.1, weight_decay=0.5)
    scheduler = schedule(optimizer)
    patient = Patient(model, (optimizer,), (scheduler,))
    application.apply(Plan("exclude_from_decay"), patient)
    first, second = optimizer.param_groups
    assert (first["weight_decay"], second["weight_decay"]) == (0.5, 0.0)
    assert {p.ndim for p in first["params"]} == {2}
    assert len(second["params"]) == 3
    for _ in range(6):
        model(torch.randn(4, 3)).sum().backward()
        optimizer.step()
        plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
        scheduler.step(*((1.0,) if plateau else ()))
        assert first["lr"] == second["lr"]


def test_slopes_that_are_excluded_decay_no_more():
    model = nn.PReLU()
    optimizer = torch.optim.AdamW(model.parameters(), 0.1, weight_decay=0.5)
    application.apply(Plan("exclude_from_decay"), Patient(model, (optimizer,)))
    model.weight.grad = torch.zeros(1)
    optimizer.step()
    assert model.weight.item() == 0.25
    plan = get_action("exclude_from_decay").plan(
        found(Code.DECAYED_SLOPES), Patient(model, (optimizer,))
    )
    assert plan is None


@pytest.mark.parametrize(
    ("rows", "kind", "norm"), [(32, "batch", nn.BatchNorm1d), (4, "group", nn.GroupNorm)]
)
def test_a_norm_is_put_before_the_activation_and_is_trained(rows, kind, norm):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    patient = Patient(model, (optimizer,), sample=Sample((torch.randn(rows, 3),)))
    plan = get_action("insert_norm").plan(found(Code.VANISHING_GRADIENT, "1"), patient)
    assert plan.numbers["kind"] == kind
    names = list(model.state_dict())
    application.apply(plan, patient)
    assert isinstance(model[1][0], norm)
    assert type(model[1][1]) is nn.Tanh
    assert set(names) <= set(model.state_dict())
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in model.parameters()} == held
    assert get_action("insert_norm").plan(found(Code.VANISHING_GRADIENT, "1"), patient) is None


def test_a_batch_norm_begins_with_the_statistics_of_the_sample():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    x = torch.randn(20, 1, 5, 5)
    z = model[0](x).movedim(1, -1).reshape(-1, 2)
    application.apply(
        Plan("insert_norm", "1", numbers={"kind": "batch"}), Patient(model, sample=Sample((x,)))
    )
    assert torch.allclose(model[1][0].running_mean, z.mean(0), atol=1e-5)
    assert torch.allclose(model[1][0].running_var, z.var(0), atol=1e-5)


def test_initialising_brings_the_scale_of_he_and_forgets_moments():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 3))
    nn.init.zeros_(model[0].weight)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(8, 400)).sum().backward()
    optimizer.step()
    patient = Patient(model, (optimizer,))
    application.apply(Plan("initialise", numbers={"scheme": "he", "seed": 1}), patient)
    assert model[0].weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert model[0].weight not in optimizer.state


def test_lsuv_gives_unit_variance_on_the_sample_and_needs_one():
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))
    x = torch.randn(200, 20) * 7
    plan = Plan("initialise", numbers={"scheme": "lsuv", "seed": 1})
    application.apply(plan, Patient(model, sample=Sample((x,))))
    assert model(x).var().item() == pytest.approx(1, abs=0.06)
    with pytest.raises(SettingsError, match="lsuv needs a batch"):
        application.apply(plan, Patient(model))


def test_recurrences_start_as_the_identity():
    model = nn.RNN(3, 4, nonlinearity="relu")
    patient = Patient(model)
    plan = get_action("initialise").plan(found(Code.RECURRENT_GROWTH), patient)
    application.apply(plan, patient)
    assert torch.equal(model.weight_hh_l0, torch.eye(4))


def test_a_started_training_is_not_initialised():
    patient = Patient(nn.Linear(2, 2), step=1)
    assert get_action("initialise").plan(found(Code.DEAD_AT_START), patient) is None


def test_a_way_back_leads_to_the_last_good_state():
    model = nn.Linear(2, 2)
    patient = Patient(model, step=3)
    patient.good = Snapshot(patient)
    good = model.weight.detach().clone()
    nn.init.zeros_(model.weight)
    patient.step = 9
    action = get_action("roll_back")
    plan = action.plan(found(Code.DIVERGING), patient)
    application.apply(plan, patient)
    assert torch.equal(model.weight, good)
    assert patient.step == 3
    assert action.plan(found(Code.DIVERGING), patient) is None


def test_slopes_of_a_new_activation_are_trained():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    plan = Plan("swap_activation", "1", numbers={"activation": "prelu"})
    application.apply(plan, Patient(model, (optimizer,)))
    assert any(p is model[1].weight for p in optimizer.param_groups[0]["params"])


def test_saturating_activations_become_relu():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2), nn.Tanh())
    patient = Patient(model)
    plan = get_action("swap_activation").plan(found(Code.VANISHING_GRADIENT), patient)
    application.apply(plan, patient)
    assert [type(model[1]), type(model[3])] == [nn.ReLU, nn.ReLU]
