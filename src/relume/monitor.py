"""Recording a training of our own loops: armed steps are measured, windows fill, the file grows.

Nothing here may stop or change the training: the first fault of ours turns the recording off, is
kept in ``Monitor.fault`` and reaches nobody else. Nothing that is recorded depends on a clock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from relume.observe.compiled import CompiledRegions
from relume.observe.final_look import activities, find_sites
from relume.observe.guarding import guarded
from relume.observe.intercept import Interception, Switch
from relume.observe.ledger import Ledger
from relume.observe.losses import LossContext
from relume.observe.model_tap import ModelTap, armed
from relume.observe.modes import evaluating
from relume.observe.observation import Observation
from relume.observe.schedule import Schedule
from relume.observe.tally import LazyLifetimes
from relume.observe.unobserved import Unobserved
from relume.runs.records import Epoch, Lifetimes, UnitActivity
from relume.runs.run_file import read_file
from relume.runs.store import RunWriter

ALIVE_ROWS = 1000
"""A unit counts as alive while it fired within this many armed rows."""


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
        looks: On which of the armed steps data, losses, modules and all weights are looked at;
            None: on all of them.
        context: What the code around a loss knows of it; None where that is not ours.

    Attributes:
        fault: The first fault of ours, after which nothing more is recorded; ``None`` so far.
        lock: There is nothing to be held: one thread trains.
    """

    def __init__(
        self,
        model: nn.Module,
        writer: RunWriter,
        *,
        armed: Schedule,
        window_steps: int,
        example: Tensor | None = None,
        looks: Schedule | None = None,
        context: Callable[[], LossContext] | None = None,
    ) -> None:
        self.fault: Exception | None = None
        self.lock = nullcontext()
        self._model = model
        self._writer = writer
        self._armed = armed
        self._looks = looks
        self._example = example
        self._parameters = {id(parameter) for parameter in model.parameters()}
        self._unobserved = Unobserved()
        self._switch = Switch()
        self._interception = Interception(self._switch)
        self._tap = ModelTap(model, self._unobserved)
        self._compiled = CompiledRegions(self._tap, self._tap.names, self._unobserved)
        self._is_ours = example is not None
        self._seen = Observation(
            self._tap,
            self._unobserved,
            self._compiled,
            lambda: self._ended_steps,
            self.fail,
            context=context,
        )
        self._ledger = Ledger(
            writer,
            self._seen,
            self._tap.tallies,
            self._unobserved,
            window_steps=window_steps,
            has_places=example is None,
        )
        self._optimizer: torch.optim.Optimizer | None = None  # whose update is under way
        self._is_installed = self._is_armed = False
        self._step = self._ended_steps = 0

    def fail(self, error: Exception) -> None:
        """Keep a fault and record nothing more."""
        self.fault = self.fault or error
        self._switch.losses = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Patch torch inside the block; one within another does nothing."""
        if self._is_installed:
            yield
            return
        try:
            self._install()
            yield
            self._end()
        finally:
            self._is_installed = False
            self._switch.losses = None
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
        is_armed = self._armed(step)
        self._begin_step(step, is_armed=is_armed)
        if not is_armed:
            yield
            return
        try:
            self._arm()
            yield
        finally:
            self._is_armed = False
            self._switch.tap = None
            self._tap.disarm()
            self._seen.inventory.rest()

    @contextmanager
    def scoring(self, model: nn.Module) -> Iterator[None]:
        """Surround a pass over data that are not learned from.

        Args:
            model: What is scored: the model, or a copy of it with other weights.
        """
        self._see_scoring(model)
        try:
            yield
        finally:
            self._see_scoring(None)

    def read_scale(self, scale: Callable[[], Tensor | None]) -> None:
        """Divide gradients by what a function returns; None for nothing."""
        self._tap.gradient_scale = scale

    @guarded
    def begin_reading(self, loader: object) -> None:
        """Call it where a loader is read from its start."""
        self._seen.data.begin_reading(loader)

    @guarded
    def before_backward(self, loss: Tensor | None) -> None:
        """Call it before a backward pass; ``None`` where no loss is known."""
        if self._seen.is_looking:
            self._seen.inventory.before_backward()
            if loss is not None:
                self._seen.losses.before_backward(loss)

    @guarded
    def before_update(
        self,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        has_closure: bool = False,
        scale: Tensor | None = None,
    ) -> None:
        """Call it between the backward pass and the update.

        Args:
            optimizer: Who updates; ``None`` where that is not known: then it is all parameters.
            has_closure: Whether the gradients are computed within the update.
            scale: What the gradients are multiplied by; None for nothing.
        """
        self._optimizer = optimizer
        if self._is_armed:
            given = self._parameters
            if optimizer is not None:
                given = {id(each) for group in optimizer.param_groups for each in group["params"]}
            self._seen.before_update(
                self._step, optimizer, given, has_closure=has_closure, scale=scale
            )

    @guarded
    def end_update(self) -> None:
        """Call it right after an update where a step holds several."""
        self._take_update()

    @guarded
    def end_backward(self) -> None:
        """Call it after a backward pass that is not the last of its step."""
        if self._is_armed and self._tap.calls.root is None:
            self._tap.calls.begin_pass(None)

    @guarded
    def after_update(self, step: int, loss: float | None, learning_rate: float) -> None:
        """Call it after the update, still inside the step; ``None`` where no loss is known."""
        self._take_update()
        self._ended_steps = step
        if self._is_armed:
            self._seen.end_armed_step(step)
        self._ledger.add(step, loss, learning_rate, is_armed=self._is_armed)

    @guarded
    def close_window(self) -> None:
        """Write the open window, if there is one, and begin the next."""
        self._ledger.close_window()

    @guarded
    def end_epoch(self, epoch: Epoch) -> None:
        """Record the scores after an epoch; its steps are never merged with later windows yet."""
        self._ledger.end_epoch()
        self._writer.write_epoch(epoch)

    @guarded
    def record_losses(self, epoch: int, means: Mapping[str, float]) -> None:
        """Record the mean over an epoch of each loss that has a name."""
        self._writer.write_losses(epoch, means)

    @guarded
    def publish(self) -> None:
        """Write all that is known now, so that the record can be read as it stands."""
        self._ledger.publish()

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Record nothing of what is computed inside the block: it is no part of the training."""
        losses, self._switch.losses = self._switch.losses, None
        try:
            yield
        finally:
            self._switch.losses = losses

    @guarded
    def settle(self, step: int) -> None:
        """Say that a checkpoint of this step is safe on disk."""
        self._writer.settle(step)

    @guarded
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
        with self.watching():
            self._switch.losses = None  # the training is over
            seen = self.examined(model, batches, call)
        self._writer.write_examination(seen, held_out_rows=held_out_rows)

    def examined(
        self,
        model: nn.Module,
        batches: Iterable[Any],
        call: Callable[[Any], object] | None = None,
    ) -> list[UnitActivity]:
        """Return what ``examine`` records, layer by layer; torch must be watched."""
        seen = activities(model, batches, self._switch, call)
        return [
            seen.get(tally.layer.name) or UnitActivity.zero(tally.layer.units)
            for tally in self._tap.tallies
        ]

    @property
    def lifetimes(self) -> tuple[Lifetimes, ...]:
        """What is known of each unit, layer by layer."""
        return tuple(tally.lifetimes.value() for tally in self._tap.tallies)

    @guarded
    def state(self) -> dict[str, Any]:
        """Return what is known of the training as a whole, plain JSON data; None after a fault."""
        return self._ledger.state()

    @guarded
    def resume(
        self, lifetimes: Sequence[Lifetimes], state: Mapping[str, Any] | None = None, step: int = 0
    ) -> None:
        """Go on from an interrupted training, and from its certificates.

        Args:
            lifetimes: Of the units, then.
            state: What ``state`` gave then, if anything.
            step: Steps that had ended then.
        """
        if state:
            self._ledger.resume(state, step)
        deaths = read_file(self._writer.path).deaths
        for tally, known in zip(self._tap.tallies, lifetimes, strict=True):
            tally.lifetimes = LazyLifetimes(tally.layer.units, known)
        for tally, written in zip(self._tap.tallies, deaths, strict=bool(deaths)):
            self._seen.certificates.resume(tally, written)

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

    @guarded
    def _install(self) -> None:
        self._is_installed = True
        self._switch.losses = self._seen.losses
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
            find_sites(self._tap, self._model, example)
        self._ledger.set_layers()

    @guarded
    def _arm(self) -> None:
        if not self._is_ours:
            self._compiled.prepare()
        self._tap.arm()
        self._switch.tap = self._tap
        self._is_armed = True

    @guarded
    def _begin_step(self, step: int, *, is_armed: bool) -> None:
        self._step, self._ended_steps = step, step - 1
        self._seen.data.end_evaluation()
        is_looking = is_armed and (self._looks is None or self._looks(step))
        self._seen.begin_step(is_looking=is_looking)

    @guarded
    def _see_scoring(self, model: nn.Module | None) -> None:
        if model is None:
            self._seen.data.end_evaluation()
        else:
            self._seen.data.begin_scoring(self._model, model)

    @guarded
    def _end(self) -> None:
        """Write all that is left."""
        self._seen.data.end_evaluation()
        self._ledger.end()

    def _take_update(self) -> None:
        seen, ended = self._seen, self._ended_steps
        if self._is_armed:
            seen.after_update(self._step)
        if self._optimizer is not None:
            seen.inventory.optimizers.note_update(
                self._optimizer, ended, ended, is_armed=seen.is_looking
            )
            self._optimizer = None

    @guarded
    def _collect(self) -> None:
        self._ledger.collect()
