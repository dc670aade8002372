"""The short way, by the extension and without it: the same steps, losses and rates are noted."""

import gc
import inspect
import threading
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional

from relume.kernels.unit_sums import IS_NATIVE
from relume.observe import quick
from relume.observe.recorder import Recorder
from relume.runs.store import RunWriter

FEW_ARMED = 10**9
STEPS = 60

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler:UserWarning")


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Return a function that records a training, and returns the recorder and what it noted."""

    def recorded(train, *, is_native=True):
        monkeypatch.setattr(quick, "IS_NATIVE", is_native and IS_NATIVE)
        path = tmp_path / f"{is_native}.sqlite"
        recorder = Recorder(lambda: RunWriter(path), period=FEW_ARMED)
        noted, add = [], recorder.output.add

        def note(ended):
            noted.extend(ended)
            add(ended)

        recorder.output.add = note
        recorder.start()
        recorder.output.write_at_s += 1e9
        try:
            train()
        finally:
            recorder.stop()
            recorder.output.writer.close()
        assert recorder.fault is None
        return recorder, noted

    return recorded


def parts(make=torch.optim.Adam, rate=0.01):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))
    return net, make(net.parameters(), lr=rate), torch.randn(8, 4)


def usual():
    net, optimizer, x = parts()
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
    for _ in range(STEPS):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
        schedule.step()


def accumulated():
    net, optimizer, x = parts()
    for step in range(STEPS):
        optimizer.zero_grad()
        for _ in range(1 + step % 2):
            torch.autograd.backward(net(x).square().mean())
        optimizer.step()


def with_closures():
    net, optimizer, x = parts()

    def closure():
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)


def with_a_scaler_that_is_off():
    net, optimizer, x = parts()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for _ in range(STEPS):
        optimizer.zero_grad()
        scaler.scale(net(x).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()


def with_a_scaler():
    net, optimizer, x = parts()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = net(x).square().mean() * (float("inf") if step == 30 else 1.0)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()


def of_two():
    net, optimizer, x = parts()
    other, second, _ = parts(torch.optim.SGD)
    for step in range(STEPS):
        for model, each in ((net, optimizer), (other, second))[: 1 + step % 3]:
            each.zero_grad()
            model(x).square().mean().backward()
            each.step()


def with_updates_that_fail():
    net, optimizer, x = parts()
    for step in range(STEPS):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        good = optimizer.param_groups[0]["betas"]
        if step % 7 == 6:
            optimizer.param_groups[0]["betas"] = None
            with pytest.raises(TypeError):
                optimizer.step()
            optimizer.param_groups[0]["betas"] = good
        optimizer.step()


def with_odd_losses():
    net, optimizer, x = parts(torch.optim.SGD, rate=1)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = 1e-6 * net(x).square()
        if step % 3 == 0:
            loss.backward(torch.ones_like(loss))
        elif step % 3 == 1:
            loss.mean().backward(inputs=list(net.parameters()))
        else:
            functional.mse_loss(net(x), x[:, :1]).mul(1e-6).backward()
        optimizer.step()


class Nested(torch.optim.SGD):
    """An optimizer that steps another one inside itself."""

    def __init__(self, params, lr):
        params = list(params)
        super().__init__(params, lr=lr)
        self.inner = torch.optim.SGD(params, lr=lr)

    def step(self, closure=None):
        self.inner.step()
        return super().step(closure)


def nested():
    net, optimizer, x = parts(Nested)
    for _ in range(STEPS):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()


KINDS = [
    usual, accumulated, with_closures, with_a_scaler_that_is_off, with_a_scaler, of_two,
    with_updates_that_fail, with_odd_losses, nested,
]  # fmt: skip


@pytest.mark.skipif(not IS_NATIVE, reason="the extension was not built")
@pytest.mark.parametrize("train", KINDS, ids=lambda train: train.__name__)
def test_both_ways_note_the_same(record, train):
    (by_extension, noted), (by_python, expected) = (
        record(train, is_native=True),
        record(train, is_native=False),
    )
    assert noted == expected
    assert len(noted) == by_extension.steps == by_python.steps >= STEPS - 1
    assert by_extension.armed_steps == by_python.armed_steps
    assert by_python._quick.updates == 0


@pytest.mark.skipif(not IS_NATIVE, reason="the extension was not built")
@pytest.mark.parametrize("train", [usual, with_a_scaler_that_is_off], ids=lambda t: t.__name__)
def test_the_extension_notes_the_usual_step_by_itself(record, train):
    recorder, noted = record(train)
    armed = sum(was_armed for *_, was_armed in noted)
    assert recorder._quick.updates >= STEPS - armed - 8


@pytest.mark.parametrize("is_native", [True, False])
def test_another_thread_is_left_alone(record, is_native):
    def train():
        usual()
        net, _, x = parts()
        thread = threading.Thread(target=lambda: net(x).sum().backward())
        thread.start()
        thread.join()

    assert len(record(train, is_native=is_native)[1]) == STEPS


@pytest.mark.parametrize("is_native", [True, False])
def test_the_backward_function_looks_like_itself(tmp_path, monkeypatch, is_native):
    monkeypatch.setattr(quick, "IS_NATIVE", is_native and IS_NATIVE)
    original = torch.autograd.backward
    recorder = Recorder(lambda: RunWriter(tmp_path / "run.sqlite"))
    recorder.start()
    try:
        patched = torch.autograd.backward
        assert patched is not original
        assert inspect.signature(patched) == inspect.signature(original)
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            assert getattr(patched, name) == getattr(original, name)
        with pytest.raises(TypeError, match="required positional argument"):
            torch.autograd.backward()
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.autograd.backward(torch.zeros(()))
    finally:
        recorder.stop()
    assert torch.autograd.backward is original


def test_nothing_of_it_stays_in_memory(record):
    recorder, _ = record(usual)
    gone = weakref.ref(recorder._seams)
    del recorder
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not IS_NATIVE, reason="the extension was not built")
def test_a_shortcut_needs_a_state_and_a_kind():
    from relume.kernels._native import QuickState, Shortcut

    for state, kind in ((object(), 0), (QuickState(), 3), (QuickState(), -1)):
        with pytest.raises(TypeError, match="takes a QuickState and a kind"):
            Shortcut(state, kind, print, None, object, print, print)
    with pytest.raises(TypeError):
        Shortcut()
    assert Shortcut(QuickState(), 0, lambda *a, **k: (a, k), None, int, int, int)(1, b=2) == (
        (1,),
        {"b": 2},
    )
