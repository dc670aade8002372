"""What a script sets up before its loop: network, optimizer, schedule, loaders, loss."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.clinic.cases import Case
from benchmarks.clinic.data import Task, load
from benchmarks.clinic.data_edits import edited
from benchmarks.clinic.losses import Loss, loss_of
from benchmarks.clinic.networks import REBUILDING, build, edit_weights, trunk_of
from benchmarks.clinic.recipe import Recipe


@dataclass(slots=True)
class Session:
    """All that a loop needs."""

    task: Task
    recipe: Recipe
    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss_fn: Loss
    train_loader: DataLoader[Any]
    valid_loader: DataLoader[Any]
    steps: int

    def schedule(self) -> Any:
        """Return the schedule of the rate, called after each step; None where it is constant."""
        return SCHEDULES[self.recipe.schedule](self.optimizer, self.steps)


def task_of(case: Case, recipe: Recipe) -> Task:
    """Return the rows of a case, with all that is wrong about them."""
    task = load(case.data, case.seed, is_rebuilt=case.network in REBUILDING)
    return edited(task, recipe.data, case.seed)


def set_up(case: Case, recipe: Recipe, task: Task) -> Session:
    """Return a session; the same for the same case and recipe."""
    torch.manual_seed(case.seed)
    options = dict(recipe.options)
    model = build(case.network, task.train.x, task.outputs, options)
    edit_weights(model, recipe.weights)
    optimizer = OPTIMIZERS[recipe.optimizer](_groups(model, recipe), recipe)
    if "head replaced after the optimizer" in recipe.habits:
        model.out = nn.Linear(model.out.in_features, model.out.out_features)
    loader, valid = _loaders(task, recipe, case.seed)
    has_gaps = task.kind == "classes" and bool((task.train.y < 0).any())
    hand = 0 if has_gaps else (case.seed + len(case.scenario)) % 3  # by hand, it would stop
    loss_fn = loss_of(task, recipe, model, hand)
    return Session(
        task, recipe, model, optimizer, loss_fn, loader, valid, recipe.epochs * len(loader)
    )


def _loaders(task: Task, recipe: Recipe, seed: int) -> tuple[DataLoader[Any], DataLoader[Any]]:
    batch = min(recipe.batch, len(task.train.x))
    loader = DataLoader(
        TensorDataset(*task.train),
        batch_size=batch,
        shuffle="not shuffled" not in recipe.habits,
        drop_last=batch > 1 and len(task.train.x) % batch == 1,
        generator=torch.Generator().manual_seed(seed),
    )
    return loader, DataLoader(TensorDataset(*task.valid), batch_size=100)


Groups = list[dict[str, Any]]


def _groups(model: nn.Module, recipe: Recipe) -> Groups:
    """Return what the optimizer is given: all weights, but where a habit says otherwise."""
    habits = recipe.habits
    if "optimizer of a copy" in habits:
        return [{"params": list(copy.deepcopy(model).parameters())}]
    if "only the head in the optimizer" in habits:
        return [{"params": list(model.out.parameters())}]
    if "trunk frozen" in habits:
        for weight in trunk_of(model):
            weight.requires_grad_(requires_grad=False)
        return [{"params": [weight for weight in model.parameters() if weight.requires_grad]}]
    if "slopes without decay" in habits:
        slopes = {id(w) for m in model.modules() if isinstance(m, nn.PReLU) for w in m.parameters()}
        rest = [weight for weight in model.parameters() if id(weight) not in slopes]
        bare = [weight for weight in model.parameters() if id(weight) in slopes]
        return [{"params": rest}, {"params": bare, "weight_decay": 0.0}]
    for habit, (trunk, head) in RATES.items():
        if habit in habits:
            return [
                {"params": trunk_of(model), "lr": recipe.rate * trunk},
                {"params": list(model.out.parameters()), "lr": recipe.rate * head},
            ]
    return [{"params": list(model.parameters())}]


RATES: Mapping[str, tuple[float, float]] = {
    "trunk at a 10000th": (1e-4, 1.0),
    "head at 300 times": (1.0, 300.0),
    "head at 10 times": (1.0, 10.0),
}
"""By what the rates of trunk and head are multiplied."""

_O = torch.optim
OPTIMIZERS: Mapping[str, Callable[[Groups, Recipe], torch.optim.Optimizer]] = {
    "adam": lambda groups, r: _O.Adam(groups, lr=r.rate, weight_decay=r.weight_decay),
    "adamw": lambda groups, r: _O.AdamW(groups, lr=r.rate, weight_decay=r.weight_decay),
    "sgd": lambda groups, r: _O.SGD(
        groups, lr=r.rate, momentum=r.momentum, weight_decay=r.weight_decay
    ),
    "rmsprop": lambda groups, r: _O.RMSprop(groups, lr=r.rate, weight_decay=r.weight_decay),
    "nesterov": lambda groups, r: _O.SGD(
        groups, lr=r.rate, momentum=r.momentum, weight_decay=r.weight_decay, nesterov=True
    ),
    "nadam": lambda groups, r: _O.NAdam(groups, lr=r.rate, weight_decay=r.weight_decay),
    "radam": lambda groups, r: _O.RAdam(groups, lr=r.rate, weight_decay=r.weight_decay),
    "adagrad": lambda groups, r: _O.Adagrad(groups, lr=r.rate, weight_decay=r.weight_decay),
}


class FadingByHand:
    """A rate that a script lets fade to a tenth by writing it into the groups."""

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        self.groups, self.factor = optimizer.param_groups, 0.1 ** (1 / max(1, steps))

    def step(self) -> None:
        """Lower the rate of every group a little."""
        for group in self.groups:
            group["lr"] *= self.factor


_S = torch.optim.lr_scheduler
SCHEDULES: Mapping[str, Callable[[torch.optim.Optimizer, int], Any]] = {
    "": lambda _, __: None,
    "cosine": _S.CosineAnnealingLR,
    "one cycle": lambda optimizer, steps: _S.OneCycleLR(
        optimizer, max_lr=optimizer.defaults["lr"], total_steps=steps
    ),
    "steps": lambda optimizer, steps: _S.StepLR(optimizer, max(1, steps // 3), gamma=0.4),
    "by hand": FadingByHand,
    "warm up": lambda optimizer, steps: _S.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / (0.1 * steps))
    ),
    "collapse": lambda optimizer, steps: _S.LambdaLR(
        optimizer, lambda step: 0.1 ** (step // max(1, steps // 12))
    ),
}
