"""What the processes of a trial load: treatments from outside, and their records.

It stands in for ``relume.watching``, which ``relume run`` would load. The untreated run is watched
besides, by the module that its orders name.
"""

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import relume
from relume.remedies.cure.inside.injector import Injector
from relume.remedies.cure.inside.made import Makings
from relume.remedies.cure.inside.scorebook import METRIC, Scorebook
from relume.remedies.cure.inside.seeds import Seeds
from relume.remedies.cure.inside.survey import Survey
from relume.remedies.cure.inside.treating import listener_of
from relume.remedies.cure.treatment import TREATMENTS, Orders

if TYPE_CHECKING:
    from relume.remedies.cure.inside.listener import Listener


class WatchSettings:
    """How the untreated program is watched.

    Args:
        **options: Those of the settings of ``relume.watching``.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options


class Watch:
    """Treats and records whatever trains in this process.

    Args:
        settings: Of the watch of the untreated program.
    """

    def __init__(self, settings: WatchSettings) -> None:
        orders = Orders.from_text(Path(os.environ[TREATMENTS]).read_text(encoding="utf-8"))
        self._makings = Makings()
        self._scorebook = Scorebook(orders)
        self._survey = Survey(orders.folder, self._makings) if orders.surveys else None
        self._watch = _watch(orders.watching, settings) if orders.watching else None
        treatments = [listener_of(each, self._makings) for each in orders.treatments]
        heard: list[Listener] = [self._makings]
        heard += [self._survey] if self._survey is not None else []
        self._injector = Injector([*heard, *treatments, self._scorebook])
        self._seeds = Seeds(orders.offset)

    def start(self) -> None:
        """Begin, when torch has just been imported."""
        self._seeds.install()
        if self._watch is not None:
            self._watch.start()
        self._injector.install()
        self._scorebook.install()
        setattr(relume, "metric", self._record)  # noqa: B010 (found there before it is looked up)

    def stop(self, status: str) -> None:
        """Write the records."""
        if self._watch is not None:
            self._watch.stop(status)
        self._scorebook.end()
        if self._survey is not None:
            self._survey.end()

    def after_fork_in_child(self) -> None:
        """Go on in a forked child, which records for itself."""
        self._scorebook.forget()
        if self._survey is not None:
            self._survey.forget()
        if self._watch is not None:
            self._watch.after_fork_in_child()

    def _record(self, name: str, value: float) -> None:
        """Take down a score that the program gives ``relume.metric``."""
        self._scorebook.record(METRIC + str(name), value)
        if self._watch is not None:
            self._watch.record_metric(name, value)


def _watch(name: str, settings: WatchSettings) -> Any:
    watching = importlib.import_module(name)
    return watching.Watch(watching.WatchSettings(**settings.options))
