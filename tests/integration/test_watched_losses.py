"""A watched training tells of its losses and evaluations, and is not changed by that."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import relume
from relume.runs.facts import LossFacts, Phase


def blobs(rows):
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(0, 3, (rows,), generator=generator)
    return torch.randn(rows, 5, generator=generator) + y[:, None], y


def classify(epochs=4):
    """Train and evaluate; return the model, and the mean loss and accuracy after each epoch."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    loss_of = nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(*blobs(120)), batch_size=20, shuffle=True)
    x_held, y_held = blobs(50)
    told = []
    for _ in range(epochs):
        net.train()
        for x, y in loader:
            optimizer.zero_grad()
            loss_of(net(x), y).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for part in range(0, 50, 20):
                loss_of(net(x_held[part : part + 20]), y_held[part : part + 20])
            z = net(x_held)
        value = torch.logsumexp(z, 1) - z[torch.arange(50), y_held]
        told.append((value.mean().item(), (z.argmax(1) == y_held).double().mean().item()))
    return net, told


def by_hand():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    x, y = blobs(30)
    for _ in range(30):
        optimizer.zero_grad()
        z = checkpoint(net, x, use_reentrant=False)
        loss = -torch.log(functional.dropout(z.softmax(1), 0.1) + 1e-6)[torch.arange(30), y].mean()
        loss /= 2
        penalty = functional.l1_loss(z, torch.zeros_like(z), reduction="none")
        (loss + 1e-3 * penalty.sum()).backward()
        optimizer.step()
        net.eval()
        functional.cross_entropy(net(x), y).item()
        with torch.inference_mode():
            functional.mse_loss(net(x), functional.one_hot(y, 3).float())
        net.train()
    return net, []


@pytest.fixture
def watched(tmp_path):
    def run(train, **settings):
        watching = relume.watch(out=tmp_path / "run", quiet=True, report=False, **settings)
        with watching:
            result = train()
        assert watching.fault is None
        return result, watching.run

    return run


def test_facts_and_scores_are_in_the_run_file(watched):
    (_, told), run = watched(classify, every=1)
    training, evaluation = sorted(run.of(LossFacts), key=lambda fact: fact.phase, reverse=True)
    assert (training.phase, evaluation.phase) == (Phase.TRAINING, Phase.EVALUATION)
    assert (training.function, training.head, training.head_layer) == ("cross_entropy", (), "3")
    assert (training.calls, training.rows, training.step) == (24, 480, 1)
    assert training.class_counts == tuple(4 * blobs(120)[1].bincount().numpy())
    assert training.is_in_training_mode == 1
    assert evaluation.class_counts == tuple(4 * blobs(50)[1].bincount().numpy())
    assert (evaluation.is_in_training_mode, evaluation.head) == (0, None)
    scores = [score for score in run.scores if score.phase == "evaluation"]
    assert [(score.step, score.rows) for score in scores] == [(6 * n, 50) for n in range(1, 5)]
    for score, epoch, (loss, right) in zip(scores, run.epochs, told, strict=True):
        assert (score.loss, score.right) == (pytest.approx(loss, rel=1e-5), pytest.approx(right))
        assert (epoch.validation_loss, epoch.validation_score) == (score.loss, score.right)
    learned = [score for score in run.scores if score.phase == "training"]
    assert [score.rows for score in learned] == [120] * 4
    for score, epoch in zip(learned, run.epochs, strict=True):
        assert score.loss == pytest.approx(epoch.train_loss, rel=1e-5)


@pytest.mark.parametrize("settings", [{"every": 1}, {}], ids=str)
@pytest.mark.parametrize("train", [classify, by_hand])
def test_weights_buffers_and_random_numbers_are_the_same(train, settings, watched):
    def outcome():
        net, _ = train()
        return [*net.state_dict().values(), torch.get_rng_state()]

    bare = outcome()
    seen, run = watched(outcome, **settings)
    assert all(torch.equal(a, b) for a, b in zip(bare, seen, strict=True))
    assert run.of(LossFacts)
