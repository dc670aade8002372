"""What is said of a loss: classes, kinds, ranges, heads, modes; each against a count by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from relume.observe import loss_values
from relume.observe.loss_facts import LossTotals
from relume.observe.loss_values import MOST_ROWS, broadcast_shape
from relume.observe.losses import LOSSES, Given
from relume.runs.facts import Phase

BY_NAME = {function.name: function for function in LOSSES}


def score(name, *args, **named):
    with torch.no_grad():
        return getattr(functional, name)(*args, **named)


def test_classes_and_predictions_are_those_that_numpy_counts(losses):
    generator = np.random.default_rng(3)
    labels, predicted, ignored = [], [], 0
    for _ in range(5):
        z = generator.normal(size=(50, 6)).astype(np.float32)
        y = generator.integers(0, 6, 50)
        y[:4] = -100
        score("cross_entropy", torch.from_numpy(z), torch.from_numpy(y))
        labels.append(y[4:])
        predicted.append(z[4:].argmax(1))
        ignored += 4
    fact = losses.only()
    labels, predicted = np.concatenate(labels), np.concatenate(predicted)
    assert fact.class_counts == tuple(np.bincount(labels, minlength=6))
    assert fact.predicted_counts == tuple(np.bincount(predicted, minlength=6))
    assert (fact.ignored, fact.rows, fact.calls, fact.head_width) == (ignored, 250, 5, 6)
    assert (fact.target.mean, fact.target.least) == (pytest.approx(labels.mean()), 0)
    losses.end_step()
    (told,) = losses.take_scores(losses.number)
    assert told.right == pytest.approx((labels == predicted).mean())


def test_classes_along_the_second_axis(losses):
    torch.manual_seed(1)
    z, y = torch.randn(3, 5, 8, 8), torch.randint(0, 5, (3, 8, 8))
    score("cross_entropy", z, y)
    fact = losses.only()
    assert fact.class_counts == tuple(np.bincount(y.numpy().ravel(), minlength=5))
    assert fact.predicted_counts == tuple(np.bincount(z.numpy().argmax(1).ravel(), minlength=5))
    assert fact.rows == 3 * 64


def test_one_row_without_a_batch(losses):
    score("cross_entropy", torch.tensor([0.1, 3.0, 0.2]), torch.tensor(1))
    fact = losses.only()
    assert (fact.rows, fact.class_counts, fact.predicted_counts) == (1, (0, 1, 0), (0, 1, 0))


@given(st.integers(1, 3 * MOST_ROWS), st.integers(1, 40), st.integers(1, 6))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_never_more_rows_than_the_bound_and_never_none(rows, more, width):
    rows_seen = loss_values._rows(torch.arange(rows * more * width).reshape(rows, more, width))
    assert 1 <= len(rows_seen) <= MOST_ROWS
    assert (rows_seen[:, 0] % width == 0).all()
    if rows * more <= MOST_ROWS:
        assert len(rows_seen) == rows * more


@pytest.mark.parametrize(
    ("name", "prediction", "target", "kind", "counts", "predicted"),
    [
        ("binary_cross_entropy", [0.1, 0.7, 0.8], [0.0, 1, 0], "binary", (2, 1), (1, 2)),
        ("binary_cross_entropy_with_logits", [-1.0, 0.2, 3], [0.0, 1, 1], "binary", (1, 2), (1, 2)),
        ("binary_cross_entropy_with_logits", [-1.0, 2], [0.1, 0.9], "probabilities", (), ()),
        ("soft_margin_loss", [-1.0, 0.2, 3], [-1.0, 1, 1], "binary", (1, 2), (1, 2)),
        ("mse_loss", [0.2, 0.9, 0.8], [0.0, 1, 1], "binary", (1, 2), (1, 2)),
        ("mse_loss", [0.2, 0.9, 0.8], [0.5, 1, 1], "amounts", (), ()),
        ("mse_loss", [0.2, 0.9, 0.8, 1], [0.0, 1, 2, 2], "classes", (1, 1, 2), ()),
        ("mse_loss", [0.2, 0.9, 0.8], [3.0, 17, 8], "amounts", (), ()),
        ("mse_loss", [[0.2, 0.9], [0.8, 1]], [[1.0, 0], [1, 0]], "one hot", (2, 0), (0, 2)),
        ("mse_loss", [[0.2, 0.9], [0.8, 1]], [[1.0, 1], [1, 0]], "binary", (1, 3), (1, 3)),
        ("cross_entropy", [[2.0, 0], [0, 1]], [[0.0, 1], [0, 1]], "one hot", (0, 2), (1, 1)),
        ("cross_entropy", [[2.0, 0], [0, 1]], [[0.2, 0.8], [0, 1]], "probabilities", (), ()),
        ("poisson_nll_loss", [0.2, 0.9, 0.8], [0.0, 1, 2], "amounts", (), ()),
    ],
)  # fmt: skip
def test_kinds_of_targets(name, prediction, target, kind, counts, predicted, losses):
    score(name, torch.tensor(prediction), torch.tensor(target))
    fact = losses.only()
    assert (fact.target_kind, fact.class_counts) == (kind, counts)
    assert fact.predicted_counts == predicted


def test_a_kind_holds_for_every_call(losses):
    for target in ([0.0, 1.0], [1.0, 0.5]):
        score("mse_loss", torch.zeros(2), torch.tensor(target))
    fact = losses.only()
    assert (fact.target_kind, fact.class_counts) == ("amounts", ())


def test_ranges_are_those_of_the_finite_values(losses):
    p = torch.tensor([1e6, 1e6 + 1, 1e6 + 2, math.nan, math.inf])
    score("mse_loss", p, torch.arange(5.0))
    spread = losses.only().prediction
    assert (spread.count, spread.nonfinite) == (3, 2)
    assert (spread.least, spread.greatest) == (1e6, 1e6 + 2)
    assert spread.mean == pytest.approx(1e6 + 1)
    assert spread.deviation == pytest.approx(np.std([0, 1, 2]), rel=1e-3)


@pytest.mark.parametrize(
    ("make", "is_unit", "is_normalised"),
    [
        (lambda z: z, False, False),
        (lambda z: z.softmax(1), True, True),
        (lambda z: z.log_softmax(1), False, True),
        (lambda z: z.sigmoid(), True, False),
    ],
)
def test_probabilities_are_told_from_logits(make, is_unit, is_normalised, losses):
    torch.manual_seed(0)
    score("nll_loss", make(torch.randn(40, 5)), torch.arange(40) % 5)
    fact = losses.only()
    assert (fact.is_unit_interval, fact.is_normalised) == (is_unit, is_normalised)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    ("prediction", "target", "expected"),
    [((8, 1), (8,), True), ((8,), (8, 1), True), ((8, 1), (8, 1), False), ((8, 3), (1,), False),
     ((1, 1), (1,), False), ((8, 1), (8, 3), True), ((8, 3), (8, 1), False)],
)  # fmt: skip
def test_broadcasting_is_told(prediction, target, expected, losses):
    score("mse_loss", torch.zeros(prediction), torch.ones(target))
    fact = losses.only()
    assert fact.is_broadcast is expected
    assert (fact.prediction_shape, fact.target_shape) == (prediction, target)
    assert broadcast_shape(prediction, target) == torch.broadcast_shapes(prediction, target)


def test_weights_are_told(losses):
    score("cross_entropy", torch.zeros(4, 2), torch.zeros(4, dtype=torch.long), torch.ones(2))
    assert losses.only().weighted


def test_numbers_that_are_read_late_come_to_the_same(losses, monkeypatch):
    """What lies on other devices is added up there: played by numbers that nobody reads."""
    torch.manual_seed(2)
    calls = [
        ("cross_entropy", torch.randn(9, 4), torch.randint(0, 4, (9,))),
        ("mse_loss", torch.randn(9, 3), torch.eye(3).repeat(3, 1)),
        ("mse_loss", torch.randn(9), torch.randn(9)),
        ("binary_cross_entropy_with_logits", torch.randn(9), (torch.rand(9) > 0.5).float()),
    ]

    def told():
        facts = []
        for name, p, t in calls:
            function = BY_NAME[name]
            totals = LossTotals(
                function, Phase.TRAINING, None, 1, tuple(p.shape), tuple(t.shape),
                loss_values.width_of(function, p), is_index=not t.is_floating_point(),
            )  # fmt: skip
            for _ in range(3):
                result = getattr(functional, name)(p, t)
                totals.add(
                    loss_values.see(
                        function, Given(p, t), result, is_full=True, ruled_out=totals.ruled_out()
                    )
                )
            facts.append(totals.fact())
        return facts

    at_once = told()
    monkeypatch.setattr(loss_values, "_read", lambda value: value)
    monkeypatch.setattr(
        loss_values, "_counts", lambda index, width: torch.bincount(index, minlength=width)[:width]
    )
    for early, late in zip(at_once, told(), strict=True):
        for name in early.__slots__:
            a, b = getattr(early, name), getattr(late, name)
            assert a == b or a != a or name == "first_loss", name  # noqa: PLR0124
        assert late.first_loss == pytest.approx(early.first_loss)


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
        self.top = nn.Linear(6, 3)

    def forward(self, x):
        return self.top(self.body(x))


@pytest.mark.parametrize(
    ("head", "operations"),
    [
        (lambda z: z, ()),
        (lambda z: z.double().view(-1, 3)[:, :], ()),
        (lambda z: torch.softmax(z, 1), ("softmax",)),
        (lambda z: z.softmax(1).log(), ("log", "softmax")),
        (lambda z: functional.log_softmax(z, 1), ("log_softmax",)),
        (torch.sigmoid, ("sigmoid",)),
        (functional.logsigmoid, ("logsigmoid",)),
        (torch.relu, ("relu",)),
        (torch.tanh, ("tanh",)),
        (lambda z: functional.dropout(torch.relu(z), 0.5), ("dropout", "relu")),
        (functional.relu6, ("hardtanh",)),
        (lambda z: z.clamp(0, 1), ("clamp",)),
        (torch.exp, ("exp",)),
        (functional.leaky_relu, ("leaky_relu",)),
        (lambda z: z / 2.0, ("div",)),
        (lambda z: z.exp() / z.exp().sum(1, keepdim=True), ("softmax",)),
    ],
)
def test_heads(head, operations, losses):
    net = Heads()
    functional.mse_loss(head(net(torch.randn(9, 4))), torch.zeros(9, 3)).backward()
    losses.end_step()
    fact = losses.only()
    assert (fact.head, fact.head_layer, fact.head_width) == (operations, "top", 3)


@pytest.mark.parametrize(
    ("net", "shape", "layer"),
    [
        (nn.Sequential(nn.Conv1d(2, 4, 3), nn.Flatten()), (5, 2, 7), "0"),
        (nn.Sequential(nn.Sequential(nn.Linear(3, 2, bias=False))), (5, 3), "0.0"),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))), (5, 3), "0"),
    ],
)
def test_layers_of_heads(net, shape, layer, losses):
    out = torch.tanh(net(torch.randn(shape)))
    functional.mse_loss(out, torch.zeros_like(out)).backward()
    losses.end_step()
    fact = losses.only()
    assert fact.head == ("tanh",)
    assert fact.head_layer is not None
    assert fact.head_layer.startswith(layer)


class CheckpointFunction(torch.autograd.Function):
    """Named as torch's own: what was computed inside has no graph yet."""

    @staticmethod
    def forward(_, z):
        return z * 1

    @staticmethod
    def backward(_, gradient):
        return gradient


def test_a_head_behind_what_the_graph_hides_is_not_known(losses):
    z = CheckpointFunction.apply(Heads()(torch.randn(9, 4)))
    functional.mse_loss(z, torch.zeros(9, 3)).backward()
    losses.end_step()
    assert losses.only().head is None
