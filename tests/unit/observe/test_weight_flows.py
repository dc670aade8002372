"""Norms and ratios of every matrix, beside autograd and float64; gradients that were left over."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu

from relume.observe import flows as flows_module
from relume.runs.facts import OptimizerFacts, WeightFacts


class Words(nn.Module):
    """An embedding, a hidden layer and a head; nothing but the hidden layer feeds an activation."""

    def __init__(self, *, sparse=False):
        super().__init__()
        self.words = nn.Embedding(12, 6, sparse=sparse)
        self.hidden = nn.Linear(6, 9)
        self.head = nn.Linear(9, 3, bias=False)

    def forward(self, x):
        return self.head(relu(self.hidden(self.words(x).mean(1))))


def total(run):
    return sum(run.windows[1:], start=run.windows[0])


def weights_of(run):
    return {fact.name: fact for fact in run.of(WeightFacts)}


def seen(run):
    return dict(zip(run.weights, total(run).weights, strict=True))


@pytest.mark.parametrize("kind", ["dense", "sparse", "by closure"])
def test_every_matrix_has_the_numbers_of_float64(recorded, kind):
    torch.manual_seed(0)
    net = Words(sparse=kind == "sparse")
    wanted = {name: [] for name, p in net.named_parameters() if p.ndim > 1}

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(10):
            before = {name: p.detach().double().clone() for name, p in net.named_parameters()}
            x, y = torch.randint(12, (8, 4)), torch.randint(3, (8,))

            def lose(x=x, y=y):
                optimizer.zero_grad()
                loss = cross_entropy(net(x), y)
                loss.backward()
                return loss

            if kind == "by closure":
                optimizer.step(lose)
            else:
                lose()
                optimizer.step()
            for name, rows in wanted.items():
                p = net.get_parameter(name)
                gradient = p.grad.to_dense() if p.grad.is_sparse else p.grad
                moved = (p.detach().double() - before[name]).norm()
                size = before[name].norm()
                rows.append([gradient.double().norm(), moved / size, size])

    run = recorded(train)
    assert set(run.weights) == set(wanted)
    for name, part in seen(run).items():
        # A model is known from its first pass on: in a closure, that is after the update began.
        numbers = np.array(wanted[name], float)[int(kind == "by closure") :]
        for moments, column in zip(
            (part.gradient_norm, part.update_ratio, part.norm), numbers.T, strict=True
        ):
            assert moments.count == len(numbers)
            assert moments.mean == pytest.approx(column.mean(), rel=1e-4)
            assert moments.least == pytest.approx(column.min(), rel=1e-3)
            assert moments.greatest == pytest.approx(column.max(), rel=1e-3)


def plain(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for x, y in batches:
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        optimizer.step()


def zeroed_to_zeros(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for x, y in batches:
        optimizer.zero_grad(set_to_none=False)
        cross_entropy(net(x), y).backward()
        optimizer.step()


def zeroed_right_after(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for x, y in batches:
        cross_entropy(net(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()


def accumulated(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for number, (x, y) in enumerate(batches):
        cross_entropy(net(x), y).backward()
        if number % 3 == 2:
            optimizer.step()
            optimizer.zero_grad(set_to_none=number % 2 == 0)


def by_closure(net, batches):
    optimizer = torch.optim.LBFGS(net.parameters(), lr=0.01, max_iter=3)
    for x, y in batches:

        def lose(x=x, y=y):
            optimizer.zero_grad()
            loss = cross_entropy(net(x), y)
            loss.backward()
            return loss

        optimizer.step(lose)


def by_hand(net, batches):
    for x, y in batches:
        cross_entropy(net(x), y).backward()
        with torch.no_grad():
            for p in net.parameters():
                p.sub_(0.05 * p.grad)
                p.grad.zero_()


def accumulated_by_hand(net, batches):
    for number, (x, y) in enumerate(batches):
        cross_entropy(net(x), y).backward()
        if number % 3 == 2:
            with torch.no_grad():
                for p in net.parameters():
                    p.sub_(0.05 * p.grad)
                    p.grad = None


def two_for_two_parts(net, batches):
    first = torch.optim.SGD([*net.words.parameters(), *net.hidden.parameters()], lr=0.05)
    second = torch.optim.Adam(net.head.parameters(), lr=0.01)
    for x, y in batches:
        first.zero_grad()
        second.zero_grad()
        cross_entropy(net(x), y).backward()
        first.step()
        second.step()


def scaled(net, batches):
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for x, y in batches:
        optimizer.zero_grad()
        scaler.scale(cross_entropy(net(x), y)).backward()
        scaler.step(optimizer)
        scaler.update()


@pytest.mark.parametrize(
    "style",
    [
        plain, zeroed_to_zeros, zeroed_right_after, accumulated, by_closure, by_hand,
        accumulated_by_hand, two_for_two_parts, scaled,
    ],
    ids=lambda style: style.__name__,
)  # fmt: skip
@pytest.mark.parametrize("period", [1, 3])
def test_no_gradient_is_left_over_where_they_are_zeroed(recorded, style, period):
    torch.manual_seed(0)
    net = Words()
    batches = [(torch.randint(12, (8, 4)), torch.randint(3, (8,))) for _ in range(30)]
    run = recorded(lambda: style(net, batches), period=period)
    facts = weights_of(run)
    assert set(facts) == {name for name, _ in net.named_parameters()}
    for fact in facts.values():
        assert fact.left_over_steps == 0
        assert fact.armed_steps == fact.gradient_steps == fact.nonzero_gradient_steps > 5
        assert fact.first_nonfinite_step is None


def never(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for x, y in batches:
        cross_entropy(net(x), y).backward()
        optimizer.step()


def never_by_closure(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for x, y in batches:

        def lose(x=x, y=y):
            loss = cross_entropy(net(x), y)
            loss.backward()
            return loss

        optimizer.step(lose)


def never_by_hand(net, batches):
    for x, y in batches:
        cross_entropy(net(x), y).backward()
        with torch.no_grad():
            for p in net.parameters():
                p.sub_(0.05 * p.grad)


def never_while_accumulating(net, batches):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for number, (x, y) in enumerate(batches):
        cross_entropy(net(x), y).backward()
        if number % 3 == 2:
            optimizer.step()


@pytest.mark.parametrize(
    "style",
    [never, never_by_closure, never_by_hand, never_while_accumulating],
    ids=lambda style: style.__name__,
)
@pytest.mark.parametrize("period", [1, 3])
def test_gradients_that_are_never_zeroed_are_left_over(recorded, style, period):
    torch.manual_seed(0)
    net = Words()
    batches = [(torch.randint(12, (8, 4)), torch.randint(3, (8,))) for _ in range(30)]
    run = recorded(lambda: style(net, batches), period=period)
    for fact in weights_of(run).values():
        assert fact.left_over_steps >= fact.armed_steps - 2 > 4  # no update lies before the first


def train_a_pair(maker, judge, forgotten, order):
    """Train a generator and a discriminator; the gradients of one may never be zeroed."""
    making = torch.optim.Adam(maker.parameters(), lr=0.01)
    judging = torch.optim.Adam(judge.parameters(), lr=0.01)

    def zero(optimizer, place):
        if place != forgotten:
            optimizer.zero_grad()

    def judge_step():
        zero(judging, "discriminator")
        judge(torch.randn(8, 3)).sigmoid().log().mean().neg().backward()
        judge(maker(torch.randn(8, 2)).detach()).sigmoid().mean().backward()
        judging.step()

    def maker_step():
        zero(making, "generator")
        judge(maker(torch.randn(8, 2))).sigmoid().mean().neg().backward()
        making.step()

    steps = [judge_step, maker_step]
    for _ in range(24):
        for step in steps if order == "discriminator first" else reversed(steps):
            step()


@pytest.mark.parametrize("forgotten", ["", "generator", "discriminator"])
@pytest.mark.parametrize("order", ["discriminator first", "generator first"])
@pytest.mark.parametrize("period", [1, 3])
def test_a_discriminator_is_not_left_with_the_gradients_of_its_generator(
    recorded, forgotten, order, period
):
    """The generator's loss leaves gradients in the discriminator, zeroed before they are used."""
    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    judge = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(), nn.Linear(8, 1))

    def train():
        train_a_pair(maker, judge, forgotten, order)

    run = recorded(train, period=period)
    optimizers = run.of(OptimizerFacts)
    assert sorted(fact.passes_per_update for fact in optimizers) == [1.0, 2.0]
    assert [fact.updates for fact in optimizers] == [24, 24]
    facts = weights_of(run)
    assert len(facts) == 8
    for place, shapes in (("generator", {(8, 2), (3, 8)}), ("discriminator", {(8, 3), (1, 8)})):
        mine = [fact for fact in facts.values() if fact.shape in shapes]
        assert len(mine) == 2
        for fact in mine:
            expected = fact.armed_steps - 2 if place == forgotten else 0
            assert fact.armed_steps == fact.gradient_steps > 5
            assert expected <= fact.left_over_steps <= (expected and fact.armed_steps)


def test_bounds_leave_out_the_middle_and_say_so(recorded, monkeypatch):
    monkeypatch.setattr("relume.observe.weight_book.MOST_MATRICES", 4)
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(9)))
    run = recorded(lambda: plain(net, [(torch.randn(4, 4), torch.randint(4, (4,)))] * 4))
    assert run.weights == ("0.weight", "1.weight", "7.weight", "8.weight")
    assert len(run.of(WeightFacts)) == 18
    (left_out,) = [each for each in run.unobserved if "matrices beyond" in each.what]
    assert left_out.count == 5


def test_no_more_is_copied_than_allowed(recorded, monkeypatch):
    monkeypatch.setattr(flows_module, "MOST_BYTES", 12 * 6 * 4)
    torch.manual_seed(0)
    net = Words()
    batches = [(torch.randint(12, (8, 4)), torch.randint(3, (8,)))] * 5
    run = recorded(lambda: plain(net, batches))
    counts = {name: part.update_ratio.count for name, part in seen(run).items()}
    assert counts == {"words.weight": 0, "hidden.weight": 5, "head.weight": 0}
    assert {part.gradient_norm.count for part in seen(run).values()} == {5}
    assert any("weights are large" in each.what and each.count == 2 for each in run.unobserved)


def test_gradients_are_unscaled_and_the_first_odd_one_is_noted(recorded):
    torch.manual_seed(0)
    net = Words()
    norms = []

    def train():
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        optimizer = torch.optim.AdamW(net.parameters(), fused=True)
        for step in range(6):
            optimizer.zero_grad()
            x, y = torch.randint(12, (8, 4)), torch.randint(3, (8,))
            loss = cross_entropy(net(x), y)
            other = copy.deepcopy(net)
            cross_entropy(other(x), y).backward()
            if step < 5:
                norms.append(other.head.weight.grad.norm().item())
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()

    part = seen(recorded(train))["head.weight"]
    assert part.gradient_norm.count == 6
    assert part.gradient_norm.least == pytest.approx(min(norms), rel=0.5)
    assert part.gradient_norm.greatest < 2 * max(norms)


def test_the_first_gradient_that_is_not_finite_is_noted(recorded):
    torch.manual_seed(0)
    net = Words()

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for step in range(6):
            optimizer.zero_grad()
            loss = cross_entropy(net(torch.randint(12, (8, 4))), torch.randint(3, (8,)))
            (loss * (math.inf if step == 3 else 1.0)).backward()
            optimizer.step()

    assert {fact.first_nonfinite_step for fact in weights_of(recorded(train)).values()} == {4}
