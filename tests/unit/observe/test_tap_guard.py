"""The tap disturbs nobody: odd tensors, other threads, its own faults, equal training."""

import threading

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from relume.observe.intercept import Interception, Switch
from relume.observe.naming import Names
from relume.observe.tally import Tally
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved


class Marked(torch.Tensor):
    """A subclass that does nothing."""


ODD = {
    "integers": (lambda: torch.tensor([[-1, 2]]), []),
    "booleans": (lambda: torch.tensor([[True]]).int(), []),
    "meta": (lambda: torch.ones(2, 3, device="meta"), []),
    "sparse": (lambda: torch.eye(3).to_sparse(), ["relu of a sparse tensor"]),
    "subclass": (lambda: torch.ones(2, 3).as_subclass(Marked), ["relu of Marked"]),
    "scalar": (lambda: torch.tensor(2.0), ["relu of a single row"]),
    "nested": (
        lambda: torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)]),
        ["relu of a nested tensor"],
    ),
}


@pytest.mark.filterwarnings("ignore:.*nested tensor")
@pytest.mark.parametrize("kind", ODD)
def test_odd_tensors_pass_untouched(watch, kind):
    make, missed = ODD[kind]
    x = make()
    expected = torch.relu(x)
    with watch() as watched:
        output = torch.relu(x)
    assert type(output) is type(expected)
    assert (output.layout, output.dtype, output.device) == (
        expected.layout,
        expected.dtype,
        expected.device,
    )
    if kind not in {"meta", "nested"}:
        assert torch.equal(output.to_dense(), expected.to_dense())
    assert watched.windows == {}
    assert watched.missed == missed


def test_complex_numbers_are_listed(watch):
    x = torch.randn(3, 4, dtype=torch.complex64)
    with watch() as watched:
        output = torch.tanh(x)
    assert torch.equal(output, x.tanh())
    assert watched.windows == {}
    assert watched.missed == ["tanh of complex numbers"]


def test_fake_tensors_pass_untouched(watch):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with watch() as watched, FakeTensorMode(allow_non_fake_inputs=True) as mode:
        output = model(mode.from_tensor(torch.ones(2, 3)))
    assert type(output).__name__ == "FakeTensor"
    assert watched.windows == {}
    assert watched.missed == ["relu of FakeTensor"]


def test_transforms_of_functions_are_listed(watch):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    parameters = dict(model.named_parameters())
    x = torch.randn(5, 3)

    def loss(parameters, row):
        return torch.func.functional_call(model, parameters, (row,)).sum()

    expected = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    with watch() as watched:
        found = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert watched.windows == {}
    assert watched.missed == ["relu of torch.func"]


def test_other_threads_are_ignored(watch):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with watch() as watched:
        thread = threading.Thread(target=lambda: model(torch.randn(5, 3)))
        thread.start()
        thread.join()
        torch.relu(torch.randn(2, 3))
    assert [window.rows for window in watched.windows.values()] == [2]


def test_nothing_is_seen_after_it_is_disarmed(watch):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with watch() as watched:
        output = model(torch.randn(5, 3))
        watched.tap.disarm()
        output.sum().backward()
        model(torch.randn(5, 3))
        watched.tap.arm()
        model(torch.randn(5, 3))
    assert watched.windows["1"].gradient_positions == 0


def test_exceptions_leave_the_stack_of_calls_in_order(watch):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with watch() as watched:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="shapes"):
                model(torch.randn(5, 2))
        model(torch.randn(5, 3)).sum().backward()
        assert len(watched.tap.calls.stack) == 1
    assert list(watched.windows) == ["1"]


FAULTS = [
    (Tally, "add_output"),
    (Tally, "add_input"),
    (Tally, "add_gradient"),
    (Tally, "fits"),
    (Names, "learn"),
    (Names, "of_weights"),
    (Names, "unique"),
    (Unobserved, "note"),
]


@pytest.mark.parametrize(
    ("owner", "name"), FAULTS, ids=lambda part: getattr(part, "__name__", part)
)
def test_a_fault_of_ours_reaches_nobody(monkeypatch, owner, name):
    def run():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(3, 4), nn.Hardswish(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)
        )
        cell = nn.LSTM(3, 4, num_layers=2, dropout=0.5)
        for _ in range(2):
            torch.relu(torch.eye(3).to_sparse())
            (model(torch.randn(5, 3)).sum() + cell(torch.randn(5, 2, 3))[0].sum()).backward()
        return [p.grad for m in (model, cell) for p in m.parameters()]

    def fail(*_args, **_named):
        raise OSError("planted")

    bare = run()
    monkeypatch.setattr(owner, name, fail)
    switch = Switch()
    interception = Interception(switch)
    interception.install()
    tap = ArmedTap(Names(), Unobserved())
    try:
        tap.arm()
        switch.tap = tap
        watched = run()
    finally:
        switch.tap = None
        tap.disarm()
        interception.remove()
    assert isinstance(tap.fault, OSError)
    assert all(torch.equal(a, b) for a, b in zip(bare, watched, strict=True))


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 6 * 6, 3)

    def forward(self, x):
        x = functional.relu(self.norm(self.conv(x.view(-1, 1, 8, 8))))
        return self.fc(functional.dropout(x.flatten(1), 0.3, training=self.training))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 2, 32, dropout=0.2, batch_first=True), 2
        )
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.layers(x.view(-1, 4, 16)).mean(1))


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        acts = (nn.ReLU(inplace=True), nn.LeakyReLU(0.1, inplace=True), nn.RReLU(inplace=True))
        self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(64, 64), act) for act in acts))
        self.dropout = nn.Dropout(0.2)
        self.last, self.head = nn.Linear(64, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.last(self.dropout(self.layers(x))).relu_())


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent = nn.LSTM(8, 6, num_layers=2, dropout=0.3, bidirectional=True)
        self.rnn = nn.RNN(12, 5, nonlinearity="relu")
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.rnn(self.recurrent(x.view(8, -1, 8))[0])[0][-1])


def mlp():
    layers = (nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.GELU(), nn.Dropout(0.1))
    return nn.Sequential(*layers, nn.Linear(32, 3))


def train(make, tap):
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for step in range(20):
        model.train()
        if tap is not None:
            tap.arm()
        loss = functional.cross_entropy(model(torch.randn(16, 64)), torch.randint(3, (16,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if tap is not None:
            tap.disarm()
            for tally in tap.tallies:
                tally.end_step(step)
        model.eval()
        with torch.no_grad():
            loss += model(torch.randn(4, 64)).sum()
    gradients = [p.grad for p in model.parameters()]
    return [*model.state_dict().values(), *gradients, loss, torch.get_rng_state()]


MODELS = [mlp, Convolutional, Transformer, InPlace, Recurrent]


@pytest.mark.filterwarnings("ignore:.*nested tensor")
@pytest.mark.parametrize("make", MODELS)
def test_training_is_bitwise_the_same(make):
    bare = train(make, None)
    switch = Switch()
    interception = Interception(switch)
    interception.install()
    tap = ArmedTap(Names(), Unobserved(), in_evaluation=True)
    switch.tap = tap
    try:
        watched = train(make, tap)
    finally:
        interception.remove()
    assert tap.fault is None
    assert tap.tallies
    assert all(tally.end_window(20).activity.rows for tally in tap.tallies)
    assert all(torch.equal(a, b) for a, b in zip(bare, watched, strict=True))
