"""Death certificates: when units fell silent, and by what evidence; apart from the windows."""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relume.observe.tally import Tally
from relume.runs.records import NEVER, Cause, Counts, Deaths, Sums

MOVED = 0.3
"""A row that moved by this share of its norm or more between two armed steps moved far."""
RATE_JUMP = 2.0
"""A rate that grows by this factor from one step to the next makes a step in the rate."""
SPIKE = 5.0
"""A loss or gradient norm this many times its median so far is a spike."""
DRIFT = 3.0
"""Inputs whose mean moved by this many of their standard deviations drifted."""
_KEPT = 256
_SAMPLE = 1024
_ONES: dict[int, NDArray[Any]] = {4: np.ones(_SAMPLE, np.float32), 8: np.ones(_SAMPLE)}


@dataclass(frozen=True, slots=True)
class _Step:
    number: int
    loss: float
    rate: float


class Evidence:
    """What happened lately in the training as a whole: losses, rates, gradients, inputs."""

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque(maxlen=_KEPT)
        self._norms: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._inputs: deque[tuple[int, float, float]] = deque(maxlen=_KEPT)

    def note_step(self, number: int, loss: float, rate: float) -> None:
        """Take note of a step; nan for what is not known."""
        self._steps.append(_Step(number, loss, rate))

    def note_gradient(self, step: int, norm: float) -> None:
        """Take note of the norm of the gradients of all owners on an armed step."""
        self._norms.append((step, norm))

    def note_input(self, step: int, x: Tensor | None) -> None:
        """Take note of the inputs of an armed step, by a sample of their numbers."""
        if x is None or not x.is_floating_point() or x.device.type != "cpu" or x.numel() < 2:
            return
        if x.is_contiguous() and x.dtype in {torch.float32, torch.float64}:
            sample: Sums = x.detach().numpy().ravel()[:_SAMPLE]
            ones = _ONES[sample.dtype.itemsize][: len(sample)]
            mean = float(sample.dot(ones)) / len(sample)
            square = float(sample.dot(sample)) / len(sample)  # a dot product: the quickest sum
            self._inputs.append((step, mean, math.sqrt(max(0.0, square - mean * mean))))

    def has_rate_step(self, first: int, last: int) -> bool:
        """Whether the rate jumped in one of the updates of the steps from first to last."""
        rates = [(step.number, step.rate) for step in self._steps]
        return any(
            before[1] > 0 and now[1] / before[1] >= RATE_JUMP
            for before, now in pairwise(rates)
            if first <= now[0] <= last
        )

    def has_spike(self, first: int, last: int) -> bool:
        """Whether a loss or a gradient in the steps from first to last was many times the usual."""
        losses = [(step.number, abs(step.loss)) for step in self._steps]
        return _is_spike(losses, first, last) or _is_spike(list(self._norms), first, last)

    def has_drift(self, first: int, last: int) -> bool:
        """Whether the inputs of the last step differ from those of the first."""
        seen = {step: (mean, deviation) for step, mean, deviation in self._inputs}
        if first not in seen or last not in seen:
            return False
        (mean, deviation), (mean_now, deviation_now) = seen[first], seen[last]
        if deviation == 0:
            return mean_now != mean
        has_grown = not 1 / SPIKE <= deviation_now / deviation <= SPIKE
        return abs(mean_now - mean) > DRIFT * deviation or has_grown


def _is_spike(values: Sequence[tuple[int, float]], first: int, last: int) -> bool:
    before = [value for step, value in values if step < first and math.isfinite(value)]
    within = [value for step, value in values if first <= step <= last]
    if not within or len(before) < 3:
        return False
    usual = statistics.median(before)
    return any(not math.isfinite(value) or value > SPIKE * usual for value in within)


class Certificates:
    """The certificates of all units of all sites.

    Args:
        evidence: What happened lately.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._changes: dict[Tally, Sums] = {}
        self._causes: dict[Tally, Counts] = {}
        self._armed_before = 0

    def note(self, tally: Tally, units: Counts, changes: Sums, step: int) -> None:
        """Write the certificates of units that fell silent in an armed step.

        Args:
            tally: Their site.
            units: Their numbers.
            changes: How far their rows moved since the armed step before.
            step: The armed step.
        """
        if tally not in self._changes:
            self._changes[tally] = np.full(tally.layer.units, np.nan)
            self._causes[tally] = np.full(tally.layer.units, int(Cause.UNKNOWN), np.int64)
        last_fired = tally.lifetimes.value().last_fired[units]
        self._changes[tally][units] = changes
        self._causes[tally][units] = self._judge(tally, last_fired, changes, step)

    def value(self, tally: Tally) -> Deaths:
        """Return the certificates of a site; those of units that fire say so."""
        units = tally.layer.units
        lifetimes = tally.lifetimes.value()
        fires = lifetimes.first_silent == NEVER
        changes = self._changes.get(tally, np.full(units, np.nan))
        causes = self._causes.get(tally, np.full(units, int(Cause.UNKNOWN), np.int64))
        return Deaths(
            lifetimes.last_fired,
            lifetimes.first_silent,
            np.where(fires, np.nan, changes),
            np.where(fires, int(Cause.ALIVE), causes).astype(np.int8),
        )

    def _judge(self, tally: Tally, last_fired: Counts, changes: Sums, step: int) -> Counts:
        causes = np.full(len(changes), int(Cause.UNKNOWN), np.int64)
        fired_once = last_fired != NEVER
        causes[~fired_once] = int(Cause.FROM_START)
        if fired_once.any():
            first = int(last_fired[fired_once].max())
            far = fired_once & (changes >= MOVED)
            causes[far] = int(self._cause_of_a_move(first, step - 1))
            if _is_silent(tally.sources):
                causes[fired_once] = int(Cause.UPSTREAM_DEATH)
            elif self._evidence.has_drift(first, step):
                causes[fired_once & ~far] = int(Cause.INPUT_DRIFT)
        return causes

    def _cause_of_a_move(self, first: int, last: int) -> Cause:
        if self._evidence.has_rate_step(first, last):
            return Cause.RATE_STEP
        if self._evidence.has_spike(first, last):
            return Cause.GRADIENT_SPIKE
        return Cause.LARGE_UPDATE


def _is_silent(sources: Sequence[Tally]) -> bool:
    """Whether there are sites that feed this one, and no unit of them fires."""
    return bool(sources) and all(
        bool((source.lifetimes.value().first_silent != NEVER).all()) for source in sources
    )
