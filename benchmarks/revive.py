"""A collapsed network, revived: how much comes back within one further epoch.

``python -m benchmarks.revive FOLDER`` (idx files of MNIST; ``mnist`` beside us if left out) trains
784-512-512-10 with Adam and one cycle at a peak rate of 9e-2, which kills about three quarters of
its 1,024 units and leaves it at chance, and then gives each network one further epoch: as it is, or
by ``relume.revive``. A fresh network of one epoch stands beside them: what starting anew gives.
"""

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import relume
from benchmarks.measure import keep
from relume.training.data.idx_files import NamedSet, named_folder, read_idx_folder
from relume.training.data.image_set import ImageSet

PEAK = 9e-2
EPOCHS = 3
BATCH = 128
SEEDS = (0, 1, 2)
WANTED = 0.95

Rows = tuple[Tensor, Tensor]


def read(folder: Path) -> tuple[Rows, Rows]:
    """Return the training and the test part."""
    images = read_idx_folder(folder, folder.name)
    if images.test is None:
        raise SystemExit(f"{folder} has no test part")
    return _rows(images), _rows(images.test)


def _rows(images: ImageSet) -> Rows:
    x = torch.from_numpy(images.pixels.astype(np.float32)).flatten(1) / 255
    labels = [] if images.labels is None else images.labels.to_list()
    return x, torch.tensor([int(label) for label in labels])


def network(seed: int) -> nn.Sequential:
    """Return the network as torch initialises it."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def train(model: nn.Module, rows: Rows, *, epochs: int, peak: float) -> None:
    """Train with Adam and one cycle."""
    x, y = rows
    steps = epochs * -(-len(x) // BATCH)
    optimizer = torch.optim.Adam(model.parameters(), peak)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def accuracy(model: nn.Module, rows: Rows) -> float:
    """Return the share of rows that are right."""
    return (model(rows[0]).argmax(dim=1) == rows[1]).double().mean().item()


@torch.no_grad()
def dead(model: nn.Sequential, x: Tensor) -> list[int]:
    """Return how many units of each activation fire on no row, counted here and not by Relume."""
    first = model[1](model[0](x))
    second = model[3](model[2](first))
    return [int((a <= 0).all(dim=0).sum()) for a in (first, second)]


def one(seed: int, train_rows: Rows, test_rows: Rows, lr: float) -> dict[str, Any]:
    """Return what one collapsed network becomes."""
    collapsed = network(seed)
    train(collapsed, train_rows, epochs=EPOCHS, peak=PEAK)
    untreated, treated = copy.deepcopy(collapsed), copy.deepcopy(collapsed)
    train(untreated, train_rows, epochs=1, peak=lr)
    fresh = network(seed + 100)
    train(fresh, train_rows, epochs=1, peak=lr)
    x, y = train_rows
    order = torch.randperm(len(x))
    batches = [(x[rows], y[rows]) for rows in order.split(BATCH)]
    found = relume.revive(treated, batches, epochs=1, lr=lr)
    return {
        "seed": seed,
        "dead_when_collapsed": dead(collapsed, x),
        "accuracy_when_collapsed": accuracy(collapsed, test_rows),
        "accuracy_untreated": accuracy(untreated, test_rows),
        "accuracy_revived": accuracy(treated, test_rows),
        "accuracy_fresh": accuracy(fresh, test_rows),
        "dead_when_revived": dead(treated, x),
        "is_plain_relu": [type(each) is nn.ReLU for each in treated][1::2],
        "said": found.sentence,
        "verdict": None if found.verdict is None else found.verdict.to_json(),
    }


def main() -> None:
    """Run every seed and keep the result."""
    torch.set_num_threads(1)
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else named_folder(NamedSet("mnist", None))
    lr = float(sys.argv[2]) if len(sys.argv) > 2 else 1e-3
    train_rows, test_rows = read(given)
    runs = [one(seed, train_rows, test_rows, lr) for seed in SEEDS]
    keep(
        "revive",
        {
            "data": "MNIST, 60,000 training rows, 10,000 test rows",
            "recipe": f"784-512-512-10, Adam, one cycle, peak {PEAK}, {EPOCHS} epochs of {BATCH}",
            "further": f"one epoch, peak rate {lr}",
            "wanted": WANTED,
            "reached": all(run["accuracy_revived"] >= WANTED for run in runs),
            "runs": runs,
        },
    )


if __name__ == "__main__":
    main()
