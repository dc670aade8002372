"""What repairs need of a fit: trials, fresh weights, the record."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from relume.errors import OutputError
from relume.monitor import Monitor
from relume.runs.query import Run, read_run
from relume.runs.remedies import AppliedRemedy
from relume.runs.store import RunWriter
from relume.training.loop import Loop, LoopSettings, Objective, TensorPart, blocks
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
        monitor: What records.
        writer: Of the run file.
        notes: What a person is told at the end.
    """

    train: TensorPart
    validation: TensorPart
    objective: Objective
    settings: LoopSettings
    build: Callable[[bool], nn.Module]
    monitor: Monitor
    writer: RunWriter
    notes: list[str]

    def trial(self, loop: Loop, epochs: int) -> Trial:
        """Return the next epochs of a training, to be tried."""
        return Trial(
            loop, self.train, self.validation, self.objective, self.settings, epochs=epochs
        )

    def fresh(self, seed: int, *, usual_init: bool) -> nn.Module:
        """Return the network with fresh weights, drawn from a random state of their own."""
        torch.manual_seed((self.settings.seed + 1) * 1_000_003 + seed)
        return self.build(usual_init)

    def batches(self) -> tuple[Tensor, ...]:
        """Return the rows of the training part in blocks."""
        return blocks(self.train.x)

    def record(self, model: nn.Module) -> Run:
        """Return the record so far, with what the units do at the present weights."""
        self.monitor.publish()
        held_out = self.validation.x[:EXAMINED_ROWS]
        rows = (*blocks(self.train.x[:EXAMINED_ROWS], model), *blocks(held_out, model))
        return replace(
            read_run(self.writer.path),
            examination=tuple(self.monitor.examined(model, rows)),
            held_out_rows=len(held_out),
        )

    def write(self, remedy: AppliedRemedy, number: int) -> None:
        """Record a remedy; a disk that is full does not end the training."""
        try:
            self.writer.write_remedy(remedy, number)
        except OutputError as error:
            self.note(f"a repair could not be recorded: {error}")

    def note(self, text: str) -> None:
        """Tell a person, once."""
        if text not in self.notes:
            self.notes.append(text)
