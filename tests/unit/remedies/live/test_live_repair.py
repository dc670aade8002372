"""A training that is repaired while it runs; whatever fails, it goes on."""

import sys

import pytest
import torch
from torch import nn

import relume
from relume.diagnosis.codes import Code
from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Finding, Safety, Severity
from relume.errors import SettingsError, SnapshotError
from relume.remedies.actions import get_action
from relume.remedies.live import doctor as doctors
from relume.remedies.live import repair as repairs
from relume.remedies.live.choice import ALLOWED, NOT_LIVE, Allow, open_findings, options_for
from relume.remedies.live.doctor import Doctor
from relume.remedies.live.training import State, unversioned
from relume.remedies.patient import Patient
from relume.remedies.standing import Standing
from relume.watching import WatchSettings

STEPS = 330
RATE = 0.5  # ends in nan


def finding(code, severity=Severity.ERROR, **fields):
    return Finding(code=code, severity=severity, message="it is so", **fields)


class Training:
    """The loop that everybody writes."""

    def __init__(self, rate=0.01, *, broken=(), momentum=0.9):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.SGD(self.parameters, lr=rate, momentum=momentum)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 1000)
        self.broken = broken

    def run(self, steps=STEPS):
        for step in range(1, steps + 1):
            x = torch.randn(32, 8)
            if step in self.broken:
                x[3, 2] = float("nan")
            self.optimizer.zero_grad()
            loss = nn.functional.mse_loss(self.model(x), x[:, :1].abs().nan_to_num() * 2)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
        return [each.detach().clone() for each in self.parameters]


def repaired(tmp_path, training, **settings):
    with relume.watch(repair=True, report=False, out=tmp_path / "run", **settings) as watch:
        weights = training.run()
    assert watch.fault is None
    return weights, watch.run.remedies


def same(a, b):
    return all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


def test_a_healthy_training_is_bitwise_the_same_and_nothing_is_done(tmp_path, capsys):
    weights, remedies = repaired(tmp_path, Training())
    assert same(weights, Training().run())
    assert remedies == ()
    assert capsys.readouterr().err == ""


def test_an_update_that_is_not_finite_is_skipped(tmp_path, capsys):
    training = Training(broken={60, 61, 180})
    held = training.parameters
    weights, remedies = repaired(tmp_path, training)
    assert all(bool(each.isfinite().all()) for each in weights)
    assert not all(bool(each.isfinite().all()) for each in Training(broken={60}).run())
    (skipped,) = remedies
    assert skipped.evidence["numbers"] == {"skipped": 3, "steps": [60, 61, 180]}
    assert all(a is b for a, b in zip(held, training.model.parameters(), strict=True))
    assert capsys.readouterr().err.count("\n") == 1


def test_a_rate_that_ends_in_nan_is_lowered_and_the_gain_is_measured(tmp_path, capsys):
    assert not all(bool(each.isfinite().all()) for each in Training(rate=RATE).run())
    training = Training(rate=RATE)
    weights, remedies = repaired(tmp_path, training)
    assert all(bool(each.isfinite().all()) for each in weights)
    kept = [each for each in remedies if each.is_kept and each.evidence["code"]]
    assert kept
    assert kept[0].evidence["numbers"]
    assert kept[0].verdict.startswith("kept: training loss")
    assert training.optimizer.param_groups[0]["lr"] == RATE  # as the script set it
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("relume: step ") for line in lines)


def test_the_same_seed_is_repaired_the_same_way(tmp_path):
    first, second = (
        repaired(tmp_path / name, Training(rate=RATE), quiet=True) for name in ("a", "b")
    )
    assert same(first[0], second[0])
    assert first[1] == second[1]


def test_what_is_not_allowed_is_not_done(tmp_path, capsys):
    weights, remedies = repaired(tmp_path, Training(rate=RATE), allow="safe", quiet=True)
    assert not all(bool(each.isfinite().all()) for each in weights)
    assert remedies == ()
    assert capsys.readouterr().err == ""


def throw(*_, **__):
    raise ZeroDivisionError("thrown on purpose")


def no_room(*_, **__):
    raise SnapshotError("a snapshot takes too much")


class Throws(Standing):
    def before_update(self):
        throw()


PLACES = {
    "the snapshot": lambda patch: patch.setattr(doctors, "State", no_room),
    "taking the training up": lambda patch: patch.setattr(repairs, "find_followers", throw),
    "the record": lambda patch: patch.setattr(repairs, "read_run", throw),
    "the rules": lambda patch: patch.setattr(repairs, "diagnose", throw),
    "a pass": lambda patch: patch.setattr(repairs.Inputs, "note", throw),
    "a window": lambda patch: patch.setattr(Doctor, "end_window", throw),
    "what goes on": lambda patch: patch.setattr(
        repairs.skip_nonfinite, "Skip", lambda *_: Throws()
    ),
    "the end": lambda patch: patch.setattr(Doctor, "finish", throw),
}


@pytest.mark.parametrize("place", PLACES)
def test_whatever_fails_the_training_goes_on(tmp_path, monkeypatch, capsys, place):
    bare = Training().run(120)
    PLACES[place](monkeypatch)
    training = Training()
    with relume.watch(repair=True, report=False, out=tmp_path / "run") as watch:
        weights = training.run(120)
    assert same(weights, bare)
    assert watch.fault is None
    assert watch.run.last_step == 120
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("relume: nothing is repaired from here on: ")


def patient_with_steps():
    training = Training()
    training.run(3)
    return training, Patient(training.model, (training.optimizer,), (training.schedule,), step=3)


def doctor_of(patient, found):
    said = []
    diagnosis = Diagnosis((found,), (), {})
    return Doctor(patient, ALLOWED[Allow.TRAINING], lambda: diagnosis, said.append), said


def everything(training):
    state = training.optimizer.state_dict()["state"]
    moments = [each["momentum_buffer"] for each in state.values()]
    return [each.detach().clone() for each in (*training.parameters, *moments)]


def feed(doctor, first, last, loss):
    doctor.note([(step, loss(step), 0.1, False) for step in range(first, last + 1)])


@pytest.mark.parametrize(
    ("code", "loss"), [(Code.RATE_TOO_HIGH, float("nan")), (Code.RATE_TOO_LOW, 3.0)]
)
def test_what_is_worse_is_undone_bitwise_but_for_what_the_script_draws(code, loss):
    training, patient = patient_with_steps()
    doctor, said = doctor_of(patient, finding(code))
    feed(doctor, 1, 100, lambda step: 1 + 0.01 * (step % 7))
    doctor.end_window(50)
    before, schedule = everything(training), training.schedule.state_dict()
    doctor.end_window(100)
    training.run(5)
    feed(doctor, 101, 150, lambda step: loss + 0.01 * (step % 7))
    drawn = torch.get_rng_state()
    doctor.end_window(150)
    assert same(everything(training), before)
    assert training.schedule.state_dict() == schedule
    assert torch.equal(torch.get_rng_state(), drawn)
    assert patient.standings == []
    assert doctor.treatments[0].is_kept is False
    assert "undone" in said[-1]


def test_what_goes_back_is_given_the_whole_trial():
    _, patient = patient_with_steps()
    doctor, _ = doctor_of(patient, finding(Code.RATE_TOO_HIGH))
    feed(doctor, 1, 100, lambda step: 1 + 0.01 * (step % 7))
    feed(doctor, 101, 150, lambda step: 3 + 0.01 * (step % 7))
    for step in (50, 100, 150):
        doctor.end_window(step)
    assert doctor.treatments[0].plan["first"][0]["action"] == "roll_back"
    assert doctor.treatments[0].verdict == ""


@pytest.mark.parametrize(
    ("code", "severity", "evidence", "first"),
    [
        (Code.RATE_TOO_LOW, Severity.WARNING, {}, 100),
        (Code.RATE_TOO_LOW, Severity.WARNING, {"evaluation_fall": 0.1}, 1000),
        (Code.PLATEAU, Severity.WARNING, {}, 1000),
        (Code.PLATEAU, Severity.ERROR, {}, 100),
    ],
)
def test_what_may_pass_waits_until_a_trial_is_a_tenth_of_the_training(
    code, severity, evidence, first
):
    _, patient = patient_with_steps()
    doctor, _ = doctor_of(patient, finding(code, severity, evidence=evidence))
    for step in range(50, 1050, 50):
        feed(doctor, step - 49, step, lambda step: 1 + 0.01 * (step % 7))
        doctor.end_window(step)
    assert doctor.treatments[0].step == first


@pytest.mark.parametrize(("control", "is_kept"), [(2.0, True), (0.9, False)])
def test_what_no_trend_tells_is_measured_against_the_untreated_training(control, is_kept):
    training, patient = patient_with_steps()
    doctor, said = doctor_of(patient, finding(Code.RATE_TOO_HIGH))
    feed(doctor, 1, 100, lambda step: 50 / step * (1 + (step // 5 % 2)))  # too uneven for a trend
    doctor.end_window(50)
    doctor.end_window(100)
    untreated = everything(training)
    training.run(5)
    feed(doctor, 101, 200, lambda step: 1 + 0.01 * (step % 7))
    treated = everything(training)
    doctor.end_window(150)
    doctor.end_window(200)
    assert "runs from the same state" in said[-1]
    assert same(everything(training), untreated)
    training.run(5)
    own = everything(training)
    feed(doctor, 201, 300, lambda step: control + 0.01 * (step % 7))
    doctor.end_window(250)
    doctor.end_window(300)
    assert same(everything(training), treated if is_kept else own)
    assert len(patient.standings) == is_kept  # the lower rate goes on
    assert doctor.treatments[0].is_kept is is_kept


def test_an_action_that_raises_changes_nothing_and_the_next_is_tried(monkeypatch):
    training, patient = patient_with_steps()
    doctor, _ = doctor_of(patient, finding(Code.DIVERGING))
    applied = []

    def apply(plan, patient):
        applied.append(plan.action)
        with torch.no_grad():
            patient.model[0].weight.zero_()
        throw()

    patient.step = 100
    first = options_for(finding(Code.DIVERGING), patient, ALLOWED[Allow.TRAINING])[0]
    action = get_action(first.plans[-1].action)
    broken = type(action)(
        **{name: getattr(action, name) for name in action.__slots__} | {"apply": apply}
    )
    known = doctors.get_action
    monkeypatch.setattr(
        doctors, "get_action", lambda name: broken if name == action.name else known(name)
    )
    before = everything(training)
    doctor.end_window(50)
    doctor.end_window(100)
    assert applied
    assert same(everything(training), before)
    failed, *others = doctor.treatments
    assert "thrown on purpose" in failed.verdict
    assert failed.is_kept is False
    assert all(each.action != action.name or each is failed for each in others[-1:])


def test_a_training_that_ends_in_a_trial_says_that_it_was_not_judged():
    _, patient = patient_with_steps()
    doctor, said = doctor_of(patient, finding(Code.RATE_TOO_HIGH))
    doctor.end_window(50)
    doctor.end_window(100)
    doctor.finish(130)
    assert doctor.treatments[0].is_kept is None
    assert "the training ended 30 steps later" in said[-1]
    assert patient.standings == []


def test_a_graph_from_before_can_still_be_differentiated():
    training, patient = patient_with_steps()
    state = State(patient)
    training.run(2)
    loss = training.model(torch.randn(4, 8)).square().mean()
    with unversioned(patient), torch.no_grad():
        training.model[2].weight.mul_(1.0)
    state.restore()
    loss.backward()
    assert training.model[0].weight.grad is not None


@pytest.mark.parametrize("allow", Allow)
def test_only_what_is_allowed_and_can_be_saved_at_any_time_is_an_option(allow):
    _, patient = patient_with_steps()
    patient.sample = None
    for code in Code:
        for option in options_for(finding(code, where="0", units=(1,)), patient, ALLOWED[allow]):
            names = {plan.action for plan in option.plans}
            assert not names & NOT_LIVE
            assert {get_action(name).safety for name in names} <= ALLOWED[allow]
    assert Safety.ADVICE not in ALLOWED[allow]


def test_old_findings_are_not_treated_again():
    old, new = finding(Code.DIVERGING, first_step=40), finding(Code.OSCILLATING, first_step=300)
    note = Finding(code=Code.PLATEAU, severity=Severity.NOTE, message="", first_step=400)
    units = finding(Code.DEAD_UNITS, where="1", first_step=10)
    root = new.with_consequences(units, note)
    assert open_findings([old, root], set(), since=0) == [old, root, units]
    assert open_findings([old, root], set(), since=100) == [root, units]
    assert open_findings([old, root], {(Code.DEAD_UNITS, "1")}, since=100) == [root]


def test_settings_say_how_far_a_repair_may_go():
    assert WatchSettings().period is None
    assert WatchSettings(repair=True).period == 10
    assert WatchSettings(repair=True, every=3).period == 3
    with pytest.raises(SettingsError, match="safe, training, model"):
        WatchSettings(allow="everything")


def test_no_repair_imports_nothing_of_it(tmp_path):
    loaded = "relume.remedies.live.repair" in sys.modules
    with relume.watch(report=False, quiet=True, out=tmp_path / "run") as watch:
        Training().run(12)
    assert watch._repair is None
    assert loaded == ("relume.remedies.live.repair" in sys.modules)
    assert watch.run.remedies == ()
