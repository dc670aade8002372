"""What repairs need of a training, whoever trains it: its state, trials and its record."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from relume.remedies.patient import Patient, Sample
from relume.remedies.snapshot import Snapshot
from relume.runs.query import Run
from relume.training.loop import Progress
from relume.training.repair_record import RepairRecord

if TYPE_CHECKING:
    from torch.optim.swa_utils import AveragedModel

Losses = NDArray[np.float64]


class Training(Protocol):
    """What repairs see of a training between two epochs, and change.

    Attributes:
        progress: Where it stands.
        patient: It, as remedies see it.
        model: What is trained.
        averaged: The model with running means of the weights; None: there are none.
        best_weights: Those of the best epoch so far.
        best_step: The last step of that epoch.
    """

    progress: Progress
    best_weights: dict[str, Tensor]

    @property
    def averaged(self) -> "AveragedModel | None": ...  # noqa: D102

    @property
    def model(self) -> nn.Module: ...  # noqa: D102

    @property
    def patient(self) -> Patient: ...  # noqa: D102

    @property
    def best_step(self) -> int: ...  # noqa: D102

    def forget_best(self) -> None:
        """Take no earlier epoch for the best one any more."""
        ...


class Tried(Protocol):
    """Some epochs of a training beside its record."""

    def losses(self, should_stop: Callable[[], bool]) -> Losses | None:
        """Train, and return a validation loss for each pair; None if it was to stop."""
        ...

    def present_losses(self) -> Losses:
        """Return those losses at the present weights."""
        ...


class Bench(Protocol):
    """What repairs need of a fit.

    Attributes:
        pairs_of: What the losses of a trial are of: ``row`` or ``batch``.
        actions: Names of the actions that may be tried.
        recorded: Where it is recorded.
    """

    @property
    def pairs_of(self) -> str: ...  # noqa: D102

    @property
    def actions(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def recorded(self) -> RepairRecord: ...  # noqa: D102

    def trial(self, loop: Any, epochs: int) -> Tried:
        """Return the next epochs of a training, to be tried."""
        ...

    def fresh(self, seed: int, *, usual_init: bool) -> dict[str, Tensor]:
        """Return fresh weights for the network; torch's random state may be changed."""
        ...

    def samples(self) -> Sequence[Sample]:
        """Return how the model is called with rows of the training part, block by block."""
        ...

    def record(self, model: nn.Module) -> Run:
        """Return the record so far, with what the units do at the present weights."""
        ...

    def snapshot(self, loop: Any) -> Snapshot:
        """Return the state, to which all that is tried is put back; it may refuse."""
        ...
