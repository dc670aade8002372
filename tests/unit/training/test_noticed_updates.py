import math

import torch
from torch import nn
from torch.optim import SGD

from relume.training.noticed_updates import NoticedUpdates


class Sharpness(torch.optim.Optimizer):
    """Steps another optimizer inside itself."""

    def __init__(self, inner):
        super().__init__(inner.param_groups[0]["params"], {"lr": 0.5})
        self.inner = inner

    def step(self, closure=None):
        self.inner.step()


class Told:
    """A monitor that keeps what it is told."""

    def __init__(self):
        self.kept, self.fault = [], None

    def read_scale(self, scale):
        self.scale = scale

    def fail(self, error):
        self.fault = error

    def begin_reading(self, loader):
        self.kept.append("reading")

    def before_backward(self, loss):
        self.kept.append(("loss", loss.item()))

    def before_update(self, optimizer, *, has_closure, scale):
        self.kept.append((len(optimizer.param_groups[0]["params"]), has_closure))

    def end_update(self):
        self.kept.append("done")

    def end_backward(self):
        self.kept.append("backward")


def noticed(model, act):
    told = Told()
    updates = NoticedUpdates(model, told)
    with updates.noticing():
        updates.begin_step()
        act()
    act()
    return updates, told.kept


def test_only_the_models_own_optimizers_count_and_only_inside():
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    ours, theirs = SGD(model.parameters(), lr=0.25), SGD(other.parameters(), lr=1.0)

    def act():
        theirs.step()
        ours.step()
        ours.step(lambda: 0.0)

    updates, kept = noticed(model, act)
    assert kept == [(2, False), "done", (2, True), "done"]
    assert (updates.count, updates.learning_rate) == (2, 0.25)


def test_an_optimizer_within_an_optimizer_is_one_update():
    model = nn.Linear(2, 1)
    outer = Sharpness(SGD(model.parameters(), lr=0.1))
    updates, kept = noticed(model, outer.step)
    assert kept == [(2, False), "done"]
    assert (updates.count, updates.learning_rate) == (1, 0.5)


def test_no_update_has_no_rate():
    model = nn.Linear(2, 1)
    loss = model(torch.ones(1, 2)).sum()
    updates, kept = noticed(model, lambda: loss.backward(retain_graph=True))
    assert kept == [("loss", loss.item()), "backward"]
    assert (updates.count, math.isnan(updates.learning_rate)) == (0, True)


def test_a_fault_of_the_recording_does_not_change_the_count():
    model = nn.Linear(2, 1)

    class Broken(Told):
        def before_update(self, *_, **__):
            raise RuntimeError("planted")

    updates = NoticedUpdates(model, told := Broken())
    with updates.noticing():
        SGD(model.parameters(), lr=0.1).step()
    assert (updates.count, str(told.fault)) == (1, "planted")
