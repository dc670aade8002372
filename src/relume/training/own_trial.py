"""Some epochs of a training with a step of one's own, from which it comes back."""

import math
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from relume.errors import UserError
from relume.remedies.patient import Patient
from relume.remedies.rate import RateFactor
from relume.training.own_loop import Given, OwnLoop

REHEARSED = 2  # steps


class FallingRate(RateFactor):
    """Has the rate fall in equal parts from what it is to nothing.

    Args:
        patient: The training.
        steps: Over how many updates.
    """

    def __init__(self, patient: Patient, steps: int) -> None:
        super().__init__(patient, 1.0)
        self._steps = steps

    @property
    def is_over(self) -> bool:
        """It ends with the trial."""
        return False

    @property
    def factor(self) -> float:
        """The factor on the rate of the next update."""
        return max(0.0, 1.0 - self.updates / self._steps)


class OwnTrial:
    """The next epochs of such a training, with the same batches in the same order, not recorded.

    The rate falls to nothing over them, as in ``relume.training.trial.Trial``.

    Args:
        loop: The training; its model and optimizer are trained on, its progress is not touched.
        given: Model, batches, step and validation data.
        epochs: How many.
        steps: Batches in an epoch.
    """

    def __init__(self, loop: OwnLoop, given: Given, *, epochs: int, steps: int) -> None:
        self._loop = loop
        self._given = given
        self._epochs = epochs
        self._steps = steps

    def losses(self, should_stop: Callable[[], bool]) -> NDArray[np.float64] | None:
        """Train, and return the loss of each validation batch; None if it was to stop.

        What it does to the training, snapshots put back.
        """
        patient, progress = self._loop.patient, self._loop.progress
        patient.standings.append(FallingRate(patient, self._epochs * self._steps))
        step = progress.step
        with self._loop.updates.looking_away():
            for number in range(progress.epoch + 1, progress.epoch + 1 + self._epochs):
                for batch in self._given.batches.epoch(number):
                    if should_stop():
                        return None
                    step += 1
                    self._learn(step, batch)
        return self.present_losses()

    def present_losses(self) -> NDArray[np.float64]:
        """Return the loss of each validation batch at the present weights."""
        with self._loop.updates.looking_away():
            return self._given.validation_losses()

    def rehearsed(self) -> list[float]:
        """Return the losses of the first steps, and what they make of the weights and the rates."""
        progress, patient = self._loop.progress, self._loop.patient
        batches = islice(self._given.batches.epoch(progress.epoch + 1), REHEARSED)
        with self._loop.updates.looking_away():
            found = [self._learn(progress.step + number, x) for number, x in enumerate(batches, 1)]
        groups = [group for each in patient.optimizers for group in each.param_groups]
        with torch.no_grad():
            sizes = [each.double().norm().item() for each in patient.parameters()]
        return [*found, *(float(group.get("lr", math.nan)) for group in groups), *sizes]

    def _learn(self, step: int, batch: Any) -> float:
        returned = self._given.step(self._given.model, batch)
        loss = returned["loss"] if isinstance(returned, dict) else returned
        if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
            raise UserError("the step returned no loss with a gradient")
        self._loop.updater.update(step, loss)
        return loss.item()
