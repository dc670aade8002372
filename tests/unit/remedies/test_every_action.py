"""The contract of actions: plain plans, bitwise undo, no change that is not promised."""

import json
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety, Severity
from relume.errors import UnknownNameError
from relume.remedies import application
from relume.remedies.actions import ACTIONS, actions_for, get_action
from relume.remedies.patient import Patient, Sample
from relume.remedies.plan import Plan
from relume.remedies.snapshot import Snapshot
from tests.unit.remedies.state import state_of, trained


def finding(code, **fields):
    return Finding(code=code, severity=Severity.ERROR, message="", **fields)


DEAD = finding(Code.DEAD_UNITS, where="2 (train.py:7)", units=(1,))
FINDINGS = {
    "roll_back": finding(Code.DIVERGING),
    "skip_nonfinite": finding(Code.NONFINITE_GRADIENT),
    "reestimate_batch_norm": finding(Code.TRAIN_EVAL_GAP, where="1"),
    "revive_units": DEAD,
    "lift_biases": DEAD,
    "leak": DEAD,
    "noisy_gate": DEAD,
    "break_symmetry": finding(Code.IDENTICAL_UNITS, where="4.weight"),
    "scale_inputs": finding(Code.UNSCALED_INPUT, where="the input"),
    "scale_targets": finding(Code.UNSCALED_TARGET, evidence={"mean": 50.0, "deviation": 4.0}),
    "lower_rate": finding(Code.RATE_TOO_HIGH),
    "raise_rate": finding(Code.RATE_TOO_LOW),
    "warm_up": finding(Code.DIVERGING),
    "clip_gradients": finding(Code.EXPLODING_GRADIENT),
    "exclude_from_decay": finding(Code.DECAYED_SLOPES),
    "initialise": finding(Code.DEAD_AT_START),
    "insert_norm": finding(Code.VANISHING_GRADIENT, where="5"),
    "swap_activation": DEAD,
}
BEFORE_THE_FIRST_STEP = {"initialise"}
SAME_IN_EVAL = {"leak"}  # leaks while it trains
PUTS_BACK_EVERYTHING = {"roll_back"}

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, 1e-2, amsgrad=True),
    "capturable": lambda p: torch.optim.Adam(p, torch.tensor(1e-2), capturable=False),
    "two groups": lambda p: torch.optim.RMSprop(
        [{"params": list(p)[:2], "lr": 1e-3}, {"params": list(p)[2:]}], 1e-2, momentum=0.5
    ),
}
SCHEDULERS = {
    "none": lambda _: None,
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=40),
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
}


def network():
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3),
    )  # fmt: skip


def patient_of(optimizer="adamw", scheduler="none", *, seed=0, steps=3):
    torch.manual_seed(seed)
    model = network()
    with torch.no_grad():
        model[1].bias[1] = -50.0  # unit 1 of the first activation is dead
    made = OPTIMIZERS[optimizer]
    parameters = model.parameters()
    built = made(list(parameters))
    schedule = SCHEDULERS[scheduler](built)
    trained(model, built, steps=steps, scheduler=schedule)
    schedulers = () if schedule is None else (schedule,)
    sample = Sample((torch.randn(16, 6),))
    return Patient(model, (built,), schedulers, step=steps, sample=sample)


def prepare(action, patient):
    """Bring a training into the state that an action answers."""
    for group in patient.optimizers[0].param_groups:
        group["weight_decay"] = 0.01
    if action.name == "break_symmetry":
        nn.init.constant_(patient.model[4].weight, 0.1)
        nn.init.zeros_(patient.model[4].bias)
    if action.name == "roll_back":
        patient.good = Snapshot(patient)
        schedule = patient.schedulers[0] if patient.schedulers else None
        trained(patient.model, patient.optimizers[0], steps=2, scheduler=schedule, hooks=patient)


def planned(action, patient):
    step = patient.step
    if action.name in BEFORE_THE_FIRST_STEP:
        patient.step = 0
    plan = action.plan(FINDINGS[action.name], patient)
    patient.step = step
    assert plan is not None
    return plan


def ready(action, *arguments, **options):
    patient = patient_of(*arguments, **options)
    prepare(action, patient)
    return patient


each_action = pytest.mark.parametrize("action", ACTIONS, ids=lambda each: each.name)


def test_every_action_has_its_case():
    assert set(FINDINGS) == {action.name for action in ACTIONS}


@each_action
def test_an_action_is_one_file_with_a_page(action):
    file = Path(application.__file__).parent / "actions" / f"{action.name}.py"
    assert action.page in file.read_text(encoding="utf-8")
    for heading in ("What it does", "When it helps", "Safety", "Numbers of a plan"):
        assert f"\n{heading}\n" in action.page
    assert re.fullmatch(r"[A-Z][^.]*\.", action.summary)
    assert action.answers <= set(Code)
    assert action.safety is not Safety.ADVICE


@each_action
def test_a_plan_is_plain_data(action):
    plan = planned(action, ready(action))
    assert plan.action == action.name
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert "\n" not in action.describe(plan)
    assert action.describe(plan)[0].islower()


@each_action
def test_planning_changes_nothing(action):
    patient = ready(action)
    before = state_of(patient)
    planned(action, patient)
    assert state_of(patient) == before


@each_action
@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    scheduler=st.sampled_from(sorted(SCHEDULERS)),
    seed=st.integers(0, 99),
    before=st.integers(0, 4),
    after=st.integers(0, 4),
)
def test_undoing_is_bitwise(action, optimizer, scheduler, seed, before, after):
    patient = ready(action, optimizer, scheduler, seed=seed, steps=before)
    state = state_of(patient)
    done = application.apply(planned(action, patient), patient)
    schedule = patient.schedulers[0] if patient.schedulers else None
    trained(patient.model, patient.optimizers[0], steps=after, scheduler=schedule, hooks=patient)
    done.undo()
    assert state_of(patient) == state


@each_action
def test_a_training_goes_on_from_an_undo_as_if_nothing_had_been(action):
    ends = []
    for is_treated in (False, True):
        patient = ready(action, "adamw", "cosine", steps=4)
        if is_treated:
            done = application.apply(planned(action, patient), patient)
            schedule, optimizer = patient.schedulers[0], patient.optimizers[0]
            trained(patient.model, optimizer, steps=3, scheduler=schedule, hooks=patient)
            done.undo()
        optimizer, schedule = patient.optimizers[0], patient.schedulers[0]
        trained(patient.model, optimizer, steps=5, scheduler=schedule, hooks=patient)
        ends.append([parameter.detach().clone() for parameter in patient.model.parameters()])
    for untouched, undone in zip(*ends, strict=True):
        assert torch.equal(untouched, undone)


@each_action
def test_an_action_that_was_removed_leaves_no_trace_in_what_it_did_not_train(action):
    """Without an update in between, removing an action that goes on is as good as an undo."""
    patient = ready(action)
    before = state_of(patient)
    done = application.apply(planned(action, patient), patient)
    if done.standing is None:
        return
    patient.before_update()
    patient.drop(done.standing)
    done.standing.remove()
    assert state_of(patient) == before


@each_action
def test_random_numbers_of_the_training_are_left_alone(action):
    patient = ready(action)
    if action.name in PUTS_BACK_EVERYTHING:
        return
    before = state_of(patient)["random"]
    application.apply(planned(action, patient), patient)
    assert state_of(patient)["random"] == before


@each_action
def test_the_function_is_kept_where_that_is_promised(action):
    patient = ready(action, steps=0)
    patient.model.eval()
    with torch.no_grad():
        before = patient.model(patient.sample.args[0])
        application.apply(planned(action, patient), patient)
        after = patient.model(patient.sample.args[0])
    if action.keeps_function:
        assert torch.allclose(before, after, atol=1e-6, rtol=0)
    else:
        assert not torch.allclose(before, after, atol=1e-6, rtol=0) or action.name in SAME_IN_EVAL
    assert patient.model.training is False or action.name in PUTS_BACK_EVERYTHING


@each_action
def test_an_action_that_raises_leaves_the_training_as_it_was(action, monkeypatch):
    patient = ready(action)
    plan = planned(action, patient)
    before = state_of(patient)
    fault = RuntimeError("half way")

    def broken(plan, patient):
        action.apply(plan, patient)
        for parameter in patient.model.parameters():
            parameter.data.zero_()
        raise fault

    def registered(_):
        return type(action)(
            **{name: getattr(action, name) for name in action.__slots__ if name != "apply"},
            apply=broken,
        )

    monkeypatch.setattr(application, "get_action", registered)
    with pytest.raises(RuntimeError, match="half way"):
        application.apply(plan, patient)
    assert state_of(patient) == before


def test_actions_are_found_by_name_and_by_what_they_cure():
    assert get_action("roll_back") is ACTIONS[0]
    with pytest.raises(UnknownNameError, match="lower_rate"):
        get_action("lower_rte")
    allowed = {Safety.CHANGES_TRAINING}
    assert all(each.safety in allowed for each in actions_for(Code.DEAD_UNITS, allowed))
    assert actions_for(Code.DEAD_UNITS, set()) == ()


def test_a_snapshot_that_does_not_fit_is_refused_before_anything_changes(monkeypatch):
    from relume.errors import SnapshotError
    from relume.remedies import snapshot

    monkeypatch.setattr(snapshot, "free_bytes", lambda _: 1000.0)
    patient = patient_of()
    before = state_of(patient)
    with pytest.raises(SnapshotError, match=r"a snapshot of the training takes 0\.00 GB"):
        application.apply(Plan("lower_rate", numbers={"factor": 0.1}), patient)
    assert state_of(patient) == before


def test_a_snapshot_takes_the_bytes_that_it_says():
    patient = patient_of("adamw")
    weights = sum(p.numel() for p in patient.model.parameters())
    buffers = sum(b.numel() * b.element_size() for b in patient.model.buffers())
    steps = 4 * len(list(patient.model.parameters()))
    assert Snapshot(patient).nbytes == 4 * weights * (1 + 3) + buffers + steps  # amsgrad: three


def test_a_snapshot_keeps_modules_that_follow_and_those_that_stand_elsewhere():
    patient = patient_of()
    follower = torch.optim.swa_utils.AveragedModel(patient.model)
    patient.companions = (follower,)
    snapshot = Snapshot(patient)
    before = [p.clone() for p in follower.parameters()]
    trained(patient.model, patient.optimizers[0], steps=2)
    follower.update_parameters(patient.model)
    patient.model[3].p = 0.9
    patient.model[0].weight.requires_grad_(requires_grad=False)
    snapshot.restore()
    assert all(map(torch.equal, before, follower.parameters()))
    assert int(follower.n_averaged) == 0
    assert patient.model[3].p == 0.2
    assert patient.model[0].weight.requires_grad
