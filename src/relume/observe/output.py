"""What a recording writes, and when: windows that fill, epochs, scores, certificates."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from relume.observe.curve import OpenCurve
from relume.observe.deaths import Certificates
from relume.observe.loss_watch import LossWatch
from relume.observe.observer import Observer, WeightSeries
from relume.observe.pending import Ended, Epochs, OpenWindow
from relume.observe.tally import Tally
from relume.observe.unobserved import Unobserved
from relume.runs.records import Epoch, LayerWindow, Metric, Score, UnitActivity, Window
from relume.runs.store import RunWriter

if TYPE_CHECKING:
    from relume.observe.attendant import Attendant

WINDOW_STEPS = 50
LEAST_ARMED = 4
"""A window has at least so many steps, and at least so many of them were measured."""

MOST_CLOSED_WINDOWS = 120
MOST_WAITING_METRICS = 1000
FACTS_SHARE = 0.1  # of the budget
WRITE_EVERY_S = 1.0  # a killed run loses no more
LONGEST_FACTS_S = 60.0  # but facts may be older


class Output:
    """The run file of a recording, opened at its first step.

    Args:
        open_writer: Makes the run file.
        unobserved: What could not be observed.
        certificates: Of the units that fell silent.
        budget: Share of the time that watching may take; a tenth of it is for facts.
        losses: What was seen of the losses.
        observers: What hands out facts.
        weights: What is seen of single weights; None: nothing.

    Attributes:
        writer: The run file, from the first step on.
        write_at_s: When the next write is due, by ``time.perf_counter``.
        metrics: Scores that wait to be written.
        attendant: Told of steps and windows. With one, everything is written when a window is full
            and at no other time: what the file holds follows from step counts alone.
    """

    def __init__(
        self,
        open_writer: Callable[[], RunWriter],
        unobserved: Unobserved,
        certificates: Certificates,
        budget: float,
        losses: LossWatch,
        *,
        observers: Sequence[Observer] = (),
        weights: WeightSeries | None = None,
    ) -> None:
        self.open_writer = open_writer
        self.writer: RunWriter | None = None
        self.write_at_s = time.perf_counter()
        self.metrics: list[Metric] = []
        self.attendant: Attendant | None = None
        self._unobserved = unobserved
        self._certificates = certificates
        self._budget = budget
        self._losses = losses
        self._observers = observers
        self._weights = weights
        self._known_weights = 0
        self._facts_at_s = 0.0  # when facts are written again, which takes a while
        self._window = OpenWindow(1)
        self._window_steps = WINDOW_STEPS
        self._closed = 0
        self._closed_windows: list[Window] = []
        self._scores: list[Score] = []
        self._known_sites = 0
        self._told: Mapping[tuple[str, str], int] = {}
        self._epochs = Epochs()
        self._curve = OpenCurve()

    def add(self, ended: Ended) -> None:
        """Add steps that have ended, at least one, all of the same window."""
        self._window.add(ended)
        self._epochs.add(ended)
        self._curve.add(ended)
        if self.attendant is not None:
            self.attendant.note_steps(ended)

    def begin_epoch(self, loader: object, step: int) -> None:
        """Take note that a loader is read from its start; it may end an epoch."""
        ended = self._epochs.begin(loader, step)
        if ended is not None and self.writer is not None:
            self.writer.write_epoch(self._scored(ended))

    def _scored(self, epoch: Epoch) -> Epoch:
        """Return an epoch with the evaluation that followed its last step, if there was one."""
        score = self._losses.evaluation_at(epoch.step)
        if score is None:
            return epoch
        return replace(epoch, validation_loss=score.loss, validation_score=score.right)

    def delay(self, duration_s: float) -> None:
        """Put off what is due: nothing was watched for so long."""
        self.write_at_s += duration_s
        self._facts_at_s += duration_s

    def add_metric(self, name: str, step: int, value: object) -> None:
        """Add a score; what is no number is listed as not observed."""
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError):
            self._unobserved.note(f"metric that is no number: {name}", None)
            return
        self.metrics.append(Metric(name, step, number))
        if self.writer is not None and len(self.metrics) >= MOST_WAITING_METRICS:
            self._write_metrics(self.writer)

    def write_if_due(self, step: int, tallies: Sequence[Tally]) -> None:
        """Close the window, if it is full; write what is open, if it is time.

        Windows are closed by their steps and written by the clock: what a run file says of a
        training does not depend on how quick the machine was.
        """
        window = self._window
        is_full = window.steps >= self._window_steps and window.armed_steps >= LEAST_ARMED
        if is_full:
            self._close_window(step, tallies)
        is_due = time.perf_counter() >= self.write_at_s if self.attendant is None else is_full
        if not is_due and self.writer is not None:
            return
        if self.writer is None:
            self.writer = self.open_writer()
            self.writer.set_layers([])
        self.write(step, tallies)
        self.write_at_s = time.perf_counter() + WRITE_EVERY_S
        if self.attendant is not None:
            self.write_at_s = math.inf
            if is_full:
                self.attendant.end_window(step)

    def write(self, step: int, tallies: Sequence[Tally]) -> None:
        """Write what is closed and what is open."""
        writer = self.writer
        if writer is None:
            return
        with writer.together():
            self._write_all(writer, step, tallies)

    def _write_all(self, writer: RunWriter, step: int, tallies: Sequence[Tally]) -> None:
        for window in self._closed_windows:
            self._write_window(writer, window, tallies)
        self._closed_windows.clear()
        if self._window.steps:
            self._take_up(step, tallies)
            self._write_window(writer, self._window.value(), tallies)
        writer.write_curve(self._curve.value())
        began_s = time.perf_counter()
        if self.attendant is not None or began_s >= self._facts_at_s:
            self._write_facts(writer)
            ended_s = time.perf_counter()
            affordable_s = (ended_s - began_s) / (FACTS_SHARE * self._budget)
            self._facts_at_s = ended_s + min(LONGEST_FACTS_S, affordable_s)
        if self.metrics:
            self._write_metrics(writer)
        writer.add_scores([*self._scores, *self._losses.take_scores(step)])
        self._scores.clear()
        if not self._certificates.is_empty:
            writer.write_deaths([self._certificates.value(t) for t in tallies])
        if self._unobserved.counts != self._told:
            self._told = self._unobserved.counts
            writer.write_unobserved(self._told)

    def _take_up(self, step: int, tallies: Sequence[Tally]) -> None:
        """Add what sites and weights saw since the last time to the open window."""
        if self._weights is not None:
            self._weights.settle()
        self._window.add_layers([tally.end_window(step) for tally in tallies])
        if self._weights is not None:
            self._window.add_weights(self._weights.window())

    def _write_window(self, writer: RunWriter, window: Window, tallies: Sequence[Tally]) -> None:
        """Write a window, and before it the sites and weights that were first seen in it."""
        new = tallies[self._known_sites : len(window.layers)]
        if new:
            writer.add_layers([tally.layer for tally in new])
            self._known_sites = len(window.layers)
        if self._weights is not None and len(window.weights) > self._known_weights:
            names = self._weights.names[self._known_weights : len(window.weights)]
            writer.add_weights(names)
            self._known_weights += len(names)
        missing = [LayerWindow(UnitActivity.zero(tally.layer.units)) for tally in tallies]
        layers = (*window.layers, *missing[len(window.layers) : self._known_sites])
        lifetimes = [tally.lifetimes.value() for tally in tallies[: self._known_sites]]
        writer.write_window(replace(window, layers=layers), lifetimes)

    def finish(self, step: int, tallies: Sequence[Tally]) -> None:
        """Write all that is left; the run file stays open."""
        if self.writer is None:
            return
        self.write(step, tallies)
        ended = self._epochs.end(step)
        if ended is not None:
            self.writer.write_epoch(self._scored(ended))
        self.writer.add_scores(self._losses.end(step))
        self.writer.write_deaths([self._certificates.value(t) for t in tallies])
        self._write_facts(self.writer)
        self.writer.write_unobserved(self._unobserved.counts)

    def _write_facts(self, writer: RunWriter) -> None:
        facts = [fact for observer in self._observers for fact in observer.facts()]
        if facts:
            writer.write_facts(facts)

    def _write_metrics(self, writer: RunWriter) -> None:
        for name in writer.write_metrics(self.metrics):
            self._unobserved.note(f"metric beyond the first 200: {name}", None)
        self.metrics.clear()

    def _close_window(self, step: int, tallies: Sequence[Tally]) -> None:
        self._take_up(step, tallies)
        self._closed_windows.append(self._window.value())
        self._scores += self._losses.take_scores(step, is_window_full=True)
        self._window = OpenWindow(step + 1)
        self._closed += 1
        if self._closed % MOST_CLOSED_WINDOWS == 0:
            self._window_steps *= 2
