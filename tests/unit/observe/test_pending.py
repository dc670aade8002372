import math

import numpy as np
import pytest
import torch

from relume.observe.pending import Epochs, OpenStep, OpenWindow
from relume.runs.records import LayerWindow, UnitActivity


def test_losses_of_a_step_add_up():
    step = OpenStep()
    assert step.loss() is None
    for value in (1.0, 2.5):
        step.add_loss(torch.tensor(value))
    assert step.loss() == 3.5


def test_a_loss_is_that_of_its_moment():
    step, loss = OpenStep(), torch.tensor(2.0)
    step.add_loss(loss)
    loss.zero_()
    assert step.loss() == 2.0


def test_the_last_loss_of_a_closure_counts_unless_there_is_another():
    step = OpenStep()
    step.is_updating = True
    for value in (3.0, 2.0):
        step.add_loss(torch.tensor(value))
    assert step.loss() == 2.0
    step.is_updating = False
    step.add_loss(torch.tensor(7.0))
    assert step.loss() == 7.0


def test_forgotten_losses_do_not_count():
    step = OpenStep()
    step.add_loss(torch.tensor(math.inf))
    step.forget_losses()
    assert step.loss() is None
    step.add_loss(torch.tensor(1.0, dtype=torch.bfloat16))
    assert step.loss() == 1.0


def part(rows):
    return LayerWindow(
        UnitActivity(rows, rows, np.array([rows]), np.ones(1), np.ones(1), rows, np.ones(1))
    )


def test_a_window_adds_steps_layers_and_late_losses():
    window = OpenWindow(5)
    window.add([(5, 1.0, 0.1, True)])
    window.add_layers([part(2)])
    window.add([(6, torch.tensor(3.0), 0.2, False), (7, None, 0.3, True)])
    window.add_layers([part(3), part(4)])  # a second layer was found late
    for _ in range(2):  # reading it twice changes nothing
        value = window.value()
        assert (value.first_step, value.last_step, value.armed_steps) == (5, 7, 2)
        assert (value.loss.count, value.loss.mean) == (2, 2.0)
        assert value.learning_rate == 0.3
        assert [layer.activity.rows for layer in value.layers] == [5, 4]
    assert window.steps == 3


class Loader:
    def __init__(self, dataset):
        self.dataset = dataset


def read(epochs, loader, steps, first, loss=1.0):
    """Read a loader to its end, with a step for each batch; return the epoch that ended by it."""
    ended = epochs.begin(loader, first - 1)
    epochs.add([(step, loss, 0.1, False) for step in range(first, first + steps)])
    return ended


def test_each_reading_of_the_loader_is_an_epoch():
    epochs, train, validation = Epochs(), object(), object()
    assert read(epochs, train, 10, 1, loss=4.0) is None
    assert epochs.begin(validation, 10) is None
    first = read(epochs, train, 10, 11, loss=2.0)
    assert (first.epoch, first.step, first.train_loss) == (1, 10, 4.0)
    assert epochs.begin(validation, 20) is None
    last = epochs.end(20)
    assert (last.epoch, last.step, last.train_loss) == (2, 20, 2.0)
    assert epochs.end(20) is None


@pytest.mark.parametrize("keeps_data", [True, False])
def test_a_loader_made_anew_for_every_epoch_is_the_next_epoch(keeps_data):
    epochs, data, ended = Epochs(), Loader(None), []
    for epoch in range(4):
        loader = Loader(data if keeps_data else Loader(None))
        ended.append(read(epochs, loader, 5, 1 + 5 * epoch))
        del loader
    ended.append(epochs.end(20))
    assert [each.step for each in ended if each is not None] == [5, 10, 15, 20]


def test_a_validation_in_the_middle_of_an_epoch_does_not_end_it():
    epochs, train, validation = Epochs(), Loader([1, 2]), Loader([3])
    read(epochs, train, 5, 1)
    with torch.no_grad():
        assert epochs.begin(validation, 5) is None
        assert epochs.begin(train, 5) is None  # the score on the training part
    epochs.add([(step, 1.0, 0.1, False) for step in range(6, 11)])
    assert epochs.begin(validation, 10) is None
    assert epochs.begin(train, 10).step == 10


def test_a_validation_loader_that_is_read_first_is_none():
    """A sanity check before the training reads a batch of the validation part."""
    epochs, train, validation = Epochs(), object(), object()
    epochs.begin(validation, 0)
    for epoch in range(3):
        ended = read(epochs, train, 4, 1 + 4 * epoch)
        assert (ended is not None) == (epoch > 0)
        epochs.begin(validation, 4 * (epoch + 1))


def test_without_a_loader_there_are_no_epochs():
    epochs = Epochs()
    epochs.add([(1, 1.0, 0.1, False)])
    assert epochs.end(1) is None


def test_a_loss_on_another_device_is_left_out_of_the_epoch():
    epochs = Epochs()
    epochs.begin(object(), 0)
    epochs.add([(1, torch.tensor(1.0), 0.1, False)])
    assert epochs.end(1).train_loss != pytest.approx(1.0)
