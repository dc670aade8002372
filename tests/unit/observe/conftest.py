"""A tap that is armed for the length of a block."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from relume.observe.calls import Calls
from relume.observe.intercept import Interception, Switch
from relume.observe.loss_watch import LossWatch
from relume.observe.naming import Names
from relume.observe.own_activations import kind_of
from relume.observe.recorder import Recorder
from relume.observe.tally import Tally
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved
from relume.runs.facts import LossFacts
from relume.runs.query import read_run
from relume.runs.run_file import Run
from relume.runs.store import RunWriter


class Watched:
    """What an armed tap saw.

    Attributes:
        windows: Its activity by the name of the site, once the block is left.
        layers: What the run file keeps of each site, by its name.
        missed: What was not observed.
    """

    def __init__(self, *, in_evaluation: bool) -> None:
        self.unobserved = Unobserved()
        self.tap = ArmedTap(Names(), self.unobserved, in_evaluation=in_evaluation)

    def close(self) -> None:
        assert self.tap.fault is None, repr(self.tap.fault)
        self.windows = {t.layer.name: t.end_window(1).activity for t in self.tap.tallies}
        self.layers = {t.layer.name: t.layer for t in self.tap.tallies}
        self.missed = [what for what, _ in self.unobserved.counts]

    @property
    def tallies(self) -> dict[str, Tally]:
        return {tally.layer.name: tally for tally in self.tap.tallies}


Watch = Callable[..., AbstractContextManager[Watched]]


@pytest.fixture
def watch() -> Watch:
    """Patch torch and arm a tap for the length of a block."""

    @contextmanager
    def watching(*, in_evaluation: bool = False) -> Iterator[Watched]:
        switch = Switch()
        interception = Interception(switch)
        watched = Watched(in_evaluation=in_evaluation)
        interception.install()
        try:
            watched.tap.arm()
            switch.tap = watched.tap
            yield watched
        finally:
            switch.tap = None
            watched.tap.disarm()
            interception.remove()
        watched.close()

    return watching


class WatchedLosses(LossWatch):
    """Looks at the losses of a block, whose steps the test counts by hand.

    Attributes:
        number: Steps that have ended.
        missed: What was not observed.
    """

    def __init__(self) -> None:
        self.number = 0
        self.unobserved = Unobserved()
        self.calls = Calls(lambda *_: None, kind_of)
        super().__init__(Names(), self.unobserved, self.calls, lambda: self.number)

    def end_step(self, *, is_next_armed: bool = True) -> None:
        """End a step."""
        self.number += 1
        self.begin_step(is_armed=is_next_armed)

    @property
    def missed(self) -> list[str]:
        return [what for what, _ in self.unobserved.counts]

    def only(self) -> LossFacts:
        """Return the one loss that was seen."""
        (fact,) = self.facts()
        return fact


@pytest.fixture
def losses() -> Iterator[WatchedLosses]:
    """Patch torch and look at losses, on an armed step at first."""
    switch = Switch()
    interception = Interception(switch)
    interception.install()
    switch.losses = watched = WatchedLosses()
    watched.begin_step(is_armed=True)
    watched.calls.attach()
    try:
        yield watched
    finally:
        watched.calls.detach()
        interception.remove()
    assert watched.fault is None, repr(watched.fault)


@pytest.fixture
def recorded(tmp_path) -> Callable[..., Run]:
    """Return a function that records a training at every step and reads what came of it."""

    def recording(train: Callable[[], object], **settings: object) -> Run:
        path = tmp_path / "recorded.sqlite"
        recorder = Recorder(lambda: RunWriter(path), **({"period": 1} | settings))
        recorder.start()
        try:
            train()
        finally:
            recorder.stop()
        recorder.output.writer.close()
        assert recorder.fault is None, repr(recorder.fault)
        return read_run(path)

    return recording
