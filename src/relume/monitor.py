"""Recording a training: the probe measures armed steps, windows fill, the run file grows.

Nothing here may stop or change the training: the first fault of ours turns the recording off, is
kept in ``Monitor.fault`` and reaches nobody else.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from operator import add
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import nn

from relume.observe.probe import Measurement, Probe
from relume.observe.schedule import Schedule
from relume.observe.sites import Site, evaluating
from relume.runs.records import Epoch, LayerWindow, Lifetimes, Moments, UnitActivity, Window
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
    """Records one training into a run file.

    Args:
        probe: What measures.
        writer: Where it goes.
        armed: Which steps are measured.
        window_steps: Steps that make one window.

    Attributes:
        lifetimes: What is known of each unit, layer by layer; set it to resume a training.
        fault: The first fault of ours, after which nothing more is recorded; ``None`` so far.
    """

    def __init__(
        self,
        probe: Probe,
        writer: RunWriter,
        *,
        armed: Schedule,
        window_steps: int,
    ) -> None:
        self.fault: Exception | None = None
        self.lifetimes = tuple(Lifetimes.unseen(units) for units in _units(probe))
        self._probe = probe
        self._writer = writer
        self._armed = armed
        self._window_steps = window_steps
        self._measurement: Measurement | None = None
        self._window = _OpenWindow()
        self._record_layers()

    @contextmanager
    def step(self, step: int, rows: int) -> Iterator[None]:
        """Surround one training step, from its forward pass to after its update.

        Args:
            step: Its number, from 1.
            rows: Independent rows in its batch.
        """
        with ExitStack() as hooks:
            self._measurement = self._arm(hooks, rows) if self._armed(step) else None
            yield

    @_guarded
    def before_update(
        self, parameters: Collection[int] | None = None, *, has_closure: bool = False
    ) -> None:
        """Call it between the backward pass and the update, of all parameters or of those."""
        if self._measurement is not None:
            self._measurement.before_update(parameters, has_closure=has_closure)

    @_guarded
    def end_update(self) -> None:
        """Call it right after an update where a step holds several."""
        if self._measurement is not None:
            self._measurement.end_update()

    @_guarded
    def after_update(self, step: int, loss: float | None, learning_rate: float) -> None:
        """Call it after the update, still inside the step; ``None`` where no loss is known."""
        measurement = self._measurement
        layers: tuple[LayerWindow, ...] = ()
        if measurement is not None:
            if measurement.fault is not None:
                raise measurement.fault
            layers = measurement.layers()
            self.lifetimes = tuple(
                life.after(step, layer.activity.fired, layer.activity.rows)
                for life, layer in zip(self.lifetimes, layers, strict=True)
            )
        self._window.add(step, loss, learning_rate, layers)
        if measurement is not None:
            self._take_up(self._probe.take_new_sites())
        if self._window.steps >= self._window_steps:
            self.close_window()
        elif self._writer.is_due():
            self._write_window()

    @_guarded
    def close_window(self) -> None:
        """Write the open window, if there is one, and begin the next."""
        if self._window.steps:
            self._write_window()
            self._window = _OpenWindow()

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
        call = call or model
        activities = [UnitActivity.zero(units) for units in _units(self._probe)]
        with evaluating(model), torch.no_grad():
            for batch in batches:
                with self._probe.watching(len(batch)) as measurement:
                    call(batch)
                if measurement.fault is not None:
                    raise measurement.fault
                layers = measurement.layers()
                activities = [
                    a + layer.activity for a, layer in zip(activities, layers, strict=True)
                ]
        self._writer.write_examination(activities, held_out_rows=held_out_rows)

    @property
    def units(self) -> int:
        """Number of units watched."""
        return sum(_units(self._probe))

    @property
    def units_alive(self) -> int:
        """Units that fired within the last ``ALIVE_ROWS`` armed rows."""
        return sum(int((life.silent_rows < ALIVE_ROWS).sum()) for life in self.lifetimes)

    @_guarded
    def _record_layers(self) -> None:
        self._writer.set_layers([site.layer for site in self._probe.sites])

    @_guarded
    def _arm(self, hooks: ExitStack, rows: int) -> Measurement:
        return hooks.enter_context(self._probe.watching(rows))

    def _take_up(self, sites: Sequence[Site]) -> None:
        """Go on with further sites, found only now."""
        if sites:
            self._writer.add_layers([site.layer for site in sites])
            units = [site.layer.units for site in sites]
            self.lifetimes += tuple(map(Lifetimes.unseen, units))
            self._window.extend(units)

    def _write_window(self) -> None:
        self._writer.write_window(self._window.value(_units(self._probe)), self.lifetimes)


class _OpenWindow:
    """The window that is filling: steps that are not armed add a loss and nothing else."""

    def __init__(self) -> None:
        self.steps = 0
        self._first_step = self._last_step = 0
        self._armed_steps = 0
        self._loss = Moments()
        self._learning_rate = 0.0
        self._layers: tuple[LayerWindow, ...] = ()

    def add(
        self, step: int, loss: float | None, learning_rate: float, layers: tuple[LayerWindow, ...]
    ) -> None:
        """Add one step; ``layers`` is empty when it was not armed."""
        self._first_step = self._first_step or step
        self._last_step = step
        self.steps += 1
        if loss is not None:
            self._loss += Moments.of(loss)
        self._learning_rate = learning_rate
        if layers:
            self._armed_steps += 1
            known = self._layers
            self._layers = tuple(map(add, known, layers)) if known else layers

    def extend(self, units: Sequence[int]) -> None:
        """Go on with further layers, of which nothing was seen so far."""
        if self._layers:
            self._layers += tuple(LayerWindow(UnitActivity.zero(count)) for count in units)

    def value(self, units: Sequence[int]) -> Window:
        """Return the window so far; units of a window without armed steps are all zero."""
        layers = self._layers or tuple(LayerWindow(UnitActivity.zero(count)) for count in units)
        return Window(
            self._first_step,
            self._last_step,
            self._armed_steps,
            self._loss,
            self._learning_rate,
            layers,
        )


def _units(probe: Probe) -> list[int]:
    return [site.layer.units for site in probe.sites]
