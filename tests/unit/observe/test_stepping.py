import gc

import pytest
import torch

from relume.observe.stepping import Stepper


class Trainer:
    """Stands for an optimizer."""


def test_every_update_of_one_optimizer_ends_a_step():
    stepper, optimizer = Stepper(), Trainer()
    assert [stepper.is_end_after_update(optimizer) for _ in range(3)] == [True] * 3
    assert stepper.number == 3


def test_two_optimizers_in_turn_share_a_step():
    stepper, judge, maker = Stepper(), Trainer(), Trainer()
    for _ in range(10):
        stepper.is_end_after_update(judge)
        stepper.is_end_after_update(maker)
    assert stepper.number == 10


def test_several_updates_of_the_leader_are_several_steps():
    """A critic that learns five times for each time of the generator."""
    stepper, critic, maker = Stepper(), Trainer(), Trainer()
    for _ in range(4):
        for _ in range(5):
            stepper.is_end_after_update(critic)
        stepper.is_end_after_update(maker)
    assert stepper.number == 20


def test_another_leads_when_the_leader_stops():
    stepper, first, second = Stepper(), Trainer(), Trainer()
    for _ in range(5):
        stepper.is_end_after_update(first)
    for _ in range(6):
        stepper.is_end_after_update(second)
    assert stepper.number == 5 + 5  # the first of the second's still belongs to the leader


def test_another_leads_at_once_when_the_leader_is_gone():
    stepper, first = Stepper(), Trainer()
    stepper.is_end_after_update(first)
    del first
    gc.collect()
    for _ in range(3):
        assert stepper.is_end_after_update(Trainer())  # a new one for every update
    assert stepper.number == 4


def test_accumulated_backward_passes_are_no_steps():
    stepper, optimizer, w = Stepper(), Trainer(), torch.ones(3)
    for _ in range(2):
        for _ in range(4):
            assert not stepper.is_end_before_backward([w])
            assert not stepper.is_end_after_backward()
        stepper.is_end_after_update(optimizer)
        w.add_(1)
    assert stepper.number == 2


@pytest.mark.parametrize("change", ["data", "in place", "functional"])
def test_weights_that_change_without_an_optimizer_are_updated_by_hand(change):
    stepper, w = Stepper(), torch.ones(3)
    ends = 0
    for _ in range(5):
        ends += stepper.is_end_before_backward([w])
        ends += stepper.is_end_after_backward()
        if change == "data":
            w.data -= 0.1
        elif change == "in place":
            w.sub_(0.1)
        else:
            w = w - 0.1
    assert stepper.is_by_hand
    assert stepper.number == ends == 5


def test_an_optimizer_that_comes_late_takes_over():
    stepper, w = Stepper(), torch.ones(3)
    for _ in range(3):
        stepper.is_end_before_backward([w])
        stepper.is_end_after_backward()
        w += 1
    assert stepper.number == 3
    stepper.is_end_after_update(Trainer())
    assert not stepper.is_by_hand
    stepper.is_end_before_backward([w])
    assert not stepper.is_end_after_backward()
    assert stepper.number == 4


def test_empty_weights_and_those_elsewhere_are_told_apart_by_version():
    stepper = Stepper()
    empty, meta = torch.ones(0), torch.ones(3, device="meta")
    assert not stepper.is_end_before_backward([empty, meta])
    assert not stepper.is_end_before_backward([empty, meta])
    meta.add_(1)
    assert stepper.is_end_before_backward([empty, meta])
