"""Faults of ours, thrown everywhere: the training that is watched ends as if nobody had watched."""

import gc
import hashlib
import importlib
import inspect
import resource
import shutil
import sqlite3
import sys
import tempfile
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimizer_hooks

import relume
from benchmarks.kills import kill_often

STEPS = 8

MODULES = (
    "kernels.unit_sums",
    "kernels.weight_norms",
    "observe.calls",
    "observe.deaths",
    "observe.falls",
    "observe.flows",
    "observe.intercept",
    "observe.naming",
    "observe.ownership",
    "observe.passes",
    "observe.output",
    "observe.pending",
    "observe.quick",
    "observe.recorder",
    "observe.rectifiers",
    "observe.schedule",
    "observe.seams",
    "observe.stepping",
    "observe.tally",
    "observe.tap",
    "observe.unobserved",
    "runs.records",
    "runs.schema",
    "runs.store",
    "watching",
)

DOORS = {
    "ArmedTap.call", "ArmedTap.call_fused", "Watch._begin", "Watch.folder",
    "ArmedTap._returned", "Calls._enter", "Calls._leave",
    "Seams._backward", "Seams._grad", "Seams._iterate", "Seams._scale", "Seams._scaled_step",
    "Seams._eval",
    "Seams._enter_update", "Seams._leave_update", "Seams._tell", "Seams._are_weights",
    "Recorder.fail", "Recorder.start", "Recorder.stop", "Recorder._each", "Recorder.steps",
    "Recorder.record_metric", "Recorder.before_backward", "Recorder.after_backward",
    "Recorder.__init__", "Watch.__init__", "Watch.__enter__", "Watch.__exit__", "Watch.start",
    "Watch.stop", "Watch._stopped", "Watch._tell_fault", "Watch._report", "Watch.record_metric",
    "WatchSettings.__init__",
    "WatchSettings.__post_init__", "Watch._stop_at_exit", "watch", "settings_of", "metric",
    "active_watch", "_guarded", "_status",
}  # fmt: skip
"""What catches the faults, or is called by a person before anything is watched."""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.hidden = nn.Linear(4 * 4 * 4, 16)
        self.norm = nn.BatchNorm1d(16)
        self.gate = nn.Linear(16, 8)
        self.slope = nn.PReLU()
        self.rnn = nn.RNN(8, 5, nonlinearity="relu", batch_first=True)
        self.out = nn.Linear(5, 2)
        with torch.no_grad():
            self.hidden.bias[:3] = -50.0

    def forward(self, x):
        x = functional.relu(self.conv(x)).flatten(1)
        x = functional.dropout(torch.relu(self.norm(self.hidden(x))), 0.2)
        x = self.slope(self.gate(x)).clamp(min=0).sigmoid()
        return self.out(self.rnn(x[:, None])[0][:, 0])


def train():
    """Train through every seam: a loader, a scaler, two optimizers, ``autograd.grad``, scores."""
    torch.manual_seed(3)
    net, hand = Net(), nn.Linear(2, 2)
    data = torch.utils.data.TensorDataset(torch.randn(32, 1, 6, 6), torch.arange(32) % 2)
    loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    second = torch.optim.Adam(hand.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for step in range(STEPS):
        if step % 4 == 0:
            batches = iter(loader)
        x, y = next(batches)
        loss = functional.cross_entropy(hand(net(x)), y)
        hand.weight.grad = torch.autograd.grad(loss, hand.weight, retain_graph=True)[0]
        optimizer.zero_grad()
        scaler.scale(loss).backward(inputs=list(net.parameters()))
        second.step()
        if step == 5:
            net.gate.bias.grad -= 1e5  # every unit of the gate dies
        scaler.step(optimizer)
        scaler.update()
        relume.metric("loss", loss.item())
        with torch.no_grad():
            net.eval()
            net(x)
            net.train()
    numbers = [*net.state_dict().values(), *hand.parameters(), torch.get_rng_state()]
    digest = hashlib.sha256()
    for tensor in numbers:
        digest.update(tensor.detach().numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def bare():
    return train()


def find_callables():
    """Yield (module, holder, name, function) of everything that our modules define."""
    for short in MODULES:
        module = importlib.import_module(f"relume.{short}")
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                yield module, module, name, value
            elif inspect.isclass(value) and value.__module__ == module.__name__:
                for inner, method in vars(value).items():
                    yield module, value, inner, method


def label_of(holder, name):
    return f"{holder.__name__}.{name}" if inspect.isclass(holder) else name


class Fault:
    """Raises from the n-th call on; counts before."""

    def __init__(self, first):
        self.first = first
        self.calls = 0

    def wrap(self, function):
        @wraps(function)
        def failing(*args, **named):
            self.calls += 1
            if self.first is not None and self.calls >= self.first:
                raise RuntimeError("planted")
            return function(*args, **named)

        return failing

    def wrap_any(self, value):
        if isinstance(value, property):
            return property(self.wrap(value.fget))
        if isinstance(value, classmethod | staticmethod):
            return type(value)(self.wrap(value.__func__))
        return self.wrap(value) if inspect.isfunction(value) else None


def plant(patch, module, holder, name, value, fault):
    """Put a fault in place of a callable, under every name that it is known by."""
    planted = fault.wrap_any(value)
    if planted is None:
        return False
    patch.setattr(holder, name, planted)
    if holder is module:
        for other in list(sys.modules.values()):
            if getattr(other, "__name__", "").startswith("relume."):
                for own, what in list(vars(other).items()):
                    if what is value:
                        patch.setattr(other, own, planted)
    return True


@contextmanager
def watched_writing_always(folder, **settings):
    """Watch, and write whenever a step ends."""
    with relume.watch(out=folder, report=False, every=1, **settings) as watch:
        recorder = watch._recorder
        if recorder is not None:
            recorder.output.open_writer = _writing_always(recorder.output.open_writer)
        yield watch


def watched(folder, **settings):
    """Train under a watch; return what came of it, and the recorder."""
    with watched_writing_always(folder, **settings) as watch:
        recorder = watch._recorder
        result = train()
    return result, recorder, watch


def _writing_always(open_writer):
    def opened():
        writer = open_writer()
        writer._flush_interval_s = 0.0
        return writer

    return opened


def namespace():
    """Return everything that a watch touches, object by object."""
    spaces = (
        torch, torch.Tensor, torch._C._nn, torch._VF, torch.nn.functional, torch.autograd,
        torch.amp.GradScaler, torch.utils.data.DataLoader, nn.Module, torch.optim.Optimizer,
    )  # fmt: skip
    found = {(space.__name__, name): id(v) for space in spaces for name, v in vars(space).items()}
    hooks = (
        module_hooks._global_forward_pre_hooks,
        module_hooks._global_forward_hooks,
        module_hooks._global_backward_hooks,
        optimizer_hooks._global_optimizer_pre_hooks,
        optimizer_hooks._global_optimizer_post_hooks,
    )
    return found, tuple(map(len, hooks))


def reached():
    """Return the callables that a watched training reaches, and how often."""
    counts = []
    with pytest.MonkeyPatch.context() as patch:
        for module, holder, name, value in list(find_callables()):
            label = label_of(holder, name)
            if label in DOORS or (name.startswith("__") and name not in {"__init__", "__add__"}):
                continue
            fault = Fault(None)
            if plant(patch, module, holder, name, value, fault):
                counts.append((module.__name__, label, fault))
        with tempfile.TemporaryDirectory() as folder:
            watched(Path(folder) / "run", quiet=True)
    return {(module, label): fault.calls for module, label, fault in counts if fault.calls}


def test_the_training_reaches_nearly_everything_that_we_do():
    found = {label for _, label in reached()}
    assert len(found) > 150, sorted(found)
    for label in ("Flows.before_update", "Certificates.note", "RunWriter.write_deaths", "_judge"):
        assert any(label in each for each in found), label


def test_a_fault_anywhere_leaves_the_training_as_it_was(bare, tmp_path, capfd):
    everything = reached()
    known = {(m.__name__, label_of(h, n)): (m, h, n, v) for m, h, n, v in find_callables()}
    assert train() == bare
    namespace_before = namespace()
    gc.freeze()  # what is there by now is not searched for networks 250 times
    wrong = []
    runs = [
        (key, (1, calls // 2 + 1)[number % 2])  # at the first call here, in the middle there
        for number, (key, calls) in enumerate(everything.items())
    ]
    for number, (key, first) in enumerate(runs):
        capfd.readouterr()
        fault = Fault(first)
        with pytest.MonkeyPatch.context() as patch:
            plant(patch, *known[key], fault)
            try:
                result, recorder, watch = watched(tmp_path / str(number))
            except Exception as error:  # noqa: BLE001
                wrong.append((key[1], first, f"raised {error!r}"))
                continue
        if result != bare:
            wrong.append((key[1], first, "other weights"))
        lines = capfd.readouterr().err.splitlines()
        if fault.calls >= first and (len(lines) != 1 or watch.fault is None):
            wrong.append((key[1], first, f"said {lines}, fault {watch.fault!r}"))
        if namespace() != namespace_before:
            recorder.stop()  # the fault was in what puts torch back: now it can
            if not key[1].endswith((".remove", ".detach", "disarm", ".pause")):
                wrong.append((key[1], first, "left something behind"))
        assert namespace() == namespace_before
    assert not wrong, "\n".join(map(str, wrong))


# What goes wrong outside of us: kills, full disks, folders that cannot be written to.


def test_a_run_file_opens_after_kills_at_any_time(tmp_path):
    kills = kill_often(tmp_path, kills=5, longest_s=1.2)
    assert len(kills) == 5
    assert all(kill.opens for kill in kills), kills
    assert max(kill.lost_s for kill in kills) < 1.5, kills


FILLED = (
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
    "database is locked",
)


@pytest.mark.parametrize("reason", FILLED)
@pytest.mark.parametrize("first", [1, 4, 15])
def test_an_error_of_the_store_is_one_warning(bare, tmp_path, capfd, monkeypatch, reason, first):
    calls, connect = [], sqlite3.connect

    class Connection:
        def __init__(self, *arguments, **named):
            self._real = connect(*arguments, **named)

        def execute(self, statement, *arguments):
            if statement.startswith("INSERT"):
                calls.append(statement)
                if len(calls) >= first:
                    raise sqlite3.OperationalError(reason)
            return self._real.execute(statement, *arguments)

        def __getattr__(self, name):
            return getattr(self._real, name)

    monkeypatch.setattr(sqlite3, "connect", Connection)
    result, _, watch = watched(tmp_path / "run")
    assert result == bare
    (line,) = capfd.readouterr().err.splitlines()
    assert reason in line
    assert len(calls) >= first
    assert watch.fault is not None


def test_a_limit_on_file_sizes_is_one_warning(bare, tmp_path, capfd):
    """The log is written in place of the file; at its limit the system refuses every write."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    with watched_writing_always(tmp_path / "run"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, usual[1]))
        try:
            assert train() == bare
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("relume: watching ended early: cannot write the run file")


def test_a_folder_that_cannot_be_made_is_one_warning(bare, tmp_path, capfd):
    (tmp_path / "file").write_text("in the way")
    watch = relume.watch(out=tmp_path / "file" / "run")
    with watch:
        assert train() == bare
    (line,) = capfd.readouterr().err.splitlines()
    assert "not a directory" in line.lower()
    assert watch.folder is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_may_not_be_written_to_is_one_warning(bare, tmp_path, capfd, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)  # a superuser is refused nothing
    with relume.watch(out=tmp_path / "run"):
        assert train() == bare
    (line,) = capfd.readouterr().err.splitlines()
    assert "permission denied" in line
    assert "choose a place that you may write to" in line


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_run_file_that_is_deleted_is_one_warning(bare, tmp_path, capfd, whole_folder):
    watch = relume.watch(out=tmp_path / "run", every=1)
    with watch:
        net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        net(torch.ones(2, 2)).sum().backward()
        optimizer.step()
        assert watch.folder is not None
        if whole_folder:
            shutil.rmtree(watch.folder)
        else:
            for path in watch.folder.iterdir():
                path.unlink()
        assert train() == bare
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("relume: watching ended early: ")


def test_a_closed_stderr_is_no_fault_of_the_training(bare, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(sys, "stderr", None)
    with relume.watch(out=tmp_path / "file" / "run"):
        assert train() == bare
