"""What hands out facts about a training."""

from collections.abc import Iterable
from typing import Protocol

from relume.runs.facts import Fact


class Observer(Protocol):
    """Keeps running sums while a training runs, and says what they come to when asked."""

    def facts(self) -> Iterable[Fact]:
        """Return the present facts; each stands for all of its key before."""
        ...
