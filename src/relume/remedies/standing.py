"""What goes on over steps: an action that is at work from update to update until it is removed."""

from typing import Any


class Standing:
    """An action that goes on: it is told of every update, and leaves nothing when removed.

    Attributes:
        updates: How many updates it has seen.
    """

    def __init__(self) -> None:
        self.updates = 0

    @property
    def is_over(self) -> bool:
        """Whether it has done all it meant to do, so that it can be removed."""
        return False

    def before_update(self) -> None:
        """Act when the gradients are there, right before the optimizers step."""

    def after_update(self) -> None:
        """Act right after the optimizers have stepped."""
        self.updates += 1

    def state(self) -> dict[str, Any]:
        """Return where it stands, as JSON data: with its plan all that it takes to go on."""
        return {"updates": self.updates}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        self.updates = int(state["updates"])

    def begin(self) -> None:
        """Put into the model what it needs there; a second call does nothing."""

    def remove(self) -> None:
        """Take out of the training whatever it put in; a second call does nothing."""

    def finish(self) -> None:
        """Leave for good, when the training is over: what is delivered needs it no more."""
        self.remove()
