"""Which losses are looked at, what each was for, the scores, and that nothing is disturbed."""

import gc
import math
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional

from relume.observe.loss_watch import FIRST_LOSSES, MOST_BATCHES, MOST_PASSES


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def data(rows=10):
    return torch.randn(rows, 4), torch.randint(0, 3, (rows,))


def learn(model, losses, *, is_next_armed=True):
    x, y = data()
    loss = functional.cross_entropy(model(x), y)
    losses.before_backward(loss)
    loss.backward()
    losses.end_step(is_next_armed=is_next_armed)
    return loss.item()


def test_the_first_losses_of_a_run_are_always_looked_at(losses):
    model = net()
    losses.begin_step(is_armed=False)
    for _ in range(10):
        learn(model, losses, is_next_armed=False)
    assert losses.only().calls == FIRST_LOSSES


def test_losses_of_armed_steps_count_for_the_training(losses):
    model = net()
    values = [learn(model, losses) for _ in range(5)]
    fact = losses.only()
    assert (fact.phase, fact.calls, fact.rows) == ("training", 5, 50)
    assert fact.is_in_training_mode == 1
    (told,) = losses.end(5)
    assert (told.step, told.phase, told.rows) == (5, "training", 50)
    assert told.loss == pytest.approx(sum(values) / 5)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_an_evaluation_is_scored_by_its_rows(context, losses):
    model = net()
    learn(model, losses, is_next_armed=False)
    model.eval()
    sums, rights, rows = 0.0, 0, 0
    with context():
        for size in (10, 10, 3):
            x, y = data(size)
            z = model(x)
            sums += functional.cross_entropy(z, y).item() * size
            rights += int((z.argmax(1) == y).sum())
            rows += size
    between = losses.evaluation_at(1)
    losses.end_step()
    training, told = losses.take_scores(2)
    assert (training.step, training.phase) == (1, "training")
    assert (told.step, told.phase, told.rows) == (1, "evaluation", rows)
    assert told.loss == pytest.approx(sums / rows, rel=1e-6)
    assert told.right == pytest.approx(rights / rows)
    assert between == told
    evaluation = next(f for f in losses.facts() if f.phase == "evaluation")
    assert (evaluation.is_in_training_mode, evaluation.step) == (0, 1)


def test_of_an_evaluation_the_first_batches_are_looked_at(losses):
    model = net()
    learn(model, losses)
    for is_armed in (True, False):
        losses.end_step(is_next_armed=is_armed)
        with torch.no_grad():
            for _ in range(3 * MOST_BATCHES):
                functional.cross_entropy(model(torch.randn(2, 4)), torch.zeros(2).long())
    losses.end_step()
    told = [each for each in losses.take_scores(9) if each.phase == "evaluation"]
    assert [each.rows for each in told] == [2 * MOST_BATCHES] * 2


def test_evaluations_at_every_step_are_looked_at_less_and_less(losses):
    losses.begin_step(is_armed=False)
    steps = 2000
    for _ in range(steps):
        with torch.no_grad():
            functional.mse_loss(torch.zeros(3), torch.ones(3))
        losses.end_step(is_next_armed=False)
    calls = losses.only().calls
    assert MOST_PASSES < calls <= math.sqrt(2 * MOST_PASSES * steps) + MOST_PASSES


def test_eval_mode_that_was_left_on_counts_for_the_training(losses):
    model = net().eval()
    for _ in range(4):
        learn(model, losses)
    fact = losses.only()
    assert (fact.phase, fact.is_in_training_mode, fact.calls) == ("training", 0, 4)


def test_of_several_losses_that_of_the_training_is_scored(losses):
    model = net()
    learn(model, losses)
    x, y = data()
    with torch.no_grad():
        z = model(x)
        functional.mse_loss(z, functional.one_hot(y, 3).float())
        value = functional.cross_entropy(z, y).item()
    losses.end_step()
    told = losses.end(2)[-1]
    assert (told.phase, told.loss) == ("evaluation", pytest.approx(value))


def test_ignored_targets_do_not_weigh(losses):
    z, y = torch.randn(6, 3), torch.tensor([0, 1, -100, -100, -100, 2])
    more, labels = torch.randn(2, 3), torch.tensor([1, 1])
    with torch.no_grad():
        for given in ((z, y), (more, labels), (more, torch.tensor([-100, -100]))):
            functional.cross_entropy(*given)
    whole = functional.cross_entropy(torch.cat([z, more]), torch.cat([y, labels])).item()
    assert losses.end(0)[-1].loss == pytest.approx(whole)


def test_nothing_of_the_training_is_kept(losses):
    model = net()
    x, y = data()
    z = model(x)
    loss = functional.cross_entropy(z, y)
    by_hand = -z.log_softmax(1)[torch.arange(10), y].mean()
    losses.before_backward(by_hand)
    held = [weakref.ref(each) for each in (x, y, z, loss, by_hand)]
    del x, y, z, loss, by_hand
    gc.collect()
    assert [each() for each in held] == [None] * len(held)


def test_a_loss_that_raises_raises_its_own_error(losses):
    with pytest.raises(ValueError, match="Expected input batch_size"):
        functional.cross_entropy(torch.zeros(3, 2), torch.zeros(4).long())
    with pytest.raises(TypeError):
        functional.mse_loss()
    assert losses.facts() == []


class Odd(torch.Tensor):
    """A subclass, whose values may be anything."""


NESTED = [torch.ones(2, 2), torch.ones(3, 2)]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mse_loss", lambda: (torch.zeros(0, 2), torch.zeros(0, 2))),
        ("cross_entropy", lambda: (torch.zeros(0, 2), torch.zeros(0).long())),
        ("mse_loss", lambda: (torch.zeros(()), torch.ones(()))),
        ("mse_loss", lambda: (torch.full((3,), math.nan), torch.ones(3))),
        ("l1_loss", lambda: (torch.ones(3, dtype=torch.complex64), torch.ones(3))),
        ("mse_loss", lambda: (torch.ones(3, dtype=torch.float16), torch.zeros(3).half())),
        ("cross_entropy", lambda: (torch.ones(3, 2).bfloat16(), torch.zeros(3).long())),
        ("mse_loss", lambda: (Odd(torch.ones(3)), torch.zeros(3))),
        ("mse_loss", lambda: (torch.ones(3), Odd(torch.zeros(3)))),
        ("mse_loss", lambda: (torch.ones(3), torch.zeros(3).long())),
        ("mse_loss", lambda: (torch.ones(3, device="meta"), torch.zeros(3, device="meta"))),
        ("cross_entropy", lambda: (torch.ones(2, 3), torch.full((2,), -100))),
        ("cross_entropy", lambda: (torch.ones(1, 1, requires_grad=True), torch.zeros(1).long())),
        ("mse_loss", lambda: (torch.ones(4)[::2], torch.zeros(2).expand(2))),
    ],
)
def test_what_is_odd_is_returned_as_by_torch(name, make, losses):
    function = getattr(functional, name)
    with torch.no_grad():
        expected, result = function.__wrapped__(*make()), function(*make())
    assert type(result) is type(expected)
    assert result.shape == expected.shape
    assert result.device.type == "meta" or torch.equal(result.isnan(), expected.isnan())
    assert result.device.type == "meta" or torch.equal(result.nan_to_num(), expected.nan_to_num())
    losses.end_step()
    losses.facts()
    losses.end(1)


def test_under_torch_func(losses):
    x, t = torch.randn(5, 3), torch.zeros(5, 3)
    each = torch.func.vmap(functional.mse_loss)(x, t)
    slope = torch.func.grad(lambda x: functional.mse_loss(x, t))(x)
    assert torch.allclose(each, x.square().mean(1))
    assert torch.allclose(slope, 2 * x / 15)
    assert set(losses.missed) == {"mse_loss of torch.func"}


def test_a_fault_of_ours_stays_with_us(losses, monkeypatch):
    monkeypatch.setattr("relume.observe.loss_watch.see", lambda *_, **__: 1 / 0)
    x, t = torch.randn(5), torch.zeros(5)
    assert functional.mse_loss(x, t) == x.square().mean()
    assert functional.mse_loss(x, t) == x.square().mean()
    assert isinstance(losses.fault, ZeroDivisionError)
    losses.fault = None


def test_compiled_losses_are_passed_through_in_one_graph(losses):
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    @torch.compile(backend=backend, fullgraph=True)
    def compiled(z, y):
        return functional.cross_entropy(z, y) + functional.mse_loss(z, z * 2)

    z, y = torch.randn(5, 3), torch.zeros(5).long()
    for is_armed in (True, False, True):
        losses.begin_step(is_armed=is_armed)
        compiled(z, y)
    assert len(graphs) == 1
    assert losses.facts() == []
