"""No armed step waits for another device: proven on the device that has no numbers to wait for.

On ``meta`` tensors every operation has its shape and its place in the graph, and reading a number
raises. The tests take them for those of an accelerator.
"""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from relume.observe import plain
from relume.observe.recorder import Recorder
from relume.runs.store import RunWriter

ROWS, CLASSES, STEPS = 16, 3, 5
WAITING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


class HostReads(TorchDispatchMode):
    """Notes each operation whose result or whose shape the host needs from the device.

    Attributes:
        reads: The names of those operations, and of copies to the host.
        uploads: The names of the copies from it.
    """

    def __init__(self):
        super().__init__()
        self.reads, self.uploads, self.number = [], [], 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self.number += 1
        name = func.overloadpacket._qualified_op_name
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        device = kwargs.get("device")
        if any(each.is_meta for each in tensors):
            if self._waits(func, name, args) or device not in {None, torch.device("meta")}:
                self.reads.append(name)
            if name == "aten::copy_" and args[0].is_meta != args[1].is_meta:
                (self.uploads if args[0].is_meta else self.reads).append(name)
        elif tensors and device == torch.device("meta"):
            self.uploads.append(name)
        return func(*args, **kwargs)

    def _waits(self, func, name, args):
        if name in {"aten::index", "aten::index_put_"}:  # by positions they need not wait
            return any(each is not None and each.dtype == torch.bool for each in args[1])
        return bool(WAITING & set(func.tags))


@pytest.fixture
def on_meta(monkeypatch):
    """Let tensors without numbers count as plain ones of another device."""

    def has_plain_storage(z):
        return type(z) in {torch.Tensor, nn.Parameter} and z.layout is torch.strided

    def has_values(z):
        return z.is_floating_point() or z.is_complex()

    def is_loss(z):
        return isinstance(z, torch.Tensor) and z.numel() == 1

    instead = {"has_plain_storage": has_plain_storage, "has_values": has_values}
    for name, module in list(sys.modules.items()):
        for own, function in instead.items():
            if name.startswith("relume.observe.") and hasattr(module, own):
                monkeypatch.setattr(module, own, function)
    monkeypatch.setattr(sys.modules["relume.observe.seams"], "_is_loss", is_loss)
    with torch.device("meta"):
        yield
    assert plain.has_plain_storage is has_plain_storage


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(10, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.head(self.layer(self.tokens(x)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = kind(6, 8, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


def small():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, CLASSES))


def mlp():
    return nn.Sequential(
        nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 5), nn.PReLU(5), nn.Linear(5, 8), nn.GELU(),
        nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Hardswish(), nn.LayerNorm(8),
        nn.Linear(8, 8), nn.GLU(), nn.Linear(4, 4), nn.Softshrink(), nn.Linear(4, CLASSES),
    )  # fmt: skip


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(36, 7), nn.PReLU(), nn.Dropout(0.3), nn.Linear(7, CLASSES),
    )  # fmt: skip


def rows(*shape):
    return lambda: torch.empty(ROWS, *shape)


NETWORKS = {
    "small": (small, rows(6), 1),
    "mlp": (mlp, rows(6), 7),
    "cnn": (cnn, rows(1, 8, 8), 2),
    "transformer": (Encoder, lambda: torch.empty(ROWS, 5, dtype=torch.long), 1),
    "lstm": (lambda: Recurrent(nn.LSTM), rows(5, 6), 4),
}
"""How each is made, its inputs, and its sites."""


def classes():
    return torch.empty(ROWS, dtype=torch.long)


LOSSES = {
    "cross entropy": lambda p: functional.cross_entropy(p, classes()),
    "weighted sum": lambda p: functional.cross_entropy(
        p, classes(), weight=torch.empty(CLASSES), reduction="sum"
    ),
    "likelihood": lambda p: functional.nll_loss(p.log_softmax(1), classes()),
    "squares": lambda p: functional.mse_loss(p, torch.empty(ROWS, CLASSES)),
    "one amount": lambda p: functional.smooth_l1_loss(p[:, 0], torch.empty(ROWS)),
    "squares by hand": lambda p: ((p - torch.empty(ROWS, CLASSES)) ** 2).mean(),
    "classes by hand": lambda p: -p.log_softmax(1).gather(1, classes()[:, None]).mean(),
    "distribution by hand": lambda p: -(torch.empty(ROWS, CLASSES) * p.log_softmax(1)).sum(),
}


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


class ByHand:
    """Updates without an optimizer of torch."""

    def __init__(self, parameters):
        self.parameters = list(parameters)

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self):
        for parameter in self.parameters:
            parameter.sub_(parameter.grad, alpha=0.1)


class SeveralOptimizers:
    """A second one takes over the last layer after the first has stepped."""

    def __init__(self, parameters):
        *most, weight, bias = parameters
        self.all = [sgd(most), torch.optim.AdamW([weight, bias])]

    def zero_grad(self):
        for each in self.all:
            each.zero_grad()

    def step(self):
        for each in self.all:
            each.step()


class Scaler(torch.amp.GradScaler):
    """Scales as on an accelerator; whether gradients are finite is the training's own question."""

    def __init__(self):
        super().__init__("cpu", enabled=True)
        self._scale = torch.empty(())
        self._growth_tracker = torch.empty((), dtype=torch.int32)

    def step(self, optimizer):
        optimizer.step()


def recorded(tmp_path, network, loss, optimizer=sgd, *, scaler=None, steps=STEPS):
    """Train on armed steps whose window is never full; return what happened."""
    make, inputs, _ = NETWORKS[network]
    recorder = Recorder(lambda: RunWriter(tmp_path / "run.sqlite"), period=1)
    recorder.output.write_if_due = lambda *_: None
    uploads = []
    model = make()
    updates = optimizer(model.parameters())
    with HostReads() as host:
        recorder.start()
        for _ in range(steps):
            before = len(host.uploads)
            value = LOSSES[loss](model(inputs()))
            updates.zero_grad()
            (value if scaler is None else scaler.scale(value)).backward()
            updates.step() if scaler is None else scaler.step(updates)
            uploads.append(len(host.uploads) - before)
        recorder.pause()
    assert recorder.fault is None, repr(recorder.fault)
    assert recorder.armed_steps >= steps - 1  # without an optimizer the last is not yet over
    return SimpleNamespace(recorder=recorder, host=host, uploads=uploads)


def check(seen, network):
    assert seen.host.reads == []
    assert not any(seen.uploads[2:])  # tables of numbers of ours, once
    tallies = seen.recorder._tap.tallies
    assert len(tallies) == NETWORKS[network][2]
    for tally in tallies:  # it was measured, and nothing of it was read
        assert tally._sums.positions >= ROWS * (STEPS - 1)
        assert list(tally._sums._elsewhere) == [torch.device("meta")]
    assert seen.recorder.unobserved.counts == {}


@pytest.mark.parametrize("loss", ["cross entropy", "squares by hand"])
@pytest.mark.parametrize("network", list(NETWORKS))
def test_no_armed_step_waits(on_meta, tmp_path, network, loss):
    seen = recorded(tmp_path, network, loss)
    check(seen, network)
    assert len(seen.recorder._seen.losses._totals) == 1


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_no_loss_waits(on_meta, tmp_path, loss):
    seen = recorded(tmp_path, "small", loss)
    check(seen, "small")
    assert len(seen.recorder._seen.losses._totals) == 1


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, ByHand, SeveralOptimizers])
def test_no_way_to_update_waits(on_meta, tmp_path, optimizer):
    check(recorded(tmp_path, "small", "squares by hand", optimizer), "small")


def test_no_later_step_waits(on_meta, tmp_path):
    """What is looked at in the first steps alone, and what comes back every so many."""
    check(recorded(tmp_path, "small", "cross entropy", steps=35), "small")


@pytest.mark.parametrize("network", ["cnn", "transformer"])
def test_scaled_losses_do_not_wait(on_meta, tmp_path, network):
    seen = recorded(tmp_path, network, "cross entropy", scaler=Scaler())
    check(seen, network)
    assert seen.recorder._seams.gradient_scale is None  # it was seen, and forgotten at the update


def test_what_was_left_is_read_when_a_window_is_written(on_meta, tmp_path):
    """The detector sees the reads that are put off until then."""
    seen = recorded(tmp_path, "small", "cross entropy")
    tap, output = seen.recorder._tap, seen.recorder.output
    for read in (
        output._weights.settle,
        lambda: tap.tallies[0].end_window(STEPS),
        output._window.value,
        output._curve.value,
    ):
        with HostReads() as host, pytest.raises((NotImplementedError, RuntimeError), match="meta"):
            read()
        assert len(host.reads) == 1
