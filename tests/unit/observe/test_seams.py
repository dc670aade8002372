import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import optimizer as optimizer_hooks

from relume.observe.seams import Seams

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler:UserWarning")


class Ear:
    """Keeps what it is told, in order."""

    def __init__(self):
        self.told = []
        self.faults = []

    def before_backward(self, loss):
        self.told.append(("loss", None if loss is None else loss.item()))

    def after_backward(self):
        self.told.append("backward")

    def before_update(self, optimizer, *, has_closure):
        self.told.append(("before", type(optimizer).__name__, has_closure))

    def after_update(self, optimizer):
        self.told.append(("after", type(optimizer).__name__))

    def skip_update(self):
        self.told.append("skipped")

    def begin_epoch(self, loader):
        self.told.append(("epoch", id(loader)))

    def fail(self, error):
        self.faults.append(error)

    @property
    def losses(self):
        return [each[1] for each in self.told if each[0] == "loss"]

    @property
    def updates(self):
        return [each[1] for each in self.told if each[0] == "after"]


@pytest.fixture
def ear():
    listener = Ear()
    listener.seams = Seams(listener)
    listener.seams.install()
    yield listener
    listener.seams.remove()
    assert not listener.faults


def data():
    torch.manual_seed(0)
    return nn.Linear(3, 1), torch.randn(5, 3)


def test_a_loss_is_heard_however_it_is_differentiated(ear):
    layer, x = data()
    first, second = layer(x).square().mean(), layer(x).abs().sum()
    first.backward(retain_graph=True)
    torch.autograd.backward([first, second], retain_graph=True)
    torch.autograd.grad(first, list(layer.parameters()), retain_graph=True)
    torch.autograd.grad(outputs=first, inputs=layer.weight)
    whole = first.item() + second.item()
    assert ear.losses == pytest.approx([first.item(), whole, first.item(), first.item()])
    assert ear.told.count("backward") == 4


def test_what_is_no_loss_has_none(ear):
    layer, x = data()
    layer(x).backward(torch.ones(5, 1))
    assert ear.told == [("loss", None), "backward"]


def test_gradients_by_inputs_and_those_differentiated_again_are_no_losses(ear):
    layer, x = data()
    x.requires_grad_()
    torch.autograd.grad(layer(x).sum(), x)
    torch.autograd.grad(layer(x).sum(), layer.weight, create_graph=True)
    assert ear.told == []


def test_a_generator_of_weights_is_left_whole(ear):
    layer, x = data()
    found = torch.autograd.grad(layer(x).sum(), layer.parameters())
    named = torch.autograd.grad(layer(x).sum(), inputs=layer.parameters())
    torch.testing.assert_close(found[0], x.sum(0, keepdim=True))
    torch.testing.assert_close(named[1], torch.tensor([5.0]))
    assert len(ear.losses) == 2


def test_leaves_are_weights_where_somebody_says_so(ear):
    w = torch.ones(3, requires_grad=True)
    torch.autograd.grad((w * 2).sum(), w)
    assert ear.losses == []
    ear.seams.is_weight = lambda each: each is w
    torch.autograd.grad((w * 2).sum(), w)
    assert ear.losses == [6.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_loss_is_heard_before_it_is_scaled(ear, dtype):
    layer, x = data()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with torch.autocast("cpu", dtype=dtype):
        loss = functional.mse_loss(layer(x), torch.ones(5, 1, dtype=dtype))
    scaler.scale(loss).backward()
    assert float(ear.seams.gradient_scale) == 1024
    scaler.step(optimizer)
    scaler.update()
    assert ear.losses == [loss.item()]
    assert ear.updates == ["SGD"]
    assert ear.seams.gradient_scale is None
    layer(x).mean().backward()  # no scale: a loss of its own
    assert ear.losses[1] == layer(x).mean().item()


def test_a_loss_made_of_a_scaled_one_is_unscaled(ear):
    layer, x = data()
    scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    loss = layer(x).square().mean()
    (scaler.scale(loss) / 4).backward()
    assert ear.losses == pytest.approx([loss.item() / 4])


def test_an_update_that_a_scaler_skips_is_told(ear):
    layer, x = data()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(layer(x).sum() * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()
    assert ear.told[-1] == "skipped"
    assert ear.updates == []


def test_a_closure_is_told_with_its_losses_inside_one_update(ear):
    layer, x = data()
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=4)

    def closure():
        optimizer.zero_grad()
        loss = layer(x).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert ear.told[0] == ("before", "LBFGS", True)
    assert ear.told[-1] == ("after", "LBFGS")
    assert ear.updates == ["LBFGS"]
    assert len(ear.losses) >= 2


class Nested(torch.optim.Optimizer):
    """Steps another optimizer inside itself, as SAM does."""

    def __init__(self, parameters):
        parameters = list(parameters)
        super().__init__(parameters, {"lr": 0.1})
        self.inner = torch.optim.SGD(parameters, lr=0.1)
        self.fails = False

    def step(self, closure=None):
        self.inner.step()
        if self.fails:
            raise MemoryError
        return closure


def test_an_optimizer_in_another_makes_one_update(ear):
    layer, x = data()
    optimizer = Nested(layer.parameters())
    layer(x).sum().backward()
    optimizer.step()
    assert ear.updates == ["Nested"]
    assert [each for each in ear.told if each[0] == "before"] == [("before", "Nested", False)]


def test_updates_are_heard_after_one_that_raised(ear):
    layer, x = data()
    optimizer = Nested(layer.parameters())
    layer(x).sum().backward()
    optimizer.fails = True
    for _ in range(2):
        with pytest.raises(MemoryError):
            optimizer.step()
    optimizer.fails = False
    optimizer.step()
    optimizer.step()
    assert ear.updates == ["Nested", "Nested"]


def test_a_custom_optimizer_is_heard(ear):
    class Sign(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.sub_(group["lr"] * parameter.grad.sign())

    layer, x = data()
    layer(x).sum().backward()
    Sign(layer.parameters(), {"lr": 0.1}).step()
    assert ear.updates == ["Sign"]


def test_a_loader_is_heard_each_time_it_begins(ear):
    loader = torch.utils.data.DataLoader(torch.arange(4), batch_size=2)
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]
    list(loader)
    assert ear.told == [("epoch", id(loader))] * 2


def test_tensors_without_numbers_are_no_losses(ear):
    layer = nn.Linear(3, 1, device="meta")
    layer(torch.ones(2, 3, device="meta")).sum().backward()
    assert ear.losses == [None]


class Deaf(Ear):
    def before_backward(self, loss):
        raise RuntimeError(loss)

    after_backward = before_update = after_update = begin_epoch = before_backward


def test_what_the_listener_raises_reaches_nobody_else():
    listener = Deaf()
    seams = Seams(listener)
    seams.install()
    try:
        layer, x = data()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in torch.utils.data.DataLoader(x):
            layer(x).sum().backward()
            optimizer.step()
    finally:
        seams.remove()
    assert len(listener.faults) > 3


def test_all_is_put_back():
    def names():
        return (
            torch.autograd.backward,
            torch.autograd.grad,
            torch.amp.GradScaler.scale,
            torch.amp.GradScaler.step,
            torch.utils.data.DataLoader.__iter__,
            dict(optimizer_hooks._global_optimizer_pre_hooks),
            dict(optimizer_hooks._global_optimizer_post_hooks),
        )

    before = names()
    seams = Seams(Ear())
    seams.install()
    assert names() != before
    seams.remove()
    assert names() == before
