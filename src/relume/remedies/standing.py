"""What goes on over steps: an action that is at work from update to update until it is removed."""


class Standing:
    """An action that goes on: it is told of every update, and leaves nothing when removed.

    Attributes:
        updates: How many updates it has seen; with the plan, all that it is at a moment.
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

    def remove(self) -> None:
        """Take out of the training whatever it put in; a second call does nothing."""
