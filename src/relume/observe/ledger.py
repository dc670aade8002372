"""What is written of a training of our own loops: windows, and what stands for it as a whole."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from relume.observe.curve import OpenCurve
from relume.observe.observation import Observation
from relume.observe.pending import Ended, OpenWindow
from relume.observe.tally import Tally
from relume.observe.unobserved import Unobserved
from relume.runs.continued import continued
from relume.runs.fact_json import from_json, kind_of, to_json
from relume.runs.facts import Fact
from relume.runs.loss_curve import Curve
from relume.runs.records import Layer
from relume.runs.store import RunWriter

LEAST_WAIT_S, WAITS = 1.0, 50
"""Between two writes of the facts lies at least the first, and so many times what one takes."""


class Ledger:
    """Keeps what is written: when hangs on the clock, what does not.

    Args:
        writer: Where it goes.
        seen: What was measured.
        tallies: The sites; the list grows.
        unobserved: What could not be observed.
        window_steps: Steps that make one window.
        has_places: Whether the lines that call activations are kept.
    """

    def __init__(
        self,
        writer: RunWriter,
        seen: Observation,
        tallies: list[Tally],
        unobserved: Unobserved,
        *,
        window_steps: int,
        has_places: bool,
    ) -> None:
        self._writer = writer
        self._seen = seen
        self._tallies = tallies
        self._unobserved = unobserved
        self._window_steps = window_steps
        self._has_places = has_places
        self._told: Mapping[tuple[str, str], int] = {}
        self._window: OpenWindow | None = None
        self._ended: Ended = []
        self._step = 0
        self._has_looked = False
        self._curve = OpenCurve()
        self._before: list[Fact] = []  # what was known before an interruption
        self._written_sites = 0
        self._known_weights = writer.number_of_weights
        self._facts_at_s = time.perf_counter() + LEAST_WAIT_S

    def set_layers(self) -> None:
        """Write the layers that are known before the first step.

        Raises:
            ValueError: A record that is gone on with has others.
        """
        layers = [self._layer(tally) for tally in self._tallies]
        known = self._writer.layers
        if known and [layer.name for layer in known] != [layer.name for layer in layers]:
            raise ValueError("the record was begun by a version of Relume that saw other layers")
        self._writer.set_layers(layers)
        self._written_sites = len(layers)

    def add(self, step: int, loss: float | None, rate: float, *, is_armed: bool) -> None:
        """Add a step that has ended, and write what is due."""
        self._window = self._window or OpenWindow(step)
        self._step = step
        self._has_looked |= self._seen.is_looking
        self._ended.append((step, loss, rate, is_armed))
        if self._window.steps + len(self._ended) >= self._window_steps:
            self.close_window()
        elif self._writer.is_due():
            self._write_window(self._window)
            self._write_facts_if_due()
        elif is_armed:
            self._work_up(self._window)

    def collect(self) -> None:
        """Add what the sites and the weights saw to the open window."""
        if self._window is None:
            return
        self._window.add_layers([tally.end_window(self._step) for tally in self._tallies])
        if self._has_looked:
            self._has_looked = False
            self._window.add_weights(self._seen.inventory.window())
            names: Sequence[str] = self._seen.inventory.names[self._known_weights :]
            if names:
                self._writer.add_weights(names)
                self._known_weights += len(names)

    def close_window(self) -> None:
        """Write the open window, if there is one, and begin the next."""
        if self._window is None:
            return
        self._seen.note_large_weights()
        self._write_window(self._window)
        self._writer.add_scores(self._seen.losses.take_scores(self._step, is_window_full=True))
        self._writer.write_deaths([self._seen.certificates.value(tally) for tally in self._tallies])
        self._window = None
        self._write_facts_if_due()

    def end_epoch(self) -> None:
        """Write the window, and all scores: what follows is of another epoch."""
        self.close_window()
        self._writer.add_scores(self._seen.losses.end(self._step))

    def end(self) -> None:
        """Write all that is left."""
        self.end_epoch()
        self._write_facts()

    def publish(self) -> None:
        """Write facts and curve now."""
        self._write_facts()

    def state(self) -> dict[str, Any]:
        """Return facts and curve as plain JSON data, from which ``resume`` goes on."""
        curve = {
            name: np.asarray(part).tolist() for name, part in asdict(self._curve.value()).items()
        }
        return {"facts": [(kind_of(fact), to_json(fact)) for fact in self._facts()], "curve": curve}

    def resume(self, state: Mapping[str, Any], steps: int) -> None:
        """Go on from what ``state`` gave after so many steps."""
        known = [from_json(kind, text) for kind, text in state["facts"]]
        self._before = [fact for fact in known if fact is not None]
        curve = state["curve"]
        losses, least, greatest, rates = (
            np.array(curve[name], float) for name in ("losses", "least", "greatest", "rates")
        )
        nonfinite = np.array(curve["nonfinite"], np.int64)
        known_curve = Curve(curve["bucket_steps"], losses, least, greatest, rates, nonfinite)
        self._curve.resume(known_curve, steps)

    def _layer(self, tally: Tally) -> Layer:
        return tally.layer if self._has_places else replace(tally.layer, place=None)

    def _work_up(self, window: OpenWindow) -> None:
        """Add the steps that have ended since the last time."""
        window.add(self._ended)
        self._curve.add(self._ended)
        self._seen.evidence.note_steps(self._ended)
        self._ended.clear()

    def _write_window(self, window: OpenWindow) -> None:
        tallies, writer = self._tallies, self._writer
        if self._ended:
            self._work_up(window)
        self._seen.flows.settle()
        if len(tallies) > self._written_sites:
            writer.add_layers([self._layer(tally) for tally in tallies[self._written_sites :]])
            self._written_sites = len(tallies)
        self.collect()
        writer.write_window(window.value(), [tally.lifetimes.value() for tally in tallies])
        if self._unobserved.counts != self._told:
            self._told = self._unobserved.counts
            writer.write_unobserved(self._told)

    def _write_facts_if_due(self) -> None:
        if time.perf_counter() >= self._facts_at_s:
            self._write_facts()

    def _write_facts(self) -> None:
        """Write facts and curve; cost: a few passes over the weights."""
        began_s = time.perf_counter()
        with self._writer.together():
            self._writer.write_curve(self._curve.value())
            self._writer.write_facts(self._facts())
        ended_s = time.perf_counter()
        self._facts_at_s = ended_s + max(LEAST_WAIT_S, WAITS * (ended_s - began_s))

    def _facts(self) -> list[Fact]:
        now = [fact for observer in self._seen.observers for fact in observer.facts()]
        return continued(self._before, now)
