"""Accelerate: a tracker that watches a training loop."""

import sys
from typing import TYPE_CHECKING, Any

from relume.integrations.session import Session, ending_of, harmless
from relume.integrations.wanted import wanted

if TYPE_CHECKING:
    from relume.watching import Watch

_GeneralTracker: Any = wanted(__name__, "accelerate.tracking").GeneralTracker


class WatchTracker(_GeneralTracker):  # type: ignore[misc]
    """Watches from ``accelerator.init_trackers`` to ``accelerator.end_training``.

    ``Accelerator(log_with=WatchTracker(out="watched"))``, alone or in a list with other trackers.
    What ``accelerator.log`` is given is recorded. Accelerate starts trackers in the main process
    alone; ``relume run -- accelerate launch train.py`` records all processes. Weights are those of
    a training without it, bitwise.

    Args:
        **settings: Those of ``relume.watch``: ``out``, ``budget``, ``every``, ``repair``, ...

    Raises:
        SettingsError: A setting is unknown or makes no sense.
    """

    name = "relume"
    requires_logging_directory = False

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.session = Session("accelerate", settings, spans_cells=True)

    @property
    def tracker(self) -> "Watch | None":
        """The watch of the present training, or of the last one: its ``folder``, its ``run``."""
        return self.session.watch

    @harmless
    def start(self) -> None:
        """Begin."""
        self.session.begin()

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Keep nothing: the configuration is the script's."""

    @harmless
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Record the numbers, at the update that the training has come to."""
        self.session.record(values)

    @harmless
    def finish(self) -> None:
        """End, also where an exception is on its way through a ``finally``."""
        error = sys.exception()
        self.session.end("finished" if error is None else ending_of(error))
