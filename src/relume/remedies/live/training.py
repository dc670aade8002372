"""A training that runs, as remedies act upon it: its model, optimizers, schedules and inputs."""

import gc
import random
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relume.remedies.patient import Patient, Sample
from relume.remedies.snapshot import Snapshot

MOST_BATCHES = 8
MOST_BATCH_BYTES = 64 << 20
"""Inputs are held, not copied; the last batch in any case."""


class State:
    """A training as it was at a step, but for what the script goes on with by itself.

    ``restore`` puts back bitwise what a snapshot holds (parameters, buffers, modules, optimizer
    state, schedules, actions that go on), and leaves alone the random numbers, from which the
    script draws its batches, and the count of steps, which the script has made.

    Raises:
        SnapshotError: It does not fit into memory.
    """

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._snapshot = Snapshot(patient)
        self.step = patient.step
        self.nbytes = self._snapshot.nbytes

    def restore(self) -> None:
        """Put everything back but the random numbers and the count of steps."""
        step = self._patient.step
        with unversioned(self._patient), random_numbers_kept():
            self._snapshot.restore()
        self._patient.step = step


class Inputs:
    """The last inputs that a model was trained on, held as they are."""

    def __init__(self) -> None:
        self._held: deque[Sample] = deque(maxlen=MOST_BATCHES)

    def note(self, inputs: tuple[Any, ...]) -> None:
        """Take note of what a model is called with."""
        if not inputs:
            return
        self._held.append(Sample(inputs))
        while len(self._held) > 1 and sum(map(_bytes, self._held)) > MOST_BATCH_BYTES:
            self._held.popleft()

    def give_to(self, patient: Patient) -> None:
        """Hand over what is held."""
        patient.sample = self._held[-1] if self._held else None
        patient.batches = tuple(self._held) if len(self._held) > 1 else None


def _bytes(sample: Sample) -> int:
    tensors = (each for each in sample.args if isinstance(each, Tensor))
    return sum(each.numel() * each.element_size() for each in tensors)


def model_of(optimizer: torch.optim.Optimizer, roots: tuple[nn.Module, ...]) -> nn.Module | None:
    """Return the model that an optimizer updates most of; None where it is none of the roots."""
    ours = {id(each) for group in optimizer.param_groups for each in group["params"]}
    shares = [sum(id(each) in ours for each in root.parameters()) for root in roots]
    if not any(shares):
        return None
    return roots[max(range(len(roots)), key=shares.__getitem__)]


def updates(optimizer: torch.optim.Optimizer, model: nn.Module) -> bool:
    """Whether an optimizer updates parameters of a model, and of nothing else that is a model's."""
    ours = {id(each) for each in model.parameters()}
    return any(id(each) in ours for group in optimizer.param_groups for each in group["params"])


def find_followers(patient: Patient) -> None:
    """Find the schedules of the optimizers, gradient scalers and averages of the model.

    They are looked for in memory, since nothing of torch leads to them.
    """
    schedules, companions = [], []
    for each in gc.get_objects():
        kind = type(each)
        if issubclass(kind, torch.optim.lr_scheduler.LRScheduler):
            if any(getattr(each, "optimizer", None) is known for known in patient.optimizers):
                schedules.append(each)
        elif issubclass(kind, torch.optim.lr_scheduler.ReduceLROnPlateau | torch.amp.GradScaler):
            schedules.append(each)
        elif issubclass(kind, torch.optim.swa_utils.AveragedModel):
            companions.append(each)
    patient.schedulers = tuple(schedules)
    patient.companions = tuple(companions)


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """Leave the random numbers of torch, NumPy and Python after the block as they were before."""
    numbers, python = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng():
        try:
            yield
        finally:
            np.random.set_state(numbers)  # noqa: NPY002
            random.setstate(python)


@contextmanager
def unversioned(patient: Patient) -> Iterator[None]:
    """Let parameters change without torch noticing.

    A script may hold the graph of a pass that it differentiates later; a change in place would make
    that an error of the script.
    """
    keep: Any = getattr(torch.autograd, "_unsafe_preserve_version_counter", None)
    tensors = {id(each): each for each in (*patient.parameters(), *patient.model.parameters())}
    with ExitStack() as stack:
        for each in tensors.values() if keep is not None else ():
            stack.enter_context(keep(each))
        yield
