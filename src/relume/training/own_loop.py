"""The loop around a step of one's own: counts, records and judges; what learns is the step's.

Nothing here draws a random number or depends on a clock, and no mode of a module is changed for a
step: the weights are those of a bare loop around the same step and batches.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relume.errors import DataError, SettingsError
from relume.monitor import Monitor
from relume.observe.modes import evaluating
from relume.observe.passes import leading_rows
from relume.remedies.live.training import random_numbers_kept
from relume.remedies.patient import Patient
from relume.runs.records import Epoch
from relume.training.loop import Progress, copied_weights
from relume.training.noticed_updates import NoticedUpdates
from relume.training.own_data import GivenBatches, Rows
from relume.training.own_examination import Call, noting_call
from relume.training.own_updates import Losses, Updater, read_losses

Step = Callable[[Any, Any], Any]
Repair = Callable[["OwnLoop"], None]


class Watcher(Protocol):
    """Who is told how the training goes; nothing they do changes it."""

    def step(self, step: int, steps: int, loss: float) -> None:
        """Called after every step; ``steps`` is 0 where their number is not known."""
        ...

    def epoch(self, epoch: Epoch) -> None:
        """Called after every epoch."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a person gave: their model, their batches and what is called with them.

    Args:
        model: Handed to ``step`` as it is.
        root: The model as one module.
        batches: The data.
        step: Called with model and batch.
        validate: Called with the model after each epoch, in eval mode without gradients; its
            number is a score, higher is better.
        validation: Data that are not learned from, to which ``step`` gives a loss likewise.
    """

    model: Any
    root: nn.Module
    batches: Rows | GivenBatches
    step: Step
    validate: Callable[[Any], Any] | None = None
    validation: Rows | GivenBatches | None = None

    def validation_losses(self) -> NDArray[np.float64]:
        """Return the loss that the step gives to each batch of the validation data.

        In eval mode, without gradients; no random number is drawn that is drawn elsewhere.

        Raises:
            SettingsError: The step returned none.
        """
        assert self.validation is not None  # noqa: S101
        found = []
        with random_numbers_kept(), evaluating(self.root), torch.no_grad():
            for batch in self.validation.in_order():
                total = read_losses(self.step(self.model, batch)).total
                if total is None:
                    raise SettingsError(
                        "validation= needs a step that returns its loss; it returned none"
                    )
                found.append(total)
        return np.asarray(found)


@dataclass(slots=True)
class _RowMean:
    """The mean of a loss over the rows of an epoch, whose last batch may be smaller."""

    total: float = 0.0
    rows: int = 0

    @property
    def value(self) -> float | None:
        """The mean; None before anything was added."""
        return self.total / self.rows if self.rows else None

    def add(self, loss: float, rows: int) -> None:
        """Add the mean loss of a batch."""
        self.total += loss * rows
        self.rows += rows


class OwnLoop:
    """One training, from its first step to its end.

    Args:
        given: Model, batches and step.
        epochs: Passes over the data.
        updater: What updates the model where the step does not.
        monitor: What records.

    Attributes:
        progress: Where it stands.
        epochs: What is known after each epoch.
        losses: The mean of each named loss, epoch by epoch; nan where it was not returned.
        best_score: The best of ``validate``.
        call: How the first step called the whole model.
        was_updated: Whether any optimizer has updated the model.
        updater: What updates the model where the step does not.
        updates: What notices the updates.
        best_weights: Those of the best epoch so far.
        best_step: The last step of that epoch.
    """

    averaged: None = None

    def __init__(self, given: Given, epochs: int, updater: Updater, monitor: Monitor) -> None:
        self.progress = Progress()
        self.losses: dict[str, list[float]] = {}
        self.best_score = -math.inf
        self.epochs: list[Epoch] = []
        self.call = Call()
        self.was_updated = False
        self._given = given
        self._epochs = epochs
        self.updater = updater
        self.updates = NoticedUpdates(given.root, monitor)
        self.best_weights: dict[str, Tensor] = {}
        self.best_step = 0
        self._monitor = monitor

    @property
    def model(self) -> nn.Module:
        """What is trained, as one module."""
        return self._given.root

    @property
    def patient(self) -> Patient:
        """The training as remedies see it."""
        return self.updater.patient

    def forget_best(self) -> None:
        """Take no earlier epoch for the best one any more."""
        self.progress.best_epoch, self.progress.best_loss = 0, math.inf
        self.best_score, self.best_weights = -math.inf, {}

    def run(self, watcher: Watcher, should_stop: Callable[[], bool], repair: Repair) -> None:
        """Train until the epochs are used up, the loss is not finite, or ``should_stop`` says so.

        With validation the weights of the best epoch are restored at the end.

        Args:
            watcher: Who is told.
            should_stop: Whether a person wants it to stop.
            repair: Called after each epoch; it may change the training.
        """
        with self._monitor.watching(), self.updates.noticing():
            while not self.progress.stopped:
                if not self._epoch(watcher, should_stop):
                    self.progress.stopped = "interrupted"
                    self._monitor.close_window()
                    break
                repair(self)
        if self.best_weights:
            self._given.root.load_state_dict(self.best_weights)
        self.patient.finish()

    def _epoch(self, watcher: Watcher, should_stop: Callable[[], bool]) -> bool:
        """Train one epoch and score it; False if it was cut short."""
        number = self.progress.epoch + 1
        known = self._given.batches.steps
        seen: defaultdict[str, _RowMean] = defaultdict(_RowMean)
        total, before = _RowMean(), self.progress.step
        for batch in self._given.batches.epoch(number):
            if should_stop():
                return False
            losses, rows = self._step(batch), leading_rows(batch) or 1
            if losses.total is not None:
                total.add(losses.total, rows)
            for name, value in losses.named.items():
                seen[name].add(value, rows)
            loss = math.nan if losses.total is None else losses.total
            watcher.step(self.progress.step, known * self._epochs if known else 0, loss)
        if self.progress.step == before:
            raise DataError(f"data gave no batch in epoch {number}")
        self._end_epoch(
            number, total.value, {name: mean.total / mean.rows for name, mean in seen.items()}
        )
        watcher.epoch(self.epochs[-1])
        return True

    def _step(self, batch: Any) -> Losses:
        self.progress.step += 1
        self.updates.begin_step()
        with self._monitor.step(self.progress.step), ExitStack() as hooks:
            if self.progress.step == 1:
                self.call = hooks.enter_context(noting_call(self._given.root, batch))
            returned = self._given.step(self._given.model, batch)
            losses = read_losses(returned)
            self.updater.after_step(self.progress.step, returned, self.updates)
            self._check_validation()
            rate = self.updates.learning_rate
            self.was_updated = self.was_updated or self.updates.count > 0
            self._monitor.after_update(self.progress.step, losses.total, rate)
        return losses

    def _check_validation(self) -> None:
        if self._given.validation is not None and not self.updater.is_ours:
            raise SettingsError(
                "validation= needs a step that returns its loss and leaves the update to Relume; "
                "give validate=lambda model: ... to one that updates by itself"
            )

    def _end_epoch(self, number: int, loss: float | None, named: Mapping[str, float]) -> None:
        score, validation_loss = self._score(), self._validation_loss()
        epoch = Epoch(
            epoch=number,
            step=self.progress.step,
            train_loss=math.nan if loss is None else loss,
            validation_loss=validation_loss,
            validation_score=score,
            learning_rate=self.updates.learning_rate,
            units_alive=self._monitor.units_alive,
            units=self._monitor.units,
        )
        self.epochs.append(epoch)
        self.progress.epoch = number
        self._monitor.end_epoch(epoch)
        if named:
            self._monitor.record_losses(number, named)
        for name in dict.fromkeys((*self.losses, *named)):
            earlier = self.losses.setdefault(name, [math.nan] * (number - 1))
            earlier.append(named.get(name, math.nan))
        self._keep_best(epoch)
        if loss is not None and not math.isfinite(loss):
            self.progress.stopped = f"diverged in epoch {number}: the loss is not finite"
        elif number >= self._epochs:
            passes = "the one epoch" if number == 1 else f"all {number} epochs"
            self.progress.stopped = f"after {passes}"

    def _keep_best(self, epoch: Epoch) -> None:
        """Keep the weights of the best epoch: by ``validate``, or else by the validation loss."""
        is_better = epoch.validation_score > self.best_score
        if self._given.validate is None:
            is_better = epoch.validation_loss < self.progress.best_loss
        if is_better:
            self.best_score, self.progress.best_loss = epoch.validation_score, epoch.validation_loss
            self.progress.best_epoch, self.best_step = epoch.epoch, epoch.step
            self.best_weights = copied_weights(self._given.root)

    def _validation_loss(self) -> float:
        """Return the mean loss of the validation data; nan where there are none."""
        if self._given.validation is None:
            return math.nan
        with self._monitor.scoring(self._given.root), self.updates.looking_away():
            return float(self._given.validation_losses().mean())

    def _score(self) -> float:
        """Return what ``validate`` says of the model; nan where there is none."""
        if self._given.validate is None:
            return math.nan
        root = self._given.root
        with self._monitor.scoring(root), evaluating(root), torch.no_grad():
            score = self._given.validate(self._given.model)
        try:
            return float(score)
        except (TypeError, ValueError):
            raise SettingsError(
                f"validate must return a number, higher is better; got a {type(score).__name__}"
            ) from None
