"""Who is told of a recorded training as it goes, and may act between two steps."""

from typing import Any, Protocol

from torch import nn

from relume.observe.pending import Ended


class Attendant(Protocol):
    """What a recorder tells; none of these methods may raise."""

    def note_pass(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A model is about to be called, on a step that is measured."""
        ...

    def note_steps(self, ended: Ended) -> None:
        """Steps have ended, at least one; told of many at a time."""
        ...

    def end_window(self, step: int) -> None:
        """A window has ended with this step, and the run file holds all up to it."""
        ...
