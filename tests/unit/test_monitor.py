import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_modules

from relume.errors import OutputError
from relume.monitor import ALIVE_ROWS, Monitor
from relume.observe.flows import Flows
from relume.observe.intercept import Interception
from relume.observe.model_tap import ModelTap
from relume.observe.pending import OpenWindow
from relume.observe.schedule import every
from relume.observe.tally import Tally
from relume.runs.query import read_run
from relume.runs.records import NEVER, Cause, Epoch
from relume.runs.store import RunWriter

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))


def model_with_a_dead_unit():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        model[0].bias[2] = -1000.0
    return model


def train(monitor, model, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with monitor.watching():
        for step in range(1, steps + 1):
            with monitor.step(step):
                optimizer.zero_grad()
                loss = model(X).square().mean()
                loss.backward()
                monitor.before_update()
                optimizer.step()
                monitor.after_update(step, loss.item(), 0.01)
        monitor.close_window()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def watched(path, model, **options):
    writer = RunWriter(path)
    options = {"armed": every(4, first=2), "window_steps": 10, "example": X[:2]} | options
    return Monitor(model, writer, **options), writer


def test_a_training_is_recorded(tmp_path):
    model = model_with_a_dead_unit()
    monitor, writer = watched(tmp_path / "run", model)
    train(monitor, model, 25)
    monitor.end_epoch(Epoch(1, 25, 1.0, 1.0, 0.5, 0.01, monitor.units_alive, monitor.units))
    monitor.examine(model, X.split(50), held_out_rows=14)
    writer.close()
    run = read_run(tmp_path / "run")
    assert monitor.fault is None
    assert [(w.first_step, w.last_step) for w in run.windows] == [(1, 10), (11, 20), (21, 25)]
    # armed: 1, 2, 4, 8 | 12, 16, 20 | 24
    assert [w.armed_steps for w in run.windows] == [4, 3, 1]
    assert [w.layers[0].activity.rows for w in run.windows] == [256, 192, 64]
    assert sum(w.loss.count for w in run.windows) == 25
    for window in run.windows:
        activity = window.layers[0].activity
        assert activity.fired[2] == 0
        assert activity.absolute_gradient[2] > 0  # the output is connected; the unit is not
        assert window.layers[0].gradient_norm.count == window.armed_steps
    assert run.lifetimes[0].last_fired[2] == NEVER
    assert run.lifetimes[0].silent_rows[2] == 8 * 64
    assert (run.lifetimes[0].last_fired[[0, 1, 3]] == 24).all()
    assert (run.examination[0].rows, run.held_out_rows) == (64, 14)
    with torch.no_grad():
        assert run.examination[0].fired.tolist() == (model[0](X) > 0).sum(0).tolist()


def test_a_unit_is_alive_until_it_was_silent_for_long(tmp_path):
    model = model_with_a_dead_unit()
    monitor, writer = watched(tmp_path / "run", model, armed=every(1))
    train(monitor, model, ALIVE_ROWS // 64)
    assert (monitor.units_alive, monitor.units) == (8, 8)
    train(monitor, model, 2)
    assert monitor.units_alive == 7
    writer.close()


def test_a_window_without_an_armed_step_says_so(tmp_path):
    model = model_with_a_dead_unit()
    monitor, writer = watched(tmp_path / "run", model, armed=lambda step: False)
    train(monitor, model, 10)
    writer.close()
    (window,) = read_run(tmp_path / "run").windows
    assert (window.armed_steps, window.layers[0].activity.rows) == (0, 0)
    assert np.isnan(window.layers[0].activity.firing_rate).all()


def bare_weights():
    model = model_with_a_dead_unit()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(25):
        optimizer.zero_grad()
        model(X).square().mean().backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


FAULTS = [
    (RunWriter, "set_layers"),
    (RunWriter, "write_window"),
    (RunWriter, "is_due"),
    (RunWriter, "write_deaths"),
    (ModelTap, "arm"),
    (ModelTap, "call"),
    (Interception, "patch"),
    (Flows, "before_update"),
    (Flows, "after_update"),
    (Tally, "end_step"),
    (OpenWindow, "add"),
]


@pytest.mark.parametrize(("owner", "name"), FAULTS)
def test_a_fault_of_ours_never_reaches_the_training(tmp_path, monkeypatch, owner, name):
    def fail(*_, **__):
        raise OutputError("planted")

    monkeypatch.setattr(owner, name, fail)
    model = model_with_a_dead_unit()
    monitor, writer = watched(tmp_path / "run", model)
    assert torch.equal(train(monitor, model, 25), bare_weights())
    assert str(monitor.fault) == "planted"
    monitor.end_epoch(Epoch(1, 25, 1.0, 1.0, 0.5, 0.01, 0, 8))
    monitor.examine(model, [X], held_out_rows=0)
    assert not torch_modules._global_forward_hooks
    assert not torch_modules._global_forward_pre_hooks
    assert not hasattr(torch.relu, "__wrapped__")
    writer.close()


def test_a_fault_inside_a_hook_turns_the_recording_off(tmp_path, monkeypatch):
    monkeypatch.setattr(Tally, "add_gradient", lambda *_: 1 / 0)
    model = model_with_a_dead_unit()
    monitor, writer = watched(tmp_path / "run", model)
    assert torch.equal(train(monitor, model, 25), bare_weights())
    assert isinstance(monitor.fault, ZeroDivisionError)
    writer.close()


def test_a_fault_of_the_training_is_the_trainings_own(tmp_path):
    model = model_with_a_dead_unit()
    monitor, writer = watched(tmp_path / "run", model)
    relu = torch.relu
    with pytest.raises(KeyError), monitor.watching(), monitor.step(1):
        model(X)
        raise KeyError("theirs")
    assert monitor.fault is None
    assert not torch_modules._global_forward_hooks
    assert torch.relu is relu
    writer.close()


KILLED_AT = 12


def killed_in_the_middle(monitor, model, steps, *, first=1):
    """Train; the update of one step throws unit 5 far away."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with monitor.watching():
        for step in range(first, steps + 1):
            with monitor.step(step):
                optimizer.zero_grad()
                loss = model(X).square().mean()
                loss.backward()
                monitor.before_update()
                optimizer.step()
                if step == KILLED_AT:
                    with torch.no_grad():
                        model[0].bias[5] = -100.0
                monitor.after_update(step, loss.item(), 1e-3)
        monitor.close_window()


def test_a_death_is_certified_and_the_certificate_outlives_an_interruption(tmp_path):
    model = model_with_a_dead_unit()
    monitor, writer = watched(tmp_path / "run", model)
    killed_in_the_middle(monitor, model, 20)
    lifetimes = monitor.lifetimes
    writer.close()
    before = read_run(tmp_path / "run").deaths[0]
    assert (before.last_fired[5], before.first_silent[5]) == (KILLED_AT, 16)
    assert before.cause[[2, 5, 1]].tolist() == [Cause.FROM_START, Cause.LARGE_UPDATE, Cause.ALIVE]
    assert before.row_change[5] > 10
    writer = RunWriter(tmp_path / "run", resume_after=20)
    options = {"armed": every(4, first=2), "window_steps": 10, "example": X[:2]}
    resumed = Monitor(model, writer, **options)
    with resumed.watching():
        resumed.resume(lifetimes)
        killed_in_the_middle(resumed, model, 40, first=21)
    writer.close()
    assert resumed.fault is None
    run = read_run(tmp_path / "run")
    assert run.deaths[0].cause.tolist() == before.cause.tolist()
    assert run.deaths[0].row_change[5] == before.row_change[5]
    assert run.lifetimes[0].silent_rows[[1, 2, 5]].tolist() == [0, 12 * 64, 7 * 64]


def test_a_record_of_other_layers_is_not_gone_on_with(tmp_path):
    monitor, writer = watched(tmp_path / "run", model_with_a_dead_unit())
    killed_in_the_middle(monitor, monitor._model, 4)
    writer.close()
    writer = RunWriter(tmp_path / "run", resume_after=4)
    other = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.ReLU(), nn.Linear(8, 1))
    resumed = Monitor(other, writer, armed=every(1), window_steps=1, example=X[:2])
    with resumed.watching():
        pass
    writer.close()
    assert "other layers" in str(resumed.fault)
    assert [layer.name for layer in read_run(tmp_path / "run").layers] == ["1"]


def test_a_fit_that_is_watched_is_seen_by_both(tmp_path):
    import relume

    bare = bare_weights()
    model = model_with_a_dead_unit()
    with relume.watch(out=tmp_path / "outer", every=1, quiet=True, report=False) as outer:
        monitor, writer = watched(tmp_path / "run", model)
        assert torch.equal(train(monitor, model, 25), bare)
        writer.close()
    assert outer.fault is None
    assert monitor.fault is None
    rows = [
        run.windows[0].layers[0].activity.rows for run in (outer.run, read_run(tmp_path / "run"))
    ]
    assert rows == [25 * 64 + 2, 4 * 64]  # two rows found the sites
    assert not hasattr(torch.relu, "__wrapped__")
