"""The loss that a script writes by hand is seen in its evaluations too, and changes nothing."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils.data import DataLoader, TensorDataset

import relume
from relume.runs.facts import LossFacts, Phase

EPOCHS = 4


def squared(out, y):
    return ((out - y) ** 2).mean()


def reversed_absolute(out, y):
    return (y - out).abs().mean()


def of_classes(out, y):
    return -functional.log_softmax(out, dim=1)[torch.arange(len(y)), y].mean()


def gathered(out, y):
    return -out.softmax(1).log().gather(1, y[:, None]).squeeze(1).mean()


def of_log_odds(out, y):
    return (functional.softplus(out) - out * y).mean()


def of_probabilities(out, y):
    p = torch.sigmoid(out)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


def root(out, y):
    return torch.sqrt(((out - y) ** 2).mean())


AMOUNTS = (squared, reversed_absolute, root)
CLASSES = (of_classes, gathered)
BINARY = (of_log_odds, of_probabilities)


def rows_for(loss):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(150, 4, generator=generator)
    if loss in CLASSES:
        return x, x[:, :3].argmax(1)
    return x, x[:, :1] * 2 + 1 if loss in AMOUNTS else (x[:, :1] > 0).float()


def share_right(loss, out, y):
    if loss in AMOUNTS:
        return math.nan
    predicted = out.argmax(1) if loss in CLASSES else (out > 0).float()
    return (predicted == y).double().mean().item()


def train(loss, score=None, *, off=torch.no_grad, around=None):
    """Train, and return the weights with what each evaluation came to."""
    score = score or loss
    torch.manual_seed(0)
    x, y = rows_for(loss)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3 if loss in CLASSES else 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    loader = DataLoader(TensorDataset(x[:100], y[:100]), batch_size=20, shuffle=True)
    held = DataLoader(TensorDataset(x[100:], y[100:]), batch_size=25)
    told = []
    for _ in range(EPOCHS):
        net.train()
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss(net(inputs), targets).backward()
            optimizer.step()
        net.eval()
        total = right = 0.0
        with off():
            for inputs, targets in held:
                out = net(inputs)
                total += score(out, targets).item() / len(held)
                right += share_right(loss, out, targets) / len(held)
        told.append((total, right))
        if around is not None:
            around()
    return [weight.detach().clone() for weight in net.parameters()], told


@pytest.fixture
def watched(tmp_path, nothing_compiled):
    def run(train, **settings):
        folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        watching = relume.watch(out=folder, quiet=True, report=False, **settings)
        with watching:
            result = train()
        assert watching.fault is None
        return result, watching.run

    return run


def scored(run):
    return [(each.loss, each.right) for each in run.scores if each.phase == "evaluation"]


def about(told):
    return [
        (pytest.approx(loss, rel=1e-5), pytest.approx(right, nan_ok=True)) for loss, right in told
    ]


@pytest.mark.parametrize("loss", [*AMOUNTS, *CLASSES, *BINARY])
def test_what_the_script_computes_is_what_is_seen(loss, watched):
    (bare, told), ((weights, again), run) = train(loss), watched(lambda: train(loss), every=1)
    assert again == about(told)
    assert all(torch.equal(a, b) for a, b in zip(bare, weights, strict=True))
    assert scored(run) == about(told)
    fact = next(fact for fact in run.of(LossFacts) if fact.phase == Phase.EVALUATION)
    assert (fact.function, fact.rows, fact.head) == ("by hand", EPOCHS * 50, None)
    assert fact.is_in_training_mode == 0.0
    kinds = {"amounts": AMOUNTS, "classes": CLASSES, "binary": BINARY}
    assert loss in kinds[fact.target_kind]


@pytest.mark.parametrize("settings", [{}, {"every": 3}], ids=str)
def test_between_measured_steps_and_without_inference_tensors(settings, watched):
    (_, told), run = watched(lambda: train(squared, off=torch.inference_mode), **settings)
    assert scored(run) == about(told)


@pytest.mark.parametrize(
    ("loss", "score"),
    [
        (squared, reversed_absolute),
        (root, squared),
        (squared, lambda out, y: out.mean() + 0 * y.mean()),
        (lambda out, y: squared(out, y) * 20, squared),
        (lambda out, y: ((out - y) ** 2).sum(), lambda out, y: ((out - y) ** 2).sum()),
        (of_classes, lambda out, y: (out.argmax(1) == y).float().mean()),
    ],
)
def test_another_number_is_not_taken_for_the_loss(loss, score, watched, monkeypatch):
    monkeypatch.setitem(
        globals(), "AMOUNTS", (*AMOUNTS, loss) if loss is not of_classes else AMOUNTS
    )
    _, run = watched(lambda: train(loss, score), every=1)
    assert not scored(run)


def test_a_loss_on_the_way_to_a_score_is_seen(watched):
    (_, losses), _ = watched(lambda: train(squared))
    _, run = watched(lambda: train(squared, lambda out, y: squared(out, y).sqrt()))
    assert scored(run) == about(losses)


def test_a_teacher_within_a_step_is_no_evaluation(watched):
    def distil():
        torch.manual_seed(0)
        net, teacher = nn.Linear(4, 2), nn.Linear(4, 2).eval()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(6):
            x = torch.randn(8, 4)
            out = net(x)
            with torch.no_grad():
                aim = teacher(x)
            optimizer.zero_grad()
            squared(out, aim).backward()
            optimizer.step()

    _, run = watched(distil, every=1)
    assert not scored(run)


class Counting(TorchFunctionMode):
    """Somebody else's mode."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_the_modes_of_others_stay_as_they_are(watched):
    stacks = []

    def note():
        stacks.append(_get_current_function_mode_stack())

    mine = Counting()
    with mine:
        _, run = watched(lambda: train(squared, around=note), every=1)
        assert stacks == [[mine]] * EPOCHS
        note()
    assert not scored(run)
    assert (stacks[-1], _get_current_function_mode_stack()) == ([mine], [])

    def entered_in_an_evaluation():
        entered = []

        def enter():
            if not entered:
                entered.append(Counting().__enter__())

        train(squared, score=lambda out, y: (enter(), squared(out, y))[1])
        entered[0].__exit__(None, None, None)

    watched(entered_in_an_evaluation, every=1)
    assert _get_current_function_mode_stack() == []


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_what_is_made_of_a_model_after_an_evaluation_is_as_without(watched):
    x = torch.linspace(-1, 1, 20).reshape(5, 4)

    def training():
        made = []

        def hand_on():
            torch.manual_seed(1)
            net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
            made.extend([torch.jit.script(net)(x), torch.vmap(net)(x), net.double()(x.double())])

        train(squared, around=hand_on)
        return torch.stack(made)

    bare, (seen, run) = training(), watched(training, every=1)
    assert torch.equal(bare, seen)
    assert len(scored(run)) == EPOCHS


def test_nothing_is_left_behind_by_an_error(watched):
    def fail(out, y):
        raise ArithmeticError

    def attempt():
        with pytest.raises(ArithmeticError):
            train(squared, fail)

    watched(attempt, every=1)
    assert _get_current_function_mode_stack() == []
