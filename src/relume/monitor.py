"""Recording a training of our own loops: armed steps are measured, windows fill, the file grows.

Nothing here may stop or change the training: the first fault of ours turns the recording off, is
kept in ``Monitor.fault`` and reaches nobody else. Nothing that is recorded depends on a clock.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from relume.observe.compiled import CompiledRegions
from relume.observe.deaths import Certificates, Evidence
from relume.observe.falls import note_falls
from relume.observe.flows import Flows
from relume.observe.intercept import Interception, Switch
from relume.observe.model_tap import ModelTap, armed
from relume.observe.modes import evaluating, uncompiled
from relume.observe.pending import Ended, OpenWindow
from relume.observe.schedule import Schedule
from relume.observe.tally import LazyLifetimes, Tally
from relume.observe.unobserved import Unobserved
from relume.runs.records import Epoch, Layer, Lifetimes, UnitActivity
from relume.runs.run_file import read_file
from relume.runs.store import RunWriter

ALIVE_ROWS = 1000
"""A unit counts as alive while it fired within this many armed rows."""

P = ParamSpec("P")
R = TypeVar("R")


def _guarded(
    method: Callable[Concatenate["Monitor", P], R],
) -> Callable[Concatenate["Monitor", P], R | None]:
    """Do nothing once there was a fault; keep the first one and let the training go on."""

    @wraps(method)
    def guard(self: "Monitor", /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        if self.fault is None:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001
                self.fault = error
        return None

    return guard


class Monitor:
    """Records one training into a run file, from ``watching`` on.

    Args:
        model: What is trained.
        writer: Where it goes.
        armed: Which steps are measured.
        window_steps: Steps that make one window.
        example: What a network of ``relume.nn`` can be called with, two rows are enough: then its
            layers are found before the first step. The lines that call them, which are ours, are
            not kept. None for a model of somebody else, whose layers are found as they are used.

    Attributes:
        fault: The first fault of ours, after which nothing more is recorded; ``None`` so far.
    """

    def __init__(
        self,
        model: nn.Module,
        writer: RunWriter,
        *,
        armed: Schedule,
        window_steps: int,
        example: Tensor | None = None,
    ) -> None:
        self.fault: Exception | None = None
        self._model = model
        self._writer = writer
        self._armed = armed
        self._window_steps = window_steps
        self._example = example
        self._parameters = {id(parameter) for parameter in model.parameters()}
        self._unobserved = Unobserved()
        self._told: Mapping[tuple[str, str], int] = {}
        self._large: set[str] = set()
        self._switch = Switch()
        self._interception = Interception(self._switch)
        self._tap = ModelTap(model, self._unobserved)
        self._compiled = CompiledRegions(self._tap, self._tap.names, self._unobserved)
        self._is_ours = example is not None
        self._flows = Flows()
        self._evidence = Evidence()
        self._certificates = Certificates(self._evidence)
        self._window: OpenWindow | None = None
        self._written_sites = 0
        self._is_installed = self._is_armed = False
        self._step = self._last_armed = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Patch torch inside the block; one within another does nothing."""
        if self._is_installed:
            yield
            return
        try:
            self._install()
            yield
        finally:
            self._is_installed = False
            for part in (self._compiled, self._interception):
                try:
                    part.remove()
                except Exception as error:  # noqa: BLE001
                    self.fault = self.fault or error

    @contextmanager
    def step(self, step: int) -> Iterator[None]:
        """Surround one training step, from its forward pass to after its update.

        Args:
            step: Its number, from 1.
        """
        self._step = step
        if not self._armed(step):
            yield
            return
        try:
            self._arm()
            yield
        finally:
            self._is_armed = False
            self._switch.tap = None
            self._tap.disarm()

    def read_scale(self, scale: Callable[[], Tensor | None]) -> None:
        """Divide gradients by what a function returns; None for nothing."""
        self._tap.gradient_scale = scale

    @_guarded
    def before_update(
        self,
        parameters: Collection[int] | None = None,
        *,
        has_closure: bool = False,
        scale: Tensor | None = None,
    ) -> None:
        """Call it between the backward pass and the update.

        Args:
            parameters: The ``id`` of each parameter that is updated; ``None`` for all of them.
            has_closure: Whether the gradients are computed within the update.
            scale: What the gradients are multiplied by; None for nothing.
        """
        if self._is_armed:
            tallies = self._tap.tallies
            given = self._parameters if parameters is None else parameters
            self._evidence.note_input(self._step, self._tap.calls.last_input)
            self._note_falls()
            norm = self._flows.before_update(tallies, given, has_closure=has_closure, scale=scale)
            self._evidence.note_gradient(self._step, norm)

    @_guarded
    def end_update(self) -> None:
        """Call it right after an update where a step holds several."""
        if self._is_armed:
            self._take_update()

    @_guarded
    def end_backward(self) -> None:
        """Call it after a backward pass that is not the last of its step."""
        if self._is_armed and self._tap.calls.root is None:
            self._tap.calls.begin_pass(None)

    @_guarded
    def after_update(self, step: int, loss: float | None, learning_rate: float) -> None:
        """Call it after the update, still inside the step; ``None`` where no loss is known."""
        if self._is_armed:
            self._take_update()
            _check(self._tap)
            self._note_falls()
            self._last_armed = step
        self._window = self._window or OpenWindow(step)
        ended: Ended = [(step, loss, learning_rate, self._is_armed)]
        self._window.add(ended)
        self._evidence.note_steps(ended)
        if self._window.steps >= self._window_steps:
            self.close_window()
        elif self._writer.is_due():
            self._write_window(self._window)

    @_guarded
    def close_window(self) -> None:
        """Write the open window, if there is one, and begin the next."""
        if self._window is not None:
            self._note_large_weights()
            self._write_window(self._window)
            deaths = [self._certificates.value(tally) for tally in self._tap.tallies]
            self._writer.write_deaths(deaths)
            self._window = None

    @_guarded
    def end_epoch(self, epoch: Epoch) -> None:
        """Record the scores after an epoch; its steps are never merged with later windows yet."""
        self.close_window()
        self._writer.write_epoch(epoch)

    @_guarded
    def record_losses(self, epoch: int, means: Mapping[str, float]) -> None:
        """Record the mean over an epoch of each loss that has a name."""
        self._writer.write_losses(epoch, means)

    @_guarded
    def settle(self, step: int) -> None:
        """Say that a checkpoint of this step is safe on disk."""
        self._writer.settle(step)

    @_guarded
    def examine(
        self,
        model: nn.Module,
        batches: Iterable[Any],
        *,
        held_out_rows: int,
        call: Callable[[Any], object] | None = None,
    ) -> None:
        """Record what every unit does at fixed weights: eval mode, no gradients, each row once.

        Args:
            model: The trained model.
            batches: What it is called with.
            held_out_rows: How many of those rows had no influence on its weights.
            call: What is called with each batch instead of the model.
        """
        tap = ModelTap(model, Unobserved(), in_evaluation=True)
        with self.watching(), uncompiled(), evaluating(model), armed(tap, self._switch):
            for number, batch in enumerate(batches):
                if number == 0:
                    self._learn(tap, call or model, batch)
                tap.begin_step()
                with torch.no_grad():
                    (call or model)(batch)
                _check(tap)
        seen = {tally.layer.name: tally.end_window(0).activity for tally in tap.tallies}
        activities = [
            seen.get(tally.layer.name) or UnitActivity.zero(tally.layer.units)
            for tally in self._tap.tallies
        ]
        self._writer.write_examination(activities, held_out_rows=held_out_rows)

    @staticmethod
    def _learn(tap: ModelTap, call: Callable[[Any], object], batch: Any) -> None:
        """Find the sites with gradients, which lead to the weights, and forget what they showed."""
        with torch.enable_grad():
            call(batch[:2] if isinstance(batch, Tensor) else batch)
        _check(tap)
        for tally in tap.tallies:
            tally.end_window(0)
            tally.lifetimes = LazyLifetimes(tally.layer.units)

    @property
    def lifetimes(self) -> tuple[Lifetimes, ...]:
        """What is known of each unit, layer by layer."""
        return tuple(tally.lifetimes.value() for tally in self._tap.tallies)

    @_guarded
    def resume(self, lifetimes: Sequence[Lifetimes]) -> None:
        """Go on from the lifetimes of an interrupted training, and from its certificates."""
        deaths = read_file(self._writer.path).deaths
        for tally, known in zip(self._tap.tallies, lifetimes, strict=True):
            tally.lifetimes = LazyLifetimes(tally.layer.units, known)
        for tally, written in zip(self._tap.tallies, deaths, strict=bool(deaths)):
            self._certificates.resume(tally, written)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the activations of which no armed step saw anything."""
        return self._tap.missing

    @property
    def units(self) -> int:
        """Number of units watched."""
        return sum(tally.layer.units for tally in self._tap.tallies)

    @property
    def units_alive(self) -> int:
        """Units that fired within the last ``ALIVE_ROWS`` armed rows."""
        self._collect()
        return sum(int((life.silent_rows < ALIVE_ROWS).sum()) for life in self.lifetimes)

    @_guarded
    def _install(self) -> None:
        self._is_installed = True
        if not self._is_ours:
            self._interception.install(self._model.modules())
            self._compiled.install()
        else:
            self._interception.patch()  # our own code binds none of the names that are patched
            if self._example is not None:
                self._find_sites(self._example)
                self._example = None

    def _find_sites(self, example: Tensor) -> None:
        with evaluating(self._model), armed(self._tap, self._switch):
            self._learn(self._tap, self._model, example)
        layers = [self._layer(tally) for tally in self._tap.tallies]
        known = self._writer.layers
        if known and [layer.name for layer in known] != [layer.name for layer in layers]:
            raise ValueError("the record was begun by a version of Relume that saw other layers")
        self._writer.set_layers(layers)
        self._written_sites = len(layers)

    def _layer(self, tally: Tally) -> Layer:
        return replace(tally.layer, place=None) if self._is_ours else tally.layer

    @_guarded
    def _arm(self) -> None:
        if not self._is_ours:
            self._compiled.prepare()
        self._tap.arm()
        self._switch.tap = self._tap
        self._is_armed = True

    def _note_falls(self) -> None:
        note_falls(self._tap.tallies, self._step, self._last_armed, self._flows, self._certificates)

    def _take_update(self) -> None:
        norm = self._flows.after_update(self._tap.tallies)
        if math.isfinite(norm):
            self._evidence.note_gradient(self._step, norm)

    @_guarded
    def _collect(self) -> None:
        """Add what the sites saw to the open window."""
        if self._window is not None:
            self._window.add_layers([tally.end_window(self._step) for tally in self._tap.tallies])

    def _note_large_weights(self) -> None:
        for name in sorted(self._flows.uncopied - self._large):
            self._unobserved.note("update ratio and row changes: the weights are large", name)
        self._large = set(self._flows.uncopied)

    def _write_window(self, window: OpenWindow) -> None:
        tallies, writer = self._tap.tallies, self._writer
        self._flows.settle()
        if len(tallies) > self._written_sites:
            writer.add_layers([self._layer(tally) for tally in tallies[self._written_sites :]])
            self._written_sites = len(tallies)
        self._collect()
        writer.write_window(window.value(), self.lifetimes)
        if self._unobserved.counts != self._told:
            self._told = self._unobserved.counts
            writer.write_unobserved(self._told)


def _check(tap: ModelTap) -> None:
    fault = tap.fault or tap.calls.fault
    if fault is not None:
        raise fault
