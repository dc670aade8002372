"""Where a training that may be repaired is recorded, and what a person is told of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from relume.errors import OutputError
from relume.monitor import Monitor
from relume.runs.query import Run, read_run
from relume.runs.remedies import AppliedRemedy
from relume.runs.store import RunWriter


@dataclass(frozen=True, slots=True, eq=False)
class RepairRecord:
    """Where a training that may be repaired is recorded.

    Args:
        monitor: What records.
        writer: Of the run file.
        notes: What a person is told at the end.
    """

    monitor: Monitor
    writer: RunWriter
    notes: list[str]

    def so_far(
        self,
        model: nn.Module,
        batches: Iterable[Any],
        *,
        held_out_rows: int,
        call: Callable[[Any], object] | None = None,
    ) -> Run:
        """Return the record so far, with what the units do at the present weights.

        Args:
            model: As it is.
            batches: What it is called with.
            held_out_rows: How many of those rows are not learned from.
            call: What is called with each batch instead of the model.
        """
        self.monitor.publish()
        return replace(
            read_run(self.writer.path),
            examination=tuple(self.monitor.examined(model, batches, call)),
            held_out_rows=held_out_rows,
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
