"""The loop of a script that learns from rows: as most people write it, faults where they happen."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.clinic.observer import Observer
from benchmarks.clinic.scoring import score, takes_probabilities
from benchmarks.clinic.session import Session


@dataclass(slots=True)
class History:
    """What a script prints after each epoch."""

    train_losses: list[float] = field(default_factory=list)
    valid_losses: list[float] = field(default_factory=list)
    valid_scores: list[float] = field(default_factory=list)
    steps: int = 0


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
ACCUMULATED = 4
"""Backward passes before an update, where gradients are accumulated."""


def train(session: Session, observer: Observer) -> History:
    """Train for all epochs, and validate after each."""
    history = History()
    schedule = session.schedule()
    observer.begin(session.model, session.optimizer, session.loss_fn)
    for epoch in range(session.recipe.epochs):
        set_mode(session, epoch)
        _jump(session, epoch)
        train_loss = train_epoch(session, schedule, history, observer)
        valid_loss, valid_score = validate(session)
        history.train_losses.append(train_loss)
        history.valid_losses.append(valid_loss)
        history.valid_scores.append(valid_score)
        observer.end_epoch(epoch, session.model, train_loss, valid_loss, valid_score)
    return history


def set_mode(session: Session, epoch: int) -> None:
    """Switch to training mode, unless the script forgets."""
    model, habits = session.model, session.recipe.habits
    if "eval() from the start" in habits:
        model.eval()
    elif epoch == 0 or "train() not restored" not in habits:
        model.train()
    if "norms frozen late" in habits and epoch >= session.recipe.epochs / 2:
        for module in model.modules():
            if isinstance(module, NORMS):
                module.eval()


def _jump(session: Session, epoch: int) -> None:
    """Multiply the rate for one epoch in the middle, where the recipe says so."""
    middle = session.recipe.epochs // 2
    for habit in session.recipe.habits:
        if habit.startswith("rate times") and epoch in {middle, middle + 1}:
            times = float(habit.split()[2])
            for group in session.optimizer.param_groups:
                group["lr"] *= times if epoch == middle else 1 / times


def train_epoch(session: Session, schedule: Any, history: History, observer: Observer) -> float:
    """Train for one epoch; return its mean loss."""
    model, optimizer, loss_fn = session.model, session.optimizer, session.loss_fn
    habits = session.recipe.habits
    accumulated = ACCUMULATED if "accumulated" in habits else 1
    total = 0.0
    if "zeroed once an epoch" in habits:
        optimizer.zero_grad()
    for index, (x, y) in enumerate(batches(session)):
        if zeroes(habits) and index % accumulated == 0:
            optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        if habits:
            loss = penalised(loss, model, x, habits) / accumulated
        loss.backward()
        history.steps += 1
        observer.after_backward(history.steps, model, loss, (x, y))
        if "clipped" in habits:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if (index + 1) % accumulated == 0 or index + 1 == len(session.train_loader):
            _update(session)
        if schedule is not None:
            schedule.step()
        total += loss.item() * accumulated
    return total / len(session.train_loader)


def _update(session: Session) -> None:
    session.optimizer.step()
    if zeroes(session.recipe.habits, is_after=True):
        session.optimizer.zero_grad(set_to_none=False)


def batches(session: Session) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the batches of an epoch: from the loader, or cut by the script from its tensors."""
    if "batches by index" not in session.recipe.habits:
        yield from session.train_loader
        return
    x, y = session.task.train
    is_shuffled = "not shuffled" not in session.recipe.habits
    order = torch.randperm(len(x)) if is_shuffled else torch.arange(len(x))
    size = session.train_loader.batch_size or 1
    for i in range(len(session.train_loader)):
        chosen = order[i * size : (i + 1) * size]
        yield x[chosen], y[chosen]


def zeroes(habits: tuple[str, ...], *, is_after: bool = False) -> bool:
    """Return whether the script zeroes the gradients before a backward pass, or after a step."""
    if {"zeroed once an epoch", "never zeroed"} & set(habits):
        return False
    return is_after == ("zeroed after the step" in habits)


def penalised(loss: Tensor, model: nn.Module, x: Tensor, habits: tuple[str, ...]) -> Tensor:
    """Add the penalty that the script has."""
    if "L1 of activations" in habits:
        loss = loss + 1e-3 * model.features(x.flatten(1)).abs().mean()
    if "L1 of weights" in habits:
        loss = loss + 2e-5 * sum(weight.abs().sum() for weight in model.parameters())
    return loss


def validate(session: Session) -> tuple[float, float]:
    """Return mean loss and score of the validation rows."""
    session.model.eval()
    total, outputs = 0.0, []
    is_at_once = "validated at once" in session.recipe.habits
    parts = [tuple(session.task.valid)] if is_at_once else session.valid_loader
    with torch.inference_mode() if is_at_once else torch.no_grad():
        for x, y in parts:
            out = session.model(x)
            total += float(session.loss_fn(out, y))
            outputs.append(out[0] if isinstance(out, tuple) else out)
    claimed = score(
        session.task.kind,
        torch.cat(outputs),
        session.task.valid.y,
        is_probability=takes_probabilities(session.recipe),
    )
    loss = total / max(1, len(parts))
    return loss if math.isfinite(loss) else math.nan, claimed
