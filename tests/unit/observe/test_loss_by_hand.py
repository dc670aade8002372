"""Losses written out by hand are read off the graph, and only where nothing else made them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

N, K = 24, 3


def made(losses, write, *, width=K, labels=None):
    """Return what is said of one step with a loss by hand, its logits and its labels."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, width))
    y = torch.randint(0, K, (N,)) if labels is None else labels
    z = net(torch.randn(N, 5))
    loss = write(z, y)
    losses.before_backward(loss)
    loss.backward()
    losses.end_step()
    return losses.only(), z.detach(), y, loss.item()


def pick(p, y):
    return p[torch.arange(N), y]


def gather(p, y):
    return p.gather(1, y[:, None]).squeeze(1)


@pytest.mark.parametrize("take", [pick, gather])
@pytest.mark.parametrize(
    ("make", "head"),
    [
        (lambda z: torch.log(torch.softmax(z, 1)), ("log", "softmax")),
        (lambda z: torch.log_softmax(z, 1), ("log_softmax",)),
        (lambda z: torch.log(z.abs() + 1), ("log", "add", "abs")),
        (lambda z: z - z.logsumexp(1, keepdim=True), ("log_softmax",)),
        (lambda z: torch.log_softmax(z.softmax(1), 1), ("log_softmax", "softmax")),
        (torch.sigmoid, ("sigmoid",)),
    ],
)
def test_the_outputs_of_the_classes_are_picked(make, head, take, losses):
    fact, z, y, value = made(losses, lambda z, y: -take(make(z), y).mean())
    assert (fact.function, fact.phase, fact.target_kind) == ("by hand", "training", "classes")
    assert (fact.head, fact.head_layer, fact.head_width) == (head, "2", K)
    assert fact.class_counts == tuple(np.bincount(y.numpy(), minlength=K))
    if fact.predicted_counts:
        best = make(z).numpy().argmax(1)
        assert fact.predicted_counts == tuple(np.bincount(best, minlength=K))
        assert fact.prediction.mean == pytest.approx(make(z).mean().item(), rel=1e-5)
    assert fact.first_loss == pytest.approx(value)
    assert (fact.rows, fact.prediction_shape) == (N, (N, K))


def test_logarithms_of_logits(losses):
    fact, *_ = made(losses, lambda z, y: -pick(torch.log(z * z), y).mean())
    assert fact.head[0] == "log"
    assert "softmax" not in fact.operations
    assert not fact.is_normalised


def test_the_logarithm_may_come_last(losses):
    fact, z, _, _ = made(losses, lambda z, y: -torch.log(pick(z.softmax(1), y)).mean())
    assert fact.head == ("log", "softmax")
    assert fact.is_normalised
    assert fact.predicted_counts == tuple(np.bincount(z.numpy().argmax(1), minlength=K))
    assert fact.prediction.mean == pytest.approx(z.log_softmax(1).mean().item(), rel=1e-5)


def test_softmax_before_the_formula_of_cross_entropy(losses):
    def write(z, y):
        p = z.softmax(1)
        return (p.logsumexp(1) - pick(p, y)).mean()

    fact, _, y, _ = made(losses, write)
    assert fact.head == ("softmax",)
    assert "logsumexp" in fact.operations
    assert fact.class_counts == tuple(np.bincount(y.numpy(), minlength=K))
    assert fact.is_unit_interval
    assert fact.is_normalised


@pytest.mark.parametrize(
    ("write", "shape", "is_broadcast"),
    [
        (lambda z, y: ((z - y.float()) ** 2).mean(), (N, 1), True),
        (lambda z, y: (z[:, 0] - y.float()[:, None]).square().mean(), (N,), True),
        (lambda z, y: ((z[:, 0] - y.float()) ** 2).mean(), (N,), False),
        (lambda z, y: (y.float() - z.squeeze()).abs().mean(), (N,), False),
        (lambda z, y: torch.linalg.norm(z.squeeze(1) - y.float()), (N,), False),
        (lambda z, y: (torch.rand(N) * (z.squeeze(1) - y) ** 2).mean(), (N,), False),
    ],
)
def test_the_target_is_subtracted(write, shape, is_broadcast, losses):
    fact, *_ = made(losses, write, width=1)
    assert (fact.prediction_shape, fact.is_broadcast) == (shape, is_broadcast)
    assert (fact.head, fact.head_layer, fact.head_width) == ((), "2", 1)


def test_two_softmaxes_are_two(losses):
    fact, *_ = made(losses, lambda z, y: -pick(z.softmax(1).softmax(1).log(), y).mean())
    assert fact.operations == ("neg", "mean", "log", "softmax", "softmax")


def test_a_squared_error_behind_a_bounded_head(losses):
    fact, z, *_ = made(losses, lambda z, y: (torch.sigmoid(z[:, 0]) - y).pow(2).mean())
    assert fact.head == ("sigmoid",)
    assert fact.operations == ("mean", "pow", "sub", "sigmoid")
    assert fact.is_unit_interval
    assert fact.prediction.greatest == pytest.approx(z[:, 0].sigmoid().max().item())


def test_binary_cross_entropy_by_hand(losses):
    labels = torch.arange(N) % 3 // 2

    def write(z, y):
        p, t = torch.sigmoid(z).squeeze(1), y.float()
        return -(t * torch.log(p) + (1 - t) * torch.log(1 - p)).mean()

    fact, z, *_ = made(losses, write, width=1, labels=labels)
    assert fact.head == ("log", "sigmoid")
    assert fact.operations == ("neg", "mean", "add", "mul", "log", "sigmoid", "mul", "log", "rsub")
    assert (fact.target_kind, fact.class_counts) == ("binary", (16, 8))
    positive = int((z > 0).sum())
    assert fact.predicted_counts == (N - positive, positive)


def test_one_hot_targets_times_logarithms(losses):
    def write(z, y):
        return -(functional.one_hot(y, K).float() * z.log_softmax(1)).sum(1).mean()

    fact, z, y, _ = made(losses, write)
    assert (fact.head, fact.target_kind) == (("log_softmax",), "one hot")
    assert fact.class_counts == tuple(np.bincount(y.numpy(), minlength=K))
    assert fact.predicted_counts == tuple(np.bincount(z.numpy().argmax(1), minlength=K))


def test_where_no_target_comes_in_no_head_is_known(losses):
    fact, *_ = made(losses, lambda z, _: z.square().mean())
    assert (fact.head, fact.target_kind, fact.operations) == (None, "", ("mean", "pow"))
    assert fact.head_layer == "2"


@pytest.mark.parametrize(
    "write",
    [
        lambda z, y: functional.cross_entropy(input=z, target=y),
        lambda z, y: functional.cross_entropy(z, y) / 2 + z.square().mean(),
        lambda z, y: functional.cross_entropy(z, y, reduction="none")[:5].mean(),
    ],
)
def test_what_a_loss_function_made_is_not_by_hand(write, losses):
    fact, *_ = made(losses, write)
    assert (fact.function, fact.calls) == ("cross_entropy", 1)


def test_a_loss_by_hand_beside_one_that_is_only_shown(losses):
    def write(z, y):
        functional.cross_entropy(z, y)
        return -pick(z.log_softmax(1), y).mean()

    torch.manual_seed(0)
    net, y = nn.Linear(4, K), torch.randint(0, K, (N,))
    loss = write(net(torch.randn(N, 4)), y)
    losses.before_backward(loss)
    loss.backward()
    losses.end_step()
    assert {(fact.function, fact.phase.value) for fact in losses.facts()} == {
        ("by hand", "training"), ("cross_entropy", "evaluation"),
    }  # fmt: skip


def test_what_hooks_would_compute_again_is_left_alone(losses):
    unpacked = []
    net, y = nn.Linear(4, K), torch.randint(0, K, (N,))
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: x.clone(), lambda x: unpacked.append(1) or x
    ):
        loss = -pick(torch.log(net(torch.randn(N, 4)).softmax(1)), y).mean()
    losses.before_backward(loss)
    assert not unpacked
    loss.backward()
    assert unpacked
    losses.end_step()
    fact = losses.only()
    assert fact.operations[-2:] == ("log", "softmax")
    assert fact.class_counts == ()


def test_nothing_is_read_on_steps_that_are_not_armed(losses):
    losses.begin_step(is_armed=False)
    loss = nn.Linear(4, 1)(torch.randn(N, 4)).mean()
    losses.before_backward(loss)
    loss.backward()
    losses.end_step()
    assert losses.facts() == []


def test_a_saved_tensor_that_was_overwritten_is_not_known(losses):
    net, y = nn.Linear(4, K), torch.randint(0, K, (N,))
    p = net(torch.randn(N, 4)).softmax(1)
    loss = -pick(torch.log(p), y).mean()
    with torch.no_grad():
        p.zero_()
    losses.before_backward(loss)
    losses.end_step()
    assert losses.only().head == ("log", "softmax")
    assert losses.only().prediction.count == 0


EARLY = {
    "cross_entropy": functional.cross_entropy,
    "nll_loss": functional.nll_loss,
    "mse_loss": functional.mse_loss,
    "binary_cross_entropy_with_logits": functional.binary_cross_entropy_with_logits,
}
"""Bound before anything is patched, where no name can be bound anew."""


@pytest.mark.parametrize(
    ("name", "write", "head"),
    [
        ("cross_entropy", lambda f, z, y: f(z, y), ()),
        ("cross_entropy", lambda f, z, y: f(z.softmax(1), y) / 2, ("softmax",)),
        ("nll_loss", lambda f, z, y: f(z.softmax(1), y), ("softmax",)),
        ("mse_loss", lambda f, z, y: f(z.tanh(), functional.one_hot(y, K).float()), ("tanh",)),
        (
            "binary_cross_entropy_with_logits",
            lambda f, z, y: f(z.sigmoid(), functional.one_hot(y, K).float()),
            ("sigmoid",),
        ),
    ],
)
def test_loss_functions_bound_too_early_are_told_by_their_node(name, write, head, losses):
    fact, z, y, value = made(losses, lambda z, y: write(EARLY[name], z, y))
    assert (fact.function, fact.head, fact.operations) == (name, head, ())
    assert fact.class_counts == tuple(np.bincount(y.numpy(), minlength=K))
    assert fact.first_loss == pytest.approx(value)
    if head == ("softmax",):
        assert fact.is_unit_interval
        assert fact.is_normalised
        assert fact.predicted_counts == tuple(np.bincount(z.numpy().argmax(1), minlength=K))


@pytest.mark.parametrize(
    "write",
    [
        lambda p, y: ((p - y) ** 2).mean(),
        lambda p, y: (y - p).pow(2).sum() / len(y),
        lambda p, y: (y - p.squeeze(1)[:, None]).square().mean(),
        lambda p, y: (p - y).abs().mean(),
        lambda p, y: torch.mul(p - y, p - y).mean(),
    ],
)
def test_the_target_of_a_squared_error_is_what_the_difference_leaves(losses, write):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    y = 5 + 2 * torch.randn(40, 1)
    loss = write(model(torch.randn(40, 3)), y)
    losses.before_backward(loss)
    loss.backward()
    losses.end_step()
    fact = losses.only()
    assert fact.target_kind == "amounts"
    assert fact.target.mean == pytest.approx(y.mean().item(), rel=1e-4)
    assert fact.target.deviation == pytest.approx(y.std(correction=0).item(), rel=1e-3)
    assert fact.head == ()
