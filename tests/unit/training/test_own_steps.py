import os
import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import optimizer as torch_optimizer

import relume
from relume.errors import DataError, OutputError, SettingsError, UnknownNameError
from relume.nn.gan import gan
from relume.report.document import build_document
from relume.report.wording import number
from relume.runs.query import read_run
from relume.training.loop import epoch_generator, in_batches

X = torch.randn(70, 4, generator=torch.Generator().manual_seed(0))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0])).unsqueeze(1)
NEVER = 10**9


def mlp():
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))


def squared(model, batch):
    x, y = batch
    return (model(x) - y).square().mean()


def flat(model):
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


def adversarial(model):
    """Two optimizers; the discriminator sees real rows, made ones, and made ones again."""
    generator, discriminator = model
    g = torch.optim.Adam(generator.parameters(), lr=1e-3)
    d = torch.optim.Adam(discriminator.parameters(), lr=1e-3)

    def step(_, real):
        fake = generator(torch.randn(len(real), 3))
        d_loss = (
            nn.functional.softplus(-discriminator(real)).mean()
            + nn.functional.softplus(discriminator(fake.detach())).mean()
        )
        d.zero_grad()
        d_loss.backward()
        d.step()
        g_loss = nn.functional.softplus(-discriminator(fake)).mean()
        g.zero_grad()
        g_loss.backward()
        g.step()
        return {"discriminator": d_loss, "generator": g_loss.item()}

    return step


def small_gan():
    torch.manual_seed(3)
    return gan(3, 4, hidden=(8, 6))


def orders(epochs, size=64, seed=0):
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(X), generator=epoch_generator(seed, epoch))
        yield from in_batches(order, size)


def no_hook_is_left(*models):
    for model in models:
        for module in model.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
            assert not module._backward_hooks
    assert not torch_optimizer._global_optimizer_pre_hooks
    assert not torch_optimizer._global_optimizer_post_hooks


def test_a_returned_loss_is_minimised_as_plain_torch_would(tmp_path):
    """AdamW on matrices with decay, warm-up, cosine and clipping, written out by hand."""
    model, twin = mlp(), mlp()
    options = {"epochs": 4, "batch_size": 16, "lr": 0.01, "clip": 0.5, "every": 1, "seed": 5}
    result = relume.fit(model, (X, Y), step=squared, out=tmp_path / "a", **options)
    groups = [
        {"params": [twin[0].weight, twin[3].weight], "weight_decay": 0.01},
        {"params": [twin[0].bias, twin[3].bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    torch.manual_seed(5)
    batches = list(orders(4, 16, seed=5))
    losses = []
    for step, rows in enumerate(batches, start=1):
        warm = 0.05 * len(batches)
        share = (step - warm) / (len(batches) - warm)
        rate = 0.01 * step / warm if step <= warm else 0.005 * (1 + np.cos(np.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = squared(twin, (X[rows], Y[rows]))
        loss.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    torch.testing.assert_close(flat(model), flat(twin), rtol=1e-7, atol=1e-8)
    sizes = np.reshape([len(rows) for rows in batches], (4, -1))
    means = np.average(np.reshape(losses, (4, -1)), axis=1, weights=sizes)
    assert result.losses["loss"] == pytest.approx(means)
    assert (result.status, result.exit_code, result.model) == ("finished", 0, model)
    no_hook_is_left(model)


class Listener:
    """Keeps what it is told, and torch's random state after each epoch."""

    def __init__(self):
        self.steps, self.epochs, self.random = [], [], None

    def step(self, step, steps, loss):
        self.steps.append((step, steps))

    def epoch(self, epoch):
        self.epochs.append(epoch)
        self.random = torch.get_rng_state()


@pytest.mark.parametrize("every", [1, 3, NEVER])
def test_a_gan_gets_the_weights_of_a_bare_loop_bitwise(tmp_path, every):
    bare, model, listener = small_gan(), small_gan(), Listener()
    step = adversarial(bare)
    before = torch.get_rng_state()
    relume.fit(
        model, X, step=adversarial(model), out=tmp_path / "a", epochs=3, batch_size=16,
        seed=11, every=every, audience=listener,
    )  # fmt: skip
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(11)
    for rows in orders(3, 16, seed=11):
        step(bare, X[rows])
    assert torch.equal(flat(model), flat(bare))
    assert torch.equal(listener.random, torch.get_rng_state())
    assert listener.steps == [(number, 15) for number in range(1, 16)]
    assert [epoch.epoch for epoch in listener.epochs] == [1, 2, 3]
    no_hook_is_left(model)


def test_a_gan_is_watched_pass_by_pass_and_optimizer_by_optimizer(tmp_path):
    model = small_gan()
    result = relume.fit(
        model, X, step=adversarial(model), out=tmp_path / "a", epochs=2, batch_size=35, every=1,
        examine=lambda both, real: both(torch.randn(len(real), 3)),
    )  # fmt: skip
    run = read_run(tmp_path / "a" / "run.sqlite")
    names = [layer.name for layer in run.layers]
    assert names == [
        "generator.network.hidden.0.activation", "generator.network.hidden.1.activation",
        "tanh(generator.network.head)",
        "discriminator.hidden.0.activation", "discriminator.hidden.1.activation",
    ]  # fmt: skip
    first, *later = run.windows
    parts = (first + later[0] + later[1] + later[2]).layers
    assert [part.activity.rows for part in parts] == [4 * 35] * 3 + [4 * 3 * 35] * 2
    assert [part.gradient_norm.count for part in parts] == [4] * 5
    assert all(part.update_ratio.greatest < 0.2 for part in parts)
    assert all(part.update_ratio.least > 0 for part in parts)
    assert [activity.rows for activity in run.examination] == [70] * 5
    assert run.info.status == "finished"
    assert set(run.losses[2]) == {"discriminator", "generator"}
    for name in ("discriminator", "generator"):
        assert run.losses[2][name] == result.losses[name][1]
    assert run.epochs[1].train_loss == pytest.approx(sum(run.losses[2].values()))
    assert any("loss is the sum of" in note for note in result.notes)
    document = build_document(run)
    assert "Validation loss: not observed." in document.missing
    told = [f"{name} {number(run.losses[2][name])}" for name in run.losses[2]]
    assert f"Mean of each loss over epoch 2: {', '.join(told)}." in document.measurement


def test_the_flow_of_each_optimizer_against_a_hand_computation(tmp_path):
    model = small_gan()
    step, seen = adversarial(model), []
    owner = model.discriminator.hidden[0].linear

    def spying(both, real):
        before = torch.cat([p.detach().flatten() for p in owner.parameters()])
        handle = torch_optimizer.register_optimizer_step_pre_hook(
            lambda optimizer, *_: seen.append(
                torch.cat([p.grad.flatten() for p in owner.parameters()]).norm().item()
                if optimizer.param_groups[0]["params"][0] is next(model.discriminator.parameters())
                else None
            )
        )
        losses = step(both, real)
        handle.remove()
        after = torch.cat([p.detach().flatten() for p in owner.parameters()])
        seen.append(((after - before).norm() / before.norm()).item())
        return losses

    relume.fit(model, X, step=spying, out=tmp_path / "a", epochs=2, batch_size=70, every=1)
    (window,) = read_run(tmp_path / "a" / "run.sqlite").windows[1:]
    gradient, _, ratio = seen[3:]
    assert window.layers[3].gradient_norm.mean == pytest.approx(gradient, rel=1e-5)
    assert window.layers[3].update_ratio.mean == pytest.approx(ratio, rel=1e-4)


def test_a_tuple_of_modules_is_numbered_and_handed_over_as_it_is(tmp_path):
    pair = tuple(small_gan())
    step = adversarial(pair)

    def checked(models, real):
        assert models is pair
        return step(models, real)

    result = relume.fit(pair, X.numpy(), step=checked, out=tmp_path / "a", epochs=1)
    assert result.run.layers[3].name == "1.hidden.0.activation"
    assert any("examine=" in note for note in result.notes)
    assert not result.run.examination


def test_lbfgs_with_a_closure(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5)

    def step(_, batch):
        def closure():
            optimizer.zero_grad()
            loss = squared(model, batch)
            loss.backward()
            return loss

        return optimizer.step(closure)

    result = relume.fit(model, [(X, Y)], step=step, out=tmp_path / "a", epochs=6, every=1)
    assert result.losses["loss"][-1] < 0.1 * result.losses["loss"][0]
    layer = result.run.windows[-1].layers[0]
    assert layer.gradient_norm.count == 1
    assert layer.update_ratio.mean > 0
    assert result.run.examination[0].rows == 70
    no_hook_is_left(model)


def test_a_site_that_is_used_late_joins_late(tmp_path):
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(nn.Linear(4, 5), nn.ReLU())
            self.second = nn.Sequential(nn.Linear(5, 6), nn.ReLU())
            self.never = nn.ReLU()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            x = self.first(x)
            return self.second(x).sum() if self.calls > 12 else x.sum()

    torch.manual_seed(0)
    result = relume.fit(
        Late(), X, step=lambda model, x: model(x), out=tmp_path / "a",
        epochs=20, batch_size=70, every=1,
    )  # fmt: skip
    run = result.run
    assert [layer.name for layer in run.layers] == ["first.1", "second.1"]
    rows = [[part.activity.rows for part in window.layers] for window in run.windows]
    assert np.sum(rows, axis=0).tolist() == [20 * 70, 8 * 70]
    assert len(run.lifetimes) == 2
    assert "not observed, since not called: never" in result.notes


def test_the_best_epoch_is_kept(tmp_path):
    model, seen = mlp(), []

    def validate(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        seen.append(flat(model).clone())
        return [0.1, 0.9, 0.5][len(seen) - 1]

    result = relume.fit(
        model, (X, Y), step=squared, validate=validate, out=tmp_path / "a", epochs=3
    )
    assert result.score == 0.9
    assert torch.equal(flat(model), seen[1])
    assert model.training
    run = result.run
    assert [epoch.validation_score for epoch in run.epochs] == [0.1, 0.9, 0.5]
    assert run.info.result["best_epoch"] == 2
    from safetensors.torch import load_file

    twin = mlp()
    twin.load_state_dict(load_file(tmp_path / "a" / "weights.safetensors"))
    assert torch.equal(flat(twin), seen[1])


class Items(torch.utils.data.Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return X[row], Y[row]


@pytest.mark.parametrize(
    "data", [(X, Y), (X.numpy(), Y.numpy().astype(np.float64)), Items(),
             torch.utils.data.TensorDataset(X, Y)]
)  # fmt: skip
def test_rows_are_shuffled_by_the_seed_whatever_they_come_as(tmp_path, data):
    model, reference = mlp(), mlp()
    options = {"step": squared, "epochs": 2, "batch_size": 23, "seed": 9}
    relume.fit(model, data, out=tmp_path / "a", **options)
    batches = [(X[rows], Y[rows]) for rows in orders(2, 23, seed=9)]
    relume.fit(reference, batches, step=squared, epochs=1, seed=9, out=tmp_path / "b")
    assert torch.equal(flat(model), flat(reference))


def test_a_loader_is_taken_as_it_comes(tmp_path):
    loader = torch.utils.data.DataLoader(Items(), 30, shuffle=True)
    seen = []

    def step(model, batch):
        seen.append(len(batch[0]))
        return squared(model, batch)

    result = relume.fit(mlp(), loader, step=step, out=tmp_path / "a", epochs=2)
    assert seen == [30, 30, 10] * 2
    assert result.run.examination[0].rows == 70


def test_a_generator_lasts_one_epoch(tmp_path):
    result = relume.fit(
        mlp(), ((x, y) for x, y in zip(X.split(35), Y.split(35), strict=True)),
        step=squared, out=tmp_path / "a",
    )  # fmt: skip
    assert len(result.losses["loss"]) == 1
    assert result.run.windows[-1].last_step == 2
    assert any("read only once" in note for note in result.notes)


def test_a_fault_of_the_step_comes_out_unchanged(tmp_path):
    model = mlp()
    error = KeyError("theirs")

    def step(model, batch):
        loss = squared(model, batch)
        raise error
        return loss

    with pytest.raises(KeyError) as caught:
        relume.fit(model, (X, Y), step=step, out=tmp_path / "a")
    assert caught.value is error
    assert read_run(tmp_path / "a" / "run.sqlite").info.status == "failed"
    no_hook_is_left(model)


def test_ctrl_c_stops_after_the_present_step(tmp_path):
    model, steps = mlp(), []

    def step(model, batch):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return squared(model, batch)

    result = relume.fit(model, (X, Y), step=step, out=tmp_path / "a", batch_size=20)
    assert (result.status, result.exit_code, len(steps)) == ("interrupted", 130, 5)
    assert result.run.last_step == 5
    assert result.run.info.status == "interrupted"
    assert result.run.examination[0].rows == 70
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    no_hook_is_left(model)


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    result = relume.fit(
        mlp(), (X, Y), step=lambda *given: squared(*given) * torch.nan, out=tmp_path / "a"
    )
    assert "diverged in epoch 1" in result.run.info.result["stopped"]


def test_nothing_returned_and_nothing_updated_is_said(tmp_path):
    def step(model, batch):
        model(batch)

    result = relume.fit(mlp(), X, step=step, out=tmp_path / "a", epochs=2)
    assert np.isnan(result.losses["loss"]).all()
    assert len(result.losses["loss"]) == 2
    assert result.run.windows[0].loss.count == 0
    assert any("no torch optimizer updated the model" in note for note in result.notes)


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def updating(model):
    optimizer = sgd(model)

    def step(model, batch):
        optimizer.zero_grad()
        loss = squared(model, batch)
        loss.backward()
        optimizer.step()
        return loss

    return step


def test_a_step_may_return_the_loss_that_it_has_minimised_itself(tmp_path):
    model, bare = mlp(), mlp()
    relume.fit(model, (X, Y), step=updating(model), out=tmp_path / "a", epochs=2, batch_size=16)
    torch.manual_seed(0)
    step = updating(bare)
    for rows in orders(2, 16):
        step(bare, (X[rows], Y[rows]))
    assert torch.equal(flat(model), flat(bare))


MODEL = mlp()
WRONG = [
    ((MODEL, X), {}, SettingsError, "a model of your own needs a step"),
    (("iris",), {"step": squared}, SettingsError, "step= goes with a model of your own"),
    ((MODEL,), {"step": squared}, SettingsError, "takes a model and data"),
    ((MODEL, X), {"step": 3}, SettingsError, "step must be a function; got 3"),
    ((MODEL, X), {"step": squared, "epoch": 3}, UnknownNameError, "did you mean epochs"),
    ((MODEL, X), {"step": squared, "epochs": 0}, SettingsError, "at least 1; got 0"),
    ((MODEL, X), {"step": squared, "lr": "high"}, SettingsError, "lr must be a number"),
    ((MODEL, [X]), {"step": squared, "batch_size": 3}, SettingsError, "no effect on batches"),
    ((MODEL, iter([X])), {"step": squared, "epochs": 3}, SettingsError, "read only once"),
    ((MODEL, (X, Y[:3])), {"step": squared}, DataError, "same number of rows; got 70, 3"),
    ((MODEL, X[:0]), {"step": squared}, DataError, "holds no row"),
    ((MODEL, []), {"step": squared}, DataError, "holds no batch"),
    ((MODEL, "iris"), {"step": squared}, DataError, "got a str"),
    ((MODEL, np.array(["a"])), {"step": squared}, DataError, "no numbers"),
    ((MODEL, X), {"step": squared, "optimizer": "adam"}, SettingsError, "a torch optimizer"),
    (
        (MODEL, X),
        {"step": squared, "optimizer": torch.optim.LBFGS(MODEL.parameters())},
        SettingsError,
        "inside your step",
    ),
    (
        (MODEL, X), {"step": squared, "optimizer": sgd(MODEL), "lr": 0.1}, SettingsError,
        "lr is the given optimizer's own",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "options", "kind", "message"), WRONG)
def test_what_cannot_be_used_gets_one_line_and_no_folder(
    tmp_path, monkeypatch, given, options, kind, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message) as caught:
        relume.fit(*given, **options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


RETURNED = [
    (lambda model, x: model(x), {}, "has shape"),
    (lambda model, x: "low", {}, "is a str"),
    (lambda model, x: {"a": [1]}, {}, "'a' that the step returned is a list"),
    (lambda model, x: 1.0, {"clip": 1.0}, "clip would have no effect"),
    (lambda model, x: model(x).mean(), {"validate": lambda _: "good"}, "got a str"),
]


@pytest.mark.parametrize(("step", "options", "message"), RETURNED)
def test_what_a_step_may_not_return(tmp_path, step, options, message):
    with pytest.raises(SettingsError, match=message):
        relume.fit(mlp(), X, step=step, out=tmp_path / "a", **options)
    assert read_run(tmp_path / "a" / "run.sqlite").info.status == "failed"


def test_an_option_of_our_update_beside_an_update_of_their_own(tmp_path):
    model = mlp()
    with pytest.raises(SettingsError, match="lr would have no effect.*optimizer stepped inside"):
        relume.fit(model, (X, Y), step=updating(model), out=tmp_path / "a", lr=0.1)


def test_backward_twice_is_explained(tmp_path):
    def step(model, batch):
        loss = squared(model, batch)
        loss.backward()
        return loss

    with pytest.raises(RuntimeError) as caught:
        relume.fit(mlp(), (X, Y), step=step, out=tmp_path / "a")
    assert "returns loss.item()" in caught.value.__notes__[0]


def test_an_earlier_fit_is_not_overwritten_unasked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("relume-sequential", "relume-sequential-2"):
        result = relume.fit(mlp(), (X, Y), step=squared, epochs=1)
        assert str(result.folder) == folder
    with pytest.raises(OutputError, match="holds an earlier fit"):
        relume.fit(mlp(), (X, Y), step=squared, epochs=1, out="relume-sequential")
    relume.fit(mlp(), (X, Y), step=squared, epochs=1, out="relume-sequential", overwrite=True)


def test_a_penalty_on_a_gradient_is_not_taken_for_the_gradient_of_a_loss(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    def step(model, x):
        x = x.clone().requires_grad_()
        score = model(x).sum()
        (slope,) = torch.autograd.grad(score, x, create_graph=True)
        (slope.square().mean() + 0.1 * score).backward()

    result = relume.fit(model, X, step=step, out=tmp_path / "a", epochs=2, batch_size=70, every=1)
    activity = result.run.windows[-1].layers[0].activity
    expected = 70 * 0.1 * model[2].weight.detach().abs()[0].numpy()  # of the score alone
    np.testing.assert_allclose(activity.absolute_gradient, expected, rtol=1e-5)
    assert (activity.rows, activity.gradient_positions) == (70, 70)


def test_an_epochs_loss_is_the_mean_over_rows_and_a_small_last_batch_counts_little(tmp_path):
    x = torch.cat([torch.zeros(64, 1), torch.ones(8, 1)])
    batches = [x[:64], x[64:]]

    def step(_, batch):
        return {"mean": batch.mean().item()}

    result = relume.fit(nn.Linear(1, 1), batches, step=step, epochs=1, out=tmp_path)
    assert result.losses["mean"] == (pytest.approx(8 / 72),)
    assert result.losses["loss"] == (pytest.approx(8 / 72),)


def test_losses_of_which_none_is_to_be_minimised_are_refused(tmp_path):
    def step(model, batch):
        return {"a": model(batch).mean(), "b": 1.0}

    with pytest.raises(SettingsError, match="name the one to minimise 'loss'"):
        relume.fit(nn.Linear(1, 1), torch.zeros(8, 1), step=step, out=tmp_path)


def test_a_loss_that_is_not_finite_is_said(tmp_path):
    def step(model, batch):
        return model(batch).mean() * float("nan")

    result = relume.fit(nn.Linear(1, 1), torch.ones(8, 1), step=step, out=tmp_path)
    assert any(note.startswith("diverged in epoch 1") for note in result.notes)


@pytest.mark.usefixtures("nothing_compiled")
def test_what_a_step_calls_is_placed_measured_or_listed(tmp_path):
    """Functions are seen with their lines, slopes too; a loss and another network are no layers."""
    from torch.nn.functional import leaky_relu

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 5)
            self.slope, self.head = nn.PReLU(5, init=0.2), nn.Linear(5, 1)

        def forward(self, x):
            x = leaky_relu(self.first(x), 0.1)
            torch.tanh(torch.complex(x, x))
            return self.head(self.slope(self.second(x)))

    torch.manual_seed(0)
    model, teacher = Net(), nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))

    def step(model, x):
        output = model(x)
        return nn.functional.softplus(output - teacher(x)).mean() + output.relu().mean()

    result = relume.fit(model, X, step=step, out=tmp_path / "a", epochs=2, batch_size=35, every=1)
    run = result.run
    assert [layer.name for layer in run.layers] == ["leaky_relu(first)", "slope"]
    assert all(layer.place.startswith("test_own_steps.py:") for layer in run.layers)
    slope = run.windows[0].layers[1].slope
    assert (slope.count, slope.least) == (5, pytest.approx(0.2))
    assert [(missed.what, missed.count) for missed in run.unobserved] == [
        ("tanh of complex numbers", 4)
    ]
    assert run.unobserved[0].place.startswith("test_own_steps.py:")
    assert [activity.rows for activity in run.examination] == [70, 70]
    assert result.notes == ()


def test_a_compiled_model_is_observed(tmp_path):
    model, bare = mlp(), mlp()
    compiled = torch.compile(model, backend="eager")
    options = {"step": squared, "epochs": 3, "batch_size": 35, "every": 1, "seed": 4}
    result = relume.fit(
        compiled, (X, Y), out=tmp_path / "a", examine=lambda m, batch: m(batch[0]), **options
    )
    relume.fit(bare, (X, Y), out=tmp_path / "b", **options)
    assert torch.equal(flat(model), flat(bare))
    run = result.run
    assert [layer.name for layer in run.layers] == ["1"]
    assert sum(window.layers[0].activity.rows for window in run.windows) == 6 * 35
    assert run.examination[0].rows == 70
    assert result.notes == ()
