"""Some epochs of a training beside its record, from which it comes back bitwise."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.runs.records import Epoch
from relume.training.loop import Loop, LoopSettings, Objective, Observers, TensorPart, outputs
from relume.training.recording import Unrecorded

TRIALS, SHARE, FEWEST_EPOCHS = 5, 0.1, 2
FEWEST_STEPS = 100
"""Of a trial, where epochs may have a few steps: of estimators, and with steps of one's own."""


def trial_epochs(epochs: int, epoch: int) -> int:
    """Return how many epochs a trial takes in a fit of so many, after the given epoch.

    Example:
        >>> trial_epochs(20, 16), trial_epochs(150, 16), trial_epochs(10_000, 16)
        (2, 3, 16)
    """
    return max(FEWEST_EPOCHS, min(epoch, int(SHARE * epochs / TRIALS)))


class Trial(Loop):
    """The next epochs of a training, with the same rows in the same order, not recorded.

    The rate of the schedule falls to nothing over them: otherwise a lower rate would look better
    by its quiet alone.

    Args:
        loop: The training; its model and optimizer are trained on, its progress is not touched.
        train: Rows to learn from.
        validation: Rows to judge by.
        objective: What is minimised.
        settings: The numbers of the training.
        epochs: How many.
    """

    def __init__(
        self,
        loop: Loop,
        train: TensorPart,
        validation: TensorPart,
        objective: Objective,
        settings: LoopSettings,
        *,
        epochs: int,
    ) -> None:
        plain = replace(settings, averaging=0.0)
        super().__init__(
            loop.model, train, validation, objective, plain, Unrecorded(), optimizer=loop.optimizer
        )
        self.averaged, self.patient = loop.averaged, loop.patient
        self.progress = replace(loop.progress, stopped="")
        self._rate_of = loop.rate
        self._first = loop.progress.step
        self._epochs = epochs

    def losses(self, should_stop: Callable[[], bool]) -> NDArray[np.float64] | None:
        """Train, and return the loss of each validation row; None if it was to stop."""
        observers = Observers(_nothing, _nothing, _nothing, should_stop)
        for _ in range(self._epochs):
            if not self._epoch(observers):
                return None
        return self.present_losses()

    def present_losses(self) -> NDArray[np.float64]:
        """Return the loss of each validation row at the present weights."""
        output = outputs(self.judged, self._validation.x)
        rows = self._objective.plain_loss(output, self._validation.y)
        return rows.cpu().double().numpy()

    def rate(self, step: int) -> float:
        """Return the rate of the training, falling to nothing over the trial."""
        share = (step - self._first - 1) / (self._epochs * self.steps_per_epoch)
        return self._rate_of(step) * (1 - share)

    def _score(self, number: int, train_loss: float) -> Epoch:
        return Epoch(
            epoch=number,
            step=self.progress.step,
            train_loss=train_loss,
            validation_loss=math.nan,
            validation_score=math.nan,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            units_alive=0,
            units=0,
        )

    def _judge(self, epoch: Epoch) -> None:
        pass


def _nothing(*_: Any) -> None:
    pass
