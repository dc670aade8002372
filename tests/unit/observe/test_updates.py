import math

import torch
from torch import nn
from torch.optim import SGD

from relume.observe.updates import Updates


class Sharpness(torch.optim.Optimizer):
    """Steps another optimizer inside itself."""

    def __init__(self, inner):
        super().__init__(inner.param_groups[0]["params"], {"lr": 0.5})
        self.inner = inner

    def step(self, closure=None):
        self.inner.step()


def noticed(model, act):
    kept = []
    updates = Updates(
        model,
        lambda ids, has_closure: kept.append((len(ids), has_closure)),
        lambda: kept.append("done"),
    )
    with updates.noticing():
        updates.begin_step()
        act()
    act()
    return updates, kept


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
    updates, kept = noticed(nn.Linear(2, 1), lambda: None)
    assert kept == []
    assert math.isnan(updates.learning_rate)
