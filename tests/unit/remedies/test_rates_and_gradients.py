"""What the actions on the rate and the gradients do to an update, against closed forms."""

import math

import pytest
import torch
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.remedies import application
from relume.remedies.actions import get_action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan


def one_weight(rate=1.0, **options):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    return Patient(layer, (torch.optim.SGD(layer.parameters(), rate, **options),))


def update(patient, gradient):
    """One update by a gradient; returns the change of the weight."""
    weight = patient.model.weight
    before = weight.item()
    weight.grad = torch.tensor([[gradient]])
    patient.before_update()
    patient.optimizers[0].step()
    patient.after_update()
    return weight.item() - before


def found(code, **evidence):
    return Finding(code=code, severity=Severity.ERROR, message="", evidence=evidence)


@pytest.mark.parametrize(("name", "factor"), [("lower_rate", 0.25), ("raise_rate", 4.0)])
def test_updates_are_made_at_a_multiple_of_whatever_rate_is_set(name, factor):
    patient = one_weight()
    application.apply(Plan(name, numbers={"factor": factor}), patient)
    assert update(patient, 1.0) == -factor
    patient.optimizers[0].param_groups[0]["lr"] = 0.5  # as a loop does, at every step
    assert update(patient, 1.0) == pytest.approx(-factor / 2)
    assert patient.optimizers[0].param_groups[0]["lr"] == 0.5


def test_factors_multiply():
    patient = one_weight()
    for factor in (0.5, 0.1):
        application.apply(Plan("lower_rate", numbers={"factor": factor}), patient)
    assert update(patient, 1.0) == pytest.approx(-0.05)
    assert patient.optimizers[0].param_groups[0]["lr"] == 1.0


def test_a_rate_that_is_a_tensor_stays_the_same_tensor():
    layer = nn.Linear(1, 1, bias=False)
    rate = torch.tensor(1.0)
    patient = Patient(layer, (torch.optim.Adam(layer.parameters(), rate),))
    application.apply(Plan("lower_rate", numbers={"factor": 0.5}), patient)
    assert update(patient, 1.0) == pytest.approx(-0.5, rel=1e-5)
    assert patient.optimizers[0].param_groups[0]["lr"] is rate
    assert rate.item() == 1.0


def test_a_warm_up_grows_in_equal_parts_and_then_is_over():
    patient = one_weight()
    application.apply(Plan("warm_up", numbers={"steps": 4}), patient)
    changes = [update(patient, 1.0) for _ in range(6)]
    assert changes == pytest.approx([-0.25, -0.5, -0.75, -1, -1, -1])
    assert patient.standings == []
    assert patient.step == 6


def test_the_size_of_updates_sets_the_factor():
    patient = one_weight()
    lower, higher = get_action("lower_rate"), get_action("raise_rate")
    large = found(Code.UPDATE_RATIO, update_ratio=0.05)
    small = found(Code.UPDATE_RATIO, update_ratio=2e-6)
    assert lower.plan(large, patient).numbers["factor"] == pytest.approx(0.02)
    assert lower.plan(small, patient) is None
    assert higher.plan(large, patient) is None
    assert higher.plan(small, patient).numbers["factor"] == pytest.approx(500)
    assert lower.plan(found(Code.UPDATE_RATIO, update_ratio=math.inf), patient).numbers == {
        "factor": 1e-3
    }


def test_without_an_optimizer_there_is_nothing_to_lower():
    patient = Patient(nn.Linear(1, 1))
    for name in ("lower_rate", "raise_rate", "warm_up", "clip_gradients"):
        assert get_action(name).plan(found(Code.RATE_TOO_HIGH), patient) is None


def test_a_training_that_has_run_long_is_not_warmed_up():
    patient = one_weight()
    patient.step = 5000
    assert get_action("warm_up").plan(found(Code.DIVERGING), patient) is None


def test_gradients_above_the_bound_are_scaled_down_to_it():
    patient = one_weight()
    application.apply(Plan("clip_gradients", numbers={"norm": 2.0}), patient)
    assert update(patient, 100.0) == pytest.approx(-2, rel=1e-4)
    assert update(patient, 1.0) == -1.0


def test_the_norm_is_that_of_all_gradients_together():
    model = nn.Linear(1, 1)
    patient = Patient(model, (torch.optim.SGD(model.parameters(), 1.0),))
    application.apply(Plan("clip_gradients", numbers={"norm": 1.0}), patient)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0]]), torch.tensor([4.0])
    patient.before_update()
    assert model.weight.grad.item() == pytest.approx(0.6, rel=1e-4)
    assert model.bias.grad.item() == pytest.approx(0.8, rel=1e-4)


def test_a_bound_finds_the_scale_of_the_training_by_itself():
    patient = one_weight()
    application.apply(Plan("clip_gradients", numbers={"percentile": 50.0}), patient)
    for _ in range(9):
        update(patient, 5.0)
    assert update(patient, 1000.0) == pytest.approx(-5, rel=1e-4)


def test_gradients_that_are_not_finite_are_not_clipped_into_numbers():
    patient = one_weight()
    application.apply(Plan("clip_gradients", numbers={"norm": 1.0}), patient)
    assert math.isnan(update(patient, math.nan))
