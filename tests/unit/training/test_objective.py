import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from relume.training.data.prepare import DataOptions, prepare
from relume.training.objective import (
    Classification,
    Regression,
    balanced_class_weights,
    class_weight_tensor,
    in_own_unit,
    is_imbalanced,
    standardised,
)

LOGITS = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(40) % 3


def test_the_plain_loss_is_scikit_learns_log_loss():
    mean = Classification("accuracy", 0.2).plain_loss(LOGITS, Y).mean().item()
    assert mean == pytest.approx(log_loss(Y.numpy(), LOGITS.softmax(1).numpy()))


def test_the_weighted_plain_loss_is_scikit_learns_too():
    weights = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    mean = Classification("accuracy", 0.0, weights).plain_loss(LOGITS, Y).mean().item()
    rows = weights[Y].numpy()
    peer = log_loss(Y.numpy(), LOGITS.softmax(1).numpy(), sample_weight=rows)
    assert mean == pytest.approx(peer)


def test_smoothing_by_its_definition():
    smoothing = 0.3
    target = torch.nn.functional.one_hot(Y, 3) * (1 - smoothing) + smoothing / 3
    by_hand = -(target * LOGITS.log_softmax(1)).sum(1).mean()
    loss = Classification("accuracy", smoothing).train_loss(LOGITS, Y)
    assert loss.item() == pytest.approx(by_hand.item())


def test_smoothing_under_weights_by_its_definition():
    weights, smoothing = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64), 0.3
    target = torch.nn.functional.one_hot(Y, 3) * (1 - smoothing) + smoothing / 3
    by_hand = -(weights[Y][:, None] * target * LOGITS.log_softmax(1)).sum(1).mean()
    loss = Classification("accuracy", smoothing, weights).train_loss(LOGITS, Y)
    assert loss.item() == pytest.approx(by_hand.item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_balanced_weights_leave_equal_odds_as_the_best_constant_guess(smoothing):
    """Where the inputs say nothing, classes of equal weight must get equal probability."""
    y = torch.tensor([0] * 95 + [1] * 5)
    weights = torch.from_numpy(balanced_class_weights(y.numpy()))
    logits = torch.zeros(1, 2, requires_grad=True)
    objective = Classification("balanced accuracy", smoothing, weights)
    objective.train_loss(logits.expand(100, 2), y).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(1, 2), atol=1e-7, rtol=0)


def test_scores():
    assert Classification("accuracy", 0.0).score(LOGITS, LOGITS.argmax(1)) == 1.0
    y = torch.tensor([1.0, 2.0, 4.0])
    output = torch.tensor([[1.5], [2.0], [3.0]])
    assert Regression().score(output, y) == pytest.approx(1 - 1.25 / (14 / 3))
    assert Regression().train_loss(output, y).item() == pytest.approx(1.25 / 3)
    assert Regression().plain_loss(output, y).tolist() == pytest.approx([0.25, 0.0, 1.0])


def test_class_weights_are_scikit_learns():
    y = np.array([0] * 50 + [1] * 9 + [2] * 5)
    peer = compute_class_weight("balanced", classes=np.arange(3), y=y)
    assert balanced_class_weights(y) == pytest.approx(peer)


def test_weights_are_taken_when_classes_are_imbalanced_or_asked_for():
    device = torch.device("cpu")
    even, uneven = np.array([0] * 30 + [1] * 10), np.array([0] * 40 + [1] * 10)
    assert (is_imbalanced(even), is_imbalanced(uneven)) == (False, True)
    assert class_weight_tensor("auto", even, device) is None
    assert class_weight_tensor("auto", uneven, device).tolist() == pytest.approx([0.625, 2.5])
    assert class_weight_tensor("balanced", even, device) is not None
    assert class_weight_tensor("none", uneven, device) is None


def test_a_target_goes_to_its_unit_and_back():
    prepared = prepare("diabetes", DataOptions())
    scaled = standardised(prepared.train.y, prepared.preprocessing.target)
    assert scaled.mean() == pytest.approx(0, abs=1e-6)
    assert scaled.std() == pytest.approx(1, abs=1e-6)
    back = in_own_unit(scaled, prepared.preprocessing.target)
    np.testing.assert_allclose(back, prepared.train.y, rtol=1e-5)
