"""What hands out facts about a training."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from relume.runs.facts import Fact
from relume.runs.records import WeightWindow


class Observer(Protocol):
    """Keeps running sums while a training runs, and says what they come to when asked."""

    def facts(self) -> Iterable[Fact]:
        """Return the present facts; each stands for all of its key before."""
        ...


class WeightSeries(Protocol):
    """Adds up what single weights do."""

    @property
    def names(self) -> Sequence[str]:
        """The weights; the list only ever grows at its end."""
        ...

    def settle(self) -> None:
        """Read what lies on other devices than the CPU; it is asked for once a window."""
        ...

    def window(self) -> tuple[WeightWindow, ...]:
        """Return what was seen of each since the last time, in that order."""
        ...
