"""What repairs need of a fit: trials, fresh weights, the record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relume.remedies.patient import Sample
from relume.remedies.snapshot import Snapshot
from relume.remedies.treatments import PREFERRED
from relume.runs.query import Run
from relume.training.loop import Loop, LoopSettings, Objective, TensorPart, blocks
from relume.training.repair_record import RepairRecord
from relume.training.trial import Trial

EXAMINED_ROWS = 2048
"""Of the training part, and of the validation part."""


@dataclass(frozen=True, slots=True, eq=False)
class FitBench:
    """The parts of a fit that is being repaired.

    Args:
        train: Rows to learn from.
        validation: Rows to judge by.
        objective: What is minimised.
        settings: The numbers of the loop.
        build: Returns the network as before the first step; by its usual initialisation, if that is
            asked for.
        recorded: Where it is recorded.
    """

    train: TensorPart
    validation: TensorPart
    objective: Objective
    settings: LoopSettings
    build: Callable[[bool], nn.Module]
    recorded: RepairRecord

    pairs_of = "row"
    actions = PREFERRED

    def trial(self, loop: Loop, epochs: int) -> Trial:
        """Return the next epochs of a training, to be tried."""
        return Trial(
            loop, self.train, self.validation, self.objective, self.settings, epochs=epochs
        )

    def fresh(self, seed: int, *, usual_init: bool) -> dict[str, Tensor]:
        """Return fresh weights, drawn from a random state of their own."""
        torch.manual_seed((self.settings.seed + 1) * 1_000_003 + seed)
        return self.build(usual_init).state_dict()

    def samples(self) -> Sequence[Sample]:
        """Return the rows of the training part in blocks."""
        return [Sample((block,)) for block in blocks(self.train.x)]

    def record(self, model: nn.Module) -> Run:
        """Return the record so far, with what the units do at the present weights."""
        held_out = self.validation.x[:EXAMINED_ROWS]
        rows = (*blocks(self.train.x[:EXAMINED_ROWS], model), *blocks(held_out, model))
        return self.recorded.so_far(model, rows, held_out_rows=len(held_out))

    def snapshot(self, loop: Loop) -> Snapshot:
        """Return the state, to which all that is tried is put back."""
        return Snapshot(loop.patient)
