"""The rebuilt rules: at, just below and just above each threshold, and on what they are fed by."""

import math

import pytest
import torch
from torch import nn

from benchmarks.clinic import rebuilt_autotrainer as autotrainer
from benchmarks.clinic import rebuilt_deepdiagnosis as deepdiagnosis
from benchmarks.clinic import rebuilt_sagemaker as sagemaker
from benchmarks.clinic.rival_watching import look_inside, loss_kind


@pytest.mark.parametrize(
    ("percents", "wanted"),
    [
        ([0.99] * 51 + [50.0] * 49, True),
        ([0.99] * 50 + [50.0] * 50, False),  # not more than half
        ([1.0] * 100, False),  # not less than 1 %
    ],
)
def test_dead_relu(percents, wanted):
    assert sagemaker.is_dead_relu(percents) is wanted


@pytest.mark.parametrize("is_vanishing", [sagemaker.is_vanishing, deepdiagnosis.is_vanishing])
def test_vanishing_mean(is_vanishing):
    assert is_vanishing(0.99e-7)
    assert not is_vanishing(1e-7)
    assert not is_vanishing(1.01e-7)


@pytest.mark.parametrize(
    ("ratio", "wanted"),
    [(0.99e-8, True), (1.01e-8, False), (9.99, False), (10.01, True), (0.0, True)],
)
def test_update_ratio(ratio, wanted):
    assert sagemaker.is_update_ratio_off(ratio, 1.0) is wanted


def test_update_ratio_of_weights_at_zero_is_finite():
    assert sagemaker.is_update_ratio_off(1e-7, 0.0)  # 100: over epsilon alone
    assert not sagemaker.is_update_ratio_off(9e-9, 0.0)


def test_overfit_needs_more_than_one_epoch_above():
    assert not sagemaker.is_overfit([0.11])
    assert sagemaker.is_overfit([0.11, 0.11])
    assert not sagemaker.is_overfit([0.11, 0.1])
    assert not sagemaker.is_overfit([0.5, 0.09, 0.5])


def test_a_loss_is_flat_after_five_steps_without_a_new_minimum():
    assert sagemaker.is_flat([1.0, 2, 2, 2, 2, 2])
    assert not sagemaker.is_flat([1.0, 2, 2, 2, 2])
    assert not sagemaker.is_flat([3.0, 2, 1])


@pytest.mark.parametrize(
    ("variance_ratio", "gradient_range", "wanted"),
    [(10.0, 0.001, False), (10.1, 1.0, True), (1.0, 0.00099, True), (9.9, 0.0011, False)],
)
def test_poor_initialization(variance_ratio, gradient_range, wanted):
    flat, falling = [1.0] * 10, [10.0 - i for i in range(10)]
    assert sagemaker.is_poorly_initialized(variance_ratio, gradient_range, flat) is wanted
    assert not sagemaker.is_poorly_initialized(variance_ratio, gradient_range, falling)


def test_firing_percents_are_of_units_and_of_channels():
    rows = torch.tensor([[1.0, -1.0], [1.0, 0.0], [1.0, 2.0], [-1.0, -1.0]])
    assert sagemaker.firing_percents(rows) == [75.0, 25.0]
    images = torch.stack([torch.ones(2, 3, 3), torch.zeros(2, 3, 3)], dim=1)
    assert sagemaker.firing_percents(images) == [100.0, 0.0]
    assert sagemaker.firing_percents(rows.view(2, 2, 2)) == [75.0, 25.0]  # sequences


@pytest.mark.parametrize(
    ("loss", "wanted"), [(999.9, False), (1000.0, True), (math.nan, True), (math.inf, True)]
)
def test_broken(loss, wanted):
    assert autotrainer.is_broken([0.5, loss]) is wanted


def test_exploding_and_vanishing_ratios():
    assert autotrainer.is_exploding(70.1, 1.0)
    assert not autotrainer.is_exploding(70.0, 1.0)
    assert autotrainer.is_vanishing(0.9e-4, 1.0)
    assert not autotrainer.is_vanishing(1e-4, 1.0)
    assert not autotrainer.is_vanishing(0.9e-4, 0.09)  # the ratio is 1e-3
    assert not autotrainer.is_vanishing(0.0, 0.0)


@pytest.mark.parametrize(("zeros", "wanted"), [(69, False), (70, True), (71, True)])
def test_dying(zeros, wanted):
    assert autotrainer.is_dying(zeros, 100) is wanted


def test_unstable_counts_pairs_of_a_maximum_and_a_minimum():
    swings = [0.5, 0.8, 0.5, 0.8, 0.5, 0.8, 0.5, 0.8, 0.5, 0.8]
    assert autotrainer.is_unstable(swings)
    assert not autotrainer.is_unstable([0.5, 0.529] * 5)  # swings below .03
    two_in_ten = [0.5, 0.8, 0.5, 0.8, 0.5, *(0.6 + 0.1 * i for i in range(5))]
    assert autotrainer.is_unstable(two_in_ten)  # 2 of 10 is the rate
    assert not autotrainer.is_unstable([*two_in_ten, 1.1])  # 2 of 11


def test_slow_and_unsatisfied():
    assert autotrainer.is_unsatisfied([0.1, 0.59])
    assert not autotrainer.is_unsatisfied([0.1, 0.6, 0.2])
    assert autotrainer.is_slow([0.5, 0.509])
    assert not autotrainer.is_slow([0.5, 0.511])
    assert autotrainer.is_slow([0.5])


@pytest.mark.parametrize(("mean", "wanted"), [(9.99, False), (10.0, True)])
def test_abnormal(mean, wanted):
    assert autotrainer.is_abnormal(mean) is wanted


def test_heads_and_losses():
    assert autotrainer.is_head_wrong("softmax", "cross-entropy")
    assert not autotrainer.is_head_wrong("linear", "cross-entropy")
    assert autotrainer.is_head_wrong("linear", "binary of probabilities")
    assert not autotrainer.is_head_wrong("relu", "")
    assert autotrainer.is_loss_wrong("squared error", 1.0, are_classes=True)
    assert not autotrainer.is_loss_wrong("squared error", 1.0, are_classes=False)
    assert autotrainer.is_loss_wrong("nll", -0.1, are_classes=True)
    assert not autotrainer.is_loss_wrong("nll", 0.0, are_classes=True)


@pytest.mark.parametrize(("dead", "wanted"), [(69, False), (70, True), (71, True)])
def test_dead_node(dead, wanted):
    assert deepdiagnosis.is_dead(dead, 100) is wanted


def test_saturated():
    assert deepdiagnosis.is_saturated([5.0, -5.0, 0.0])
    assert not deepdiagnosis.is_saturated([5.0, 0.0])  # half is not more than half
    assert not deepdiagnosis.is_saturated([4.99, -4.99, 0.0])


def test_numerical():
    assert deepdiagnosis.is_numerical(0.0)
    assert deepdiagnosis.is_numerical(math.nan)
    assert not deepdiagnosis.is_numerical(1e-30)


def test_constant():
    assert deepdiagnosis.is_constant([9.0, 0.5, 0.5, 0.5, 0.5, 0.5], 5)
    assert not deepdiagnosis.is_constant([0.5] * 4, 5)
    assert not deepdiagnosis.is_constant([0.5, 0.5, 0.5, 0.5, 0.5000001], 5)


@pytest.mark.parametrize(
    ("head", "targets", "outputs", "are_classes", "wanted"),
    [
        ("sigmoid", (0.0, 1.0), (0.4, 0.6), False, False),
        ("sigmoid", (0.0, 1.01), (0.4, 0.6), False, True),
        ("tanh", (-1.01, 1.0), (0.0, 0.1), False, True),
        ("relu", (-0.01, 5.0), (0.0, 0.1), False, True),
        ("relu", (0.0, 5.0), (0.0, 0.1), False, False),
        ("relu", (0.0, 5.0), (0.0, 0.1), True, True),
        ("linear", (0.0, 1.0), (0.0, 10.0), False, False),
        ("linear", (0.0, 1.0), (0.0, 10.1), False, True),
        ("linear", (0.0, 1.0), (0.0, 99.0), True, False),
    ],
)
def test_out_of_range(head, targets, outputs, are_classes, wanted):
    found = deepdiagnosis.is_out_of_range(head, targets, outputs, are_classes=are_classes)
    assert found is wanted


def test_a_look_sees_functions_and_modules_and_changes_nothing():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.drop = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)
            self.act = nn.Tanh()

        def forward(self, x):
            return torch.relu(self.act(self.drop(self.norm(self.first(x)))))

    torch.manual_seed(0)
    net = Net()
    net.norm.train()
    net.drop.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    look = look_inside(net, torch.randn(8, 3))
    drawn = torch.randn(24)
    torch.set_rng_state(random)
    torch.randn(8, 3)
    assert torch.equal(torch.randn(24), drawn)
    assert [call.name for call in look.calls] == ["linear", "batch_norm", "tanh", "relu"]
    assert look.head == "relu"
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert (net.training, net.norm.training, net.drop.training) == (True, True, False)


def test_losses_are_known_by_their_graph():
    out = torch.zeros(2, 2, requires_grad=True)
    half = torch.full((2, 2), 0.5)
    assert loss_kind(nn.functional.mse_loss(out, half)) == "squared error"
    assert loss_kind(nn.functional.binary_cross_entropy_with_logits(out, half)) == (
        "binary of logits"
    )
    assert loss_kind(nn.functional.binary_cross_entropy(out.sigmoid(), half)) == (
        "binary of probabilities"
    )
