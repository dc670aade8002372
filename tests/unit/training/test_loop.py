import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from relume.monitor import Monitor
from relume.observe.schedule import every
from relume.runs.query import read_run
from relume.runs.store import RunWriter
from relume.training.loop import Loop, LoopSettings, Observers, Progress, TensorPart, outputs
from relume.training.objective import Regression

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(50, 4, generator=GENERATOR)
Y = X @ torch.tensor([1.0, -2.0, 0.5, 0.0])
NUMBERS = LoopSettings(
    epochs=6, batch_size=7, lr=0.01, weight_decay=0.1, warmup=0.25, patience=50, seed=3
)


def quiet(**given):
    nothing = {
        "on_step": lambda *_: None,
        "on_epoch": lambda *_: None,
        "checkpoint": lambda *_: None,
        "should_stop": lambda: False,
    }
    return Observers(**nothing | given)


@pytest.fixture
def loop_of(tmp_path):
    def build(numbers=NUMBERS, model=None, y=Y):
        if model is None:
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        writer = RunWriter(tmp_path / f"run{len(writers)}")
        writers.append(writer)
        monitor = Monitor(model, writer, armed=every(5), window_steps=10, example=X[:2])
        train, validation = TensorPart(X[:36], y[:36]), TensorPart(X[36:], y[36:])
        return Loop(model, train, validation, Regression(), numbers, monitor)

    writers = []
    yield build
    for writer in writers:
        writer.close()


def test_the_loop_equals_plain_torch(loop_of):
    """Warm-up, cosine, decay groups and order, written out by hand with torch's own parts."""
    loop = loop_of()
    twin = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    twin.load_state_dict(loop.model.state_dict())
    loop.run(quiet())
    matrices = [p for p in twin.parameters() if p.ndim == 2]
    vectors = [p for p in twin.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    losses, weights, step = [], [], 0
    for epoch in range(1, 7):
        generator = torch.Generator().manual_seed(3 * 1_000_003 + epoch)
        order = torch.randperm(36, generator=generator)
        # 36 rows in sevens leave one row over, which joins the batch before it.
        for rows in [*order[:28].split(7), order[28:]]:
            step += 1
            share = (step - 7.5) / 22.5
            warm = 0.01 * step / 7.5
            cosine = 0.005 * (1 + math.cos(math.pi * share))
            for group in optimizer.param_groups:
                group["lr"] = warm if step <= 7.5 else cosine
            optimizer.zero_grad()
            ((twin(X[rows])[:, 0] - Y[rows]) ** 2).mean().backward()
            optimizer.step()
        with torch.no_grad():
            losses.append(((twin(X[36:])[:, 0] - Y[36:]) ** 2).mean().item())
        weights.append({name: value.clone() for name, value in twin.state_dict().items()})
    assert loop.progress.step == step == 30
    assert loop.progress.best_epoch == losses.index(min(losses)) + 1
    best = weights[loop.progress.best_epoch - 1]
    for name, value in loop.model.state_dict().items():
        torch.testing.assert_close(value, best[name], rtol=1e-6, atol=1e-7)


def test_the_cosine_is_torchs_own(loop_of):
    numbers = LoopSettings(
        epochs=4, batch_size=9, lr=0.3, weight_decay=0.0, warmup=0.0, patience=9, seed=0
    )
    loop = loop_of(numbers)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    peer = CosineAnnealingLR(optimizer, T_max=loop.steps)
    for step in range(1, loop.steps + 1):
        optimizer.step()
        peer.step()
        assert loop.rate(step) == pytest.approx(peer.get_last_lr()[0], abs=1e-12)


def test_it_stops_when_nothing_improves_and_keeps_the_best(loop_of):
    """A validation target that has nothing to do with the training target gets ever worse."""
    y = Y.clone()
    y[36:] = -Y[36:] * 3
    numbers = LoopSettings(
        epochs=100, batch_size=36, lr=0.05, weight_decay=0.0, warmup=0.0, patience=4, seed=0
    )
    loop = loop_of(numbers, y=y)
    epochs = []
    loop.run(quiet(on_epoch=epochs.append))
    losses = [epoch.validation_loss for epoch in epochs]
    best = losses.index(min(losses))
    assert len(epochs) == best + 1 + 4 < 100
    assert loop.progress.best_epoch == best + 1
    assert "no better validation loss for 4 epochs" in loop.progress.stopped
    restored = Regression().plain_loss(outputs(loop.model, X[36:]), y[36:]).mean().item()
    assert restored == pytest.approx(losses[best], rel=1e-6)


def test_a_request_to_stop_ends_it_after_the_step(loop_of):
    loop = loop_of()
    steps = []
    loop.run(quiet(on_step=lambda *at: steps.append(at), should_stop=lambda: len(steps) == 8))
    assert (loop.progress.step, loop.progress.epoch, loop.progress.stopped) == (8, 1, "interrupted")
    assert steps[-1][:2] == (8, 30)


def test_a_loss_that_is_not_finite_ends_it(loop_of):
    y = Y.clone()
    y[5] = math.nan
    loop = loop_of(y=y)
    loop.run(quiet())
    assert loop.progress.stopped == "diverged in epoch 1: the loss is not finite"
    assert loop.progress.best_epoch == 0


def test_watching_changes_no_weight(loop_of, tmp_path):
    watched = loop_of()
    watched.run(quiet())
    bare = loop_of()
    bare._monitor._armed = lambda step: False
    bare.run(quiet())
    for name, value in watched.model.state_dict().items():
        assert torch.equal(value, bare.model.state_dict()[name])
    assert sum(w.armed_steps for w in read_run(tmp_path / "run0").windows) > 0
    assert sum(w.armed_steps for w in read_run(tmp_path / "run1").windows) == 0


def test_progress_survives_json():
    for progress in (Progress(), Progress(3, 40, 2, 0.5, 1, "why")):
        assert Progress.from_json(progress.to_json()) == progress


def test_outputs_are_those_of_eval_mode_and_leave_the_mode_alone():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    model.train()
    first = outputs(model, X)
    assert torch.equal(first, outputs(model, X))
    assert model.training
    assert torch.allclose(first, model.eval()(X))


def test_a_gradient_is_clipped_to_its_largest_norm_between_record_and_update(loop_of):
    """Plain descent moves by the rate times the clipped gradient; the second step's rate is 0."""
    moved, norms = {}, {}
    for clip in (None, 0.5, 1e9):
        numbers = replace(NUMBERS, epochs=2, batch_size=36, warmup=0.5, clip=clip)
        loop = loop_of(numbers)
        loop.optimizer = torch.optim.SGD(loop.model.parameters(), lr=0.01)
        before = torch.cat([p.detach().flatten().clone() for p in loop.model.parameters()])
        loop.run(quiet())
        after = torch.cat([p.detach().flatten() for p in loop.model.parameters()])
        moved[clip] = after - before
        norms[clip] = moved[clip].norm().item() / 0.01
    assert torch.equal(moved[None], moved[1e9])
    assert norms[0.5] == pytest.approx(0.5, rel=1e-4)
    assert norms[None] > 1
    torch.testing.assert_close(
        moved[0.5] / norms[0.5], moved[None] / norms[None], rtol=1e-4, atol=1e-6
    )


def test_averaging_scores_and_keeps_the_means_of_the_weights(loop_of):
    numbers = replace(NUMBERS, averaging=0.5)
    loop, plain = loop_of(numbers), loop_of()
    plain.model.load_state_dict(loop.model.state_dict())
    seen, means, states = [], None, []

    def follow(step, *_):
        """The definition, beside: the weights themselves train on as without averaging."""
        nonlocal means
        weights = [p.detach().double() for p in loop.model.parameters()]
        share = max(1 / (0.5 * loop.steps_per_epoch), 9 / (10 + step - 1))
        if means is None:
            means = weights
        else:
            means = [m + share * (w - m) for m, w in zip(means, weights, strict=True)]

    def ended(epoch):
        seen.append(epoch.validation_loss)
        states.append([m.float() for m in means])

    loop.run(quiet(on_step=follow, on_epoch=ended))
    plain.run(quiet())
    for p, m in zip(loop.model.parameters(), states[loop.progress.best_epoch - 1], strict=True):
        torch.testing.assert_close(p.detach(), m, rtol=1e-4, atol=1e-6)
    loss = Regression().plain_loss(outputs(loop.model, X[36:]), Y[36:]).mean().item()
    assert loss == pytest.approx(min(seen))
    assert min(seen) != pytest.approx(plain.progress.best_loss)
