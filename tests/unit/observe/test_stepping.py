import torch

from relume.observe.stepping import Stepper


def test_a_step_ends_with_an_update_of_the_leading_optimizer():
    stepper, generator, discriminator = Stepper(), object(), object()
    ends = [stepper.is_end_after_update(each) for each in (discriminator, generator) * 3]
    assert ends == [True, False] * 3
    assert stepper.number == 3


def test_another_optimizer_leads_once_it_updates_twice_without_the_leader():
    stepper, first, second = Stepper(), object(), object()
    stepper.is_end_after_update(first)
    assert [stepper.is_end_after_update(second) for _ in range(3)] == [False, True, True]


def test_weights_that_change_between_passes_are_updated_by_hand():
    stepper, weights = Stepper(), [torch.ones(3), torch.zeros(2)]
    assert not stepper.is_end_before_backward(weights)
    assert not stepper.is_end_after_backward()
    weights[1] -= 0.1
    assert stepper.is_end_before_backward(weights)  # the step before
    assert stepper.is_end_after_backward()  # this one
    assert stepper.number == 2


def test_weights_that_are_seen_for_the_first_time_have_not_changed():
    stepper, weights = Stepper(), [torch.ones(3), torch.zeros(2)]
    stepper.is_end_before_backward(weights)
    others = [torch.ones(4), torch.full((2,), 7.0)]
    assert not stepper.is_end_before_backward([others[0], *weights])
    assert not stepper.is_end_before_backward(others[1:])
    assert stepper.number == 0
