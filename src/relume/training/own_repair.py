"""Repairs in a training with a step of one's own, where what it does can be undone.

That is where the step returns its loss and Relume updates, the batches can be read again in the
same order, and there are validation data to judge by. A step that updates by itself is left alone:
what it keeps from step to step is not known. So is one that does not do the same twice from the
same state; that is tried out, with two steps, before anything else is.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from relume.errors import UserError
from relume.observe.passes import leading_rows
from relume.remedies.live.training import find_followers, random_numbers_kept
from relume.remedies.patient import Sample
from relume.remedies.snapshot import Snapshot
from relume.remedies.treatments import PREFERRED, SCALING
from relume.runs.query import Run
from relume.training.loop import copied_weights
from relume.training.own_data import GivenBatches, Rows
from relume.training.own_examination import bounded
from relume.training.own_loop import Given, OwnLoop
from relume.training.own_trial import OwnTrial
from relume.training.repair_bench import EXAMINED_ROWS
from relume.training.repair_record import RepairRecord
from relume.training.repairs import SAMPLE_ROWS, Repairs
from relume.training.trial import FEWEST_STEPS

TOLERANCE = 1e-4
"""Relative, of what is computed twice on other devices than the CPU, where it must be the same."""


@dataclass(frozen=True, slots=True, eq=False)
class GeneratorState:
    """The state of a random generator, as a snapshot keeps it."""

    generator: torch.Generator

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state."""
        return {"state": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put it back."""
        self.generator.set_state(state["state"])


class OwnBench:
    """The parts of such a training that is being repaired.

    Args:
        given: Model, batches, step and validation data.
        loop: The training, before its first step.
        steps: Batches in an epoch.
        examine: How a person says that the model is called on a batch; None: as the step does.
        recorded: Where it is recorded.

    Attributes:
        is_repeatable: Whether the step does the same twice; None: that was not tried out yet.
    """

    pairs_of = "batch"
    actions = (*SCALING, *PREFERRED)

    def __init__(
        self,
        given: Given,
        loop: OwnLoop,
        steps: int,
        examine: Callable[[Any], object] | None,
        recorded: RepairRecord,
    ) -> None:
        self.recorded = recorded
        self._given = given
        self._loop = loop
        self._steps = steps
        self._examine = examine
        self._start = copied_weights(given.root)
        self.is_repeatable: bool | None = None

    def trial(self, loop: OwnLoop, epochs: int) -> OwnTrial:
        """Return the next epochs of the training, to be tried."""
        return OwnTrial(loop, self._given, epochs=epochs, steps=self._steps)

    def fresh(self, seed: int, *, usual_init: bool) -> dict[str, Tensor]:
        """Return the weights of before the first step; where they are at fault, torch's usual ones.

        Only layers that can draw their weights anew get others: where one cannot, the training
        begins again as it began.
        """
        if not usual_init or not _can_draw(self._given.root):
            return self._start
        torch.manual_seed(seed)
        network = copy.deepcopy(self._given.root)
        for module in network.modules():
            if _holds_weights(module):
                module.reset_parameters()  # type: ignore[operator]
        return network.state_dict()

    def samples(self) -> Sequence[Sample]:
        """Return how the model is called with rows of the data; nothing where that is not known."""
        with self._undisturbed():
            batches = list(bounded(self._given.batches.in_order(), EXAMINED_ROWS))
        samples = [each for batch in batches if (each := self._loop.call.sample(batch)) is not None]
        try:
            rows = torch.cat([each.args[0] for each in samples])
        except (TypeError, RuntimeError):  # none, no tensors, or of many shapes
            return samples
        return [Sample((block,)) for block in torch.split(rows, SAMPLE_ROWS)]

    def record(self, model: nn.Module) -> Run:
        """Return the record so far, with what the units do at the present weights if possible."""
        assert self._given.validation is not None  # noqa: S101
        call = self._examine or self._loop.call.on(model)
        with self._undisturbed():
            learned, held_out = (
                list(bounded(each.in_order(), EXAMINED_ROWS)) if call is not None else []
                for each in (self._given.batches, self._given.validation)
            )
            return self.recorded.so_far(
                model,
                [*learned, *held_out],
                held_out_rows=sum(leading_rows(batch) or 1 for batch in held_out),
                call=call,
            )

    def snapshot(self, loop: OwnLoop) -> Snapshot:
        """Return the state, to which all that is tried is put back.

        Raises:
            UserError: The step does not do the same twice from it.
        """
        find_followers(loop.patient)
        loop.patient.schedulers += tuple(generators_of(self._given.batches))
        before = Snapshot(loop.patient)
        if self.is_repeatable is None:
            self.is_repeatable = self._does_the_same_twice(loop, before)
        if not self.is_repeatable:
            raise UserError("the same steps from the same state came to something else")
        return before

    def _does_the_same_twice(self, loop: OwnLoop, before: Snapshot) -> bool:
        trial = self.trial(loop, 1)

        def once() -> list[float]:
            try:
                return trial.rehearsed()
            finally:
                before.restore()

        is_exact = all(each.device.type == "cpu" for each in self._given.root.parameters())
        tolerance = 0.0 if is_exact else TOLERANCE
        return bool(np.allclose(once(), once(), rtol=tolerance, atol=0.0, equal_nan=True))

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Draw no random number that is drawn elsewhere."""
        states = [(each, each.generator.get_state()) for each in generators_of(self._given.batches)]
        with random_numbers_kept():
            try:
                yield
            finally:
                for each, state in states:
                    each.generator.set_state(state)


class OwnRepair:
    """Repairs such a training; called after each epoch.

    Args:
        bench: Of the training.
        loop: The training, before its first step.
        epochs: Of it.
        should_stop: Whether a person wants it to stop.
    """

    def __init__(
        self, bench: OwnBench, loop: OwnLoop, epochs: int, should_stop: Callable[[], bool]
    ) -> None:
        updater = loop.updater
        self._repairs = Repairs(
            bench,
            lr=updater.lr,
            usual_lr=updater.usual_lr,
            epochs=epochs,
            fewest_steps=FEWEST_STEPS,
        )
        self._bench = bench
        self._should_stop = should_stop

    def __call__(self, loop: OwnLoop) -> None:
        """Ask the rules where it is time, try what they call for, and keep what helps."""
        monitor = self._bench.recorded.monitor
        if monitor.fault is None and self._bench.is_repeatable is not False:
            with monitor.looking_away():
                self._repairs.consult(loop, self._should_stop)


def is_rereadable(batches: Rows | GivenBatches) -> bool:
    """Whether an epoch can be read again with the same batches in the same order."""
    if isinstance(batches, Rows):
        return True
    source = batches.source
    if isinstance(source, DataLoader):
        return not isinstance(source.dataset, IterableDataset) and batches.steps is not None
    return isinstance(source, list | tuple)


def generators_of(batches: Rows | GivenBatches) -> list[GeneratorState]:
    """Return the random generators that a loader draws from, of its own and of its samplers."""
    loader = batches.source if isinstance(batches, GivenBatches) else None
    if not isinstance(loader, DataLoader):
        return []
    sampler = loader.batch_sampler
    holders = (loader, loader.sampler, sampler, getattr(sampler, "sampler", None))
    found = [getattr(each, "generator", None) for each in holders]
    unique = {id(each): each for each in found if isinstance(each, torch.Generator)}
    return [GeneratorState(each) for each in unique.values()]


def _can_draw(model: nn.Module) -> bool:
    return all(
        callable(getattr(module, "reset_parameters", None))
        for module in model.modules()
        if _holds_weights(module)
    )


def _holds_weights(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None
