import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from relume.observe import output
from relume.observe.loss_watch import FIRST_LOSSES
from relume.observe.recorder import Recorder
from relume.observe.schedule import FIRST_LOOKS, FIRST_STEPS, LOOK_EVERY
from relume.runs.facts import LossFacts
from relume.runs.query import read_run
from relume.runs.store import RunWriter


@pytest.fixture
def record(tmp_path):
    """Return a function that records a training at every step and reads what came of it."""

    def recorded(train, **settings):
        path = tmp_path / "run.sqlite"
        recorder = Recorder(lambda: RunWriter(path), **({"period": 1} | settings))
        recorder.start()
        try:
            train()
        finally:
            recorder.stop()
        if recorder.output.writer is not None:
            recorder.output.writer.close()
        assert recorder.fault is None
        return read_run(path) if path.exists() else None

    return recorded


def mlp():
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 2))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 7), nn.ReLU(),
        nn.Linear(7, 2),
    )  # fmt: skip


@pytest.mark.parametrize(("make", "shape"), [(mlp, (16, 6)), (cnn, (16, 1, 8, 8))])
def test_the_counts_are_those_of_hooks(record, make, shape):
    """Every step is armed: hooks that count by force see the same firing, sums and gradients."""
    torch.manual_seed(0)
    net = make()
    seen = {}

    def watch(module, _, a):
        axes = [axis for axis in range(a.ndim) if axis != 1]
        mine = seen.setdefault(module, [0, 0, 0.0, 0.0, 0.0])
        mine[0] += a.shape[0]
        mine[1] += (a > 0).sum(axes)
        mine[2] += a.detach().double().sum(axes)
        mine[3] += a.detach().double().square().sum(axes)

        def receive(gradient):
            mine[4] += gradient.double().abs().sum(axes)

        a.register_hook(receive)

    for module in net:
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(watch)
    losses = []

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for step in range(70):
            optimizer.param_groups[0]["lr"] = 0.05 / (1 + step)
            x = torch.randn(*shape)
            loss = functional.cross_entropy(net(x), (x.flatten(1)[:, 0] > 0).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    run = record(train)
    assert run.last_step == 70
    whole = sum(run.windows[1:], start=run.windows[0])
    assert whole.armed_steps == 70
    assert whole.loss.mean == pytest.approx(np.mean(losses))
    assert whole.loss.greatest == max(losses)
    assert whole.learning_rate == 0.05 / 70
    for part, (rows, fired, total, squares, gradient) in zip(
        whole.layers, seen.values(), strict=True
    ):
        assert part.activity.rows == rows == 70 * 16
        np.testing.assert_array_equal(part.activity.fired, fired)
        np.testing.assert_allclose(part.activity.total, total, rtol=1e-6)
        np.testing.assert_allclose(part.activity.total_square, squares, rtol=1e-6)
        np.testing.assert_allclose(part.activity.absolute_gradient, gradient, rtol=1e-5)
        assert part.gradient_norm.count == part.update_ratio.count == 70


def test_accumulated_passes_make_a_step_with_the_sum_of_their_losses(record):
    torch.manual_seed(0)
    net, losses = mlp(), []

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for _ in range(12):
            optimizer.zero_grad()
            for _ in range(3):
                loss = net(torch.randn(8, 6)).square().mean() / 3
                loss.backward()
                losses.append(loss.item())
            optimizer.step()

    run = record(train)
    assert run.last_step == 12
    whole = sum(run.windows[1:], start=run.windows[0])
    assert whole.loss.mean == pytest.approx(sum(losses) / 12)
    assert whole.layers[0].activity.rows == 12 * 3 * 8


def test_a_skipped_update_is_no_step_and_its_loss_does_not_count(record):
    torch.manual_seed(0)
    net = mlp()

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        for attempt in range(6):
            optimizer.zero_grad()
            loss = net(torch.randn(8, 6)).square().mean() * 0 + 1.0
            factor = float("inf") if attempt in {0, 3} else 1.0
            hook = net[0].weight.register_hook(lambda g, by=factor: g * 0 + by)
            scaler.scale(loss).backward()
            hook.remove()
            scaler.step(optimizer)
            scaler.update()

    run = record(train)
    assert run.last_step == 4
    whole = sum(run.windows[1:], start=run.windows[0])
    assert (whole.loss.count, whole.loss.mean) == (4, 1.0)


@pytest.mark.parametrize("fused", [False, True])
def test_gradients_are_measured_without_their_scale(record, fused):
    torch.manual_seed(0)
    net, norms = mlp(), []

    def train():
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
        for _ in range(5):
            optimizer.zero_grad()
            scaler.scale(net(torch.randn(8, 6)).square().mean()).backward()
            parts = [p.grad.double().norm() / 256 for p in net[0].parameters()]
            norms.append(torch.stack(parts).norm().item())
            scaler.step(optimizer)
            scaler.update()

    run = record(train)
    whole = sum(run.windows[1:], start=run.windows[0])
    assert run.layers[0].units == 9
    assert whole.layers[0].gradient_norm.mean == pytest.approx(np.mean(norms), rel=1e-5)


@pytest.mark.parametrize("how", ["grad", "data"])
def test_weights_updated_by_hand_have_steps_and_ratios(record, how):
    torch.manual_seed(0)
    w = (torch.randn(6, 9) / 3).requires_grad_()
    v = torch.randn(9, 1).requires_grad_()
    ratios = []

    def train():
        for _ in range(20):
            loss = (torch.relu(torch.randn(8, 6) @ w) @ v).square().mean()
            before = w.detach().clone()
            if how == "grad":
                gradients = torch.autograd.grad(loss, [w, v])
                with torch.no_grad():
                    for weight, gradient in zip((w, v), gradients, strict=True):
                        weight.sub_(0.01 * gradient)
            else:
                loss.backward()
                for weight in (w, v):
                    weight.data -= 0.01 * weight.grad
                    weight.grad = None
            ratios.append(((w.detach() - before).norm() / before.norm()).item())

    run = record(train)
    assert run.last_step == 20
    whole = sum(run.windows[1:], start=run.windows[0])
    assert whole.layers[0].activity.rows == 20 * 8
    assert math.isnan(whole.learning_rate)
    assert whole.layers[0].update_ratio.count >= 15
    assert min(ratios) <= whole.layers[0].update_ratio.mean <= max(ratios)
    assert whole.layers[0].update_ratio.greatest == pytest.approx(max(ratios), rel=1e-4)


def test_a_judge_and_a_maker_share_their_steps(record):
    torch.manual_seed(0)
    judge, maker = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)), mlp()

    def train():
        first = torch.optim.Adam(judge.parameters(), lr=0.01)
        second = torch.optim.Adam(maker.parameters(), lr=0.02)
        for _ in range(15):
            first.zero_grad()
            judge(torch.cat([maker(torch.randn(8, 6)), torch.ones(8, 1)], 1)).mean().backward()
            first.step()
            second.zero_grad()
            (-judge(torch.cat([maker(torch.randn(8, 6)), torch.ones(8, 1)], 1)).mean()).backward()
            second.step()

    run = record(train)
    assert run.last_step == 15
    assert {layer.units for layer in run.layers} == {5, 8, 9}


def test_a_rate_that_is_a_tensor_is_read(record):
    net = mlp()

    def train():
        optimizer = torch.optim.Adam(net.parameters(), lr=torch.tensor(0.25))
        for _ in range(3):
            net(torch.randn(8, 6)).sum().backward()
            optimizer.step()

    assert record(train).windows[-1].learning_rate == 0.25


def test_epochs_and_scores_are_written(record):
    torch.manual_seed(0)
    net = mlp()
    data = torch.utils.data.TensorDataset(torch.randn(20, 6))

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            for (x,) in torch.utils.data.DataLoader(data, batch_size=5):
                optimizer.zero_grad()
                net(x).square().mean().backward()
                optimizer.step()
            with torch.no_grad():
                list(torch.utils.data.DataLoader(torch.randn(4, 6)))

    run = record(train)
    assert [epoch.step for epoch in run.epochs] == [4, 8, 12]
    assert run.last_step == 12


def test_windows_stay_few_in_a_long_run(record, monkeypatch):
    monkeypatch.setattr(output, "WRITE_EVERY_S", 0.0)
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(700):
            optimizer.zero_grad()
            net(torch.randn(4, 2)).sum().backward()
            optimizer.step()

    run = record(train, period=10)
    firsts = [window.first_step for window in run.windows]
    assert firsts == list(range(1, 700, 50))
    assert run.windows[-1].last_step == 700
    assert sum(window.armed_steps for window in run.windows) == 8 + 69 + 1


def test_a_budget_that_allows_it_arms_steps_to_the_end(record):
    """The plan asks for some plain steps to compare with, and arms all the others."""
    net = mlp()

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for _ in range(90):
            net(torch.randn(8, 6)).square().mean().backward()
            optimizer.step()

    run = record(train, period=None, budget=1e6)
    assert run.last_step == 90
    assert sum(window.armed_steps for window in run.windows) >= 60


@pytest.mark.parametrize(
    ("settings", "looks"),
    [
        ({}, 60),
        ({"is_full": False}, FIRST_LOSSES),
        ({"period": None, "budget": 1e6}, None),
    ],
)
def test_how_many_steps_are_looked_at_in_full(record, settings, looks):
    """Units on every measured step; losses and weights on each, some or none of them."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

    def train():
        for _ in range(60):
            optimizer.zero_grad()
            functional.cross_entropy(net(torch.randn(8, 6)), torch.randint(2, (8,))).backward()
            optimizer.step()

    run = record(train, **settings)
    armed = sum(window.armed_steps for window in run.windows)
    assert run.windows[-1].layers[0].activity.rows > 0
    calls = sum(fact.calls for fact in run.of(LossFacts))
    updates = sum(window.weights[0].update_ratio.count for window in run.windows if window.weights)
    if looks is None:
        looks = FIRST_STEPS + FIRST_LOOKS + (armed - FIRST_STEPS - FIRST_LOOKS) // LOOK_EVERY
        assert looks < armed
    assert calls == looks
    assert updates == (looks if settings.get("is_full", True) else 0)


def test_the_overhead_is_told(record):
    net = mlp()
    recorder = Recorder(lambda: None, budget=0.5)
    told = recorder.overhead()
    assert told["steps"] == told["armed_steps"] == 0
    assert told["budget"] == 0.5
    assert "measured_share" not in told
    assert net is not None


def test_without_a_step_there_is_no_run_file(record):
    net = mlp()

    def evaluate():
        with torch.no_grad():
            net(torch.randn(8, 6))

    assert record(evaluate) is None
