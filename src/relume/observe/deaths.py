"""Death certificates: when units fell silent, and by what evidence; apart from the windows."""

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence
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
EXCESS = 3.0
"""An update is large that moved a row this many times as far as the usual ones together may."""
RATE_JUMP = 2.0
"""A rate that grows by more than this factor from one step to the next makes a step in the rate."""
SPIKE = 5.0
"""A loss or gradient norm this many times its median so far is a spike."""
DRIFT = 3.0
"""Inputs whose mean moved by this many of their standard deviations drifted."""
_KEPT = 256
_FEWEST = 3
_AFTER = 5
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
        return any(
            before.rate > 0 and now.rate / before.rate > RATE_JUMP
            for before, now in pairwise(self._steps)
            if first <= now.number <= last
        )

    def has_spike(self, first: int, last: int) -> bool:
        """Whether a batch of the steps from first to last was out of line.

        Its loss stands out from those before it and, unless it is that of the first step, from
        those after it: a loss that stays high comes of weights that are broken already. Or the
        gradient of the first step stands out: of later ones, none was seen.
        """
        losses = [(step.number, abs(step.loss)) for step in self._steps]
        usual = _usual(losses, first)
        peak = next(((n, loss) for n, loss in losses if first <= n <= last and loss > usual), None)
        if peak is not None and peak[0] == first:
            return True
        if peak is not None:
            after = [loss for number, loss in losses if 0 < number - peak[0] <= _AFTER]
            return bool(after) and peak[1] > SPIKE * statistics.median(after)
        norm = dict(self._norms).get(first)
        return norm is not None and norm > _usual(self._norms, first)

    def has_drift(self, first: int, last: int) -> bool:
        """Whether the inputs of the last step, unlike those of the first, lie off the usual."""
        before = [(mean, deviation) for step, mean, deviation in self._inputs if step < first]
        seen = {step: mean for step, mean, _ in self._inputs}
        if len(before) < _FEWEST or first not in seen or last not in seen:
            return False
        usual = statistics.median(mean for mean, _ in before)
        deviation = statistics.median(deviation for _, deviation in before)
        farthest = max(abs(mean - usual) for mean, _ in before)
        off = max(DRIFT * deviation, 2 * farthest)
        return abs(seen[last] - usual) > off >= abs(seen[first] - usual)


def _usual(values: Iterable[tuple[int, float]], first: int) -> float:
    """Return what stands out from the values before a step: infinite where too few are known."""
    before = [value for step, value in values if step < first and math.isfinite(value)]
    return SPIKE * statistics.median(before) if len(before) >= _FEWEST else math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """How far weights moved between two armed steps, as shares of their norms.

    Args:
        rows: Those of the units that fell silent, shape (units,); nan where not known.
        before: Those of the layers that feed theirs, at most; 0 where not known.
        usual: The usual update of their layer in a single step; nan where not known.
    """

    rows: Sums
    before: float = 0.0
    usual: float = math.nan


class Certificates:
    """The certificates of all units of all sites.

    Args:
        evidence: What happened lately.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._changes: dict[Tally, Sums] = {}
        self._causes: dict[Tally, Counts] = {}
        self._steps: dict[Tally, Counts] = {}  # the silent step that each was written for

    @property
    def is_empty(self) -> bool:
        """Whether no unit ever fell silent."""
        return not self._causes

    def note(self, tally: Tally, units: Counts, move: Move, step: int) -> None:
        """Write the certificates of units that fell silent in an armed step.

        Args:
            tally: Their site.
            units: Their numbers.
            move: How far their rows, and the weights before them, moved since the armed step
                before.
            step: The armed step.
        """
        if tally not in self._changes:
            self._changes[tally] = np.full(tally.layer.units, np.nan)
            self._causes[tally] = np.full(tally.layer.units, int(Cause.UNKNOWN), np.int64)
            self._steps[tally] = np.full(tally.layer.units, NEVER, np.int64)
        last_fired = tally.lifetimes.value().last_fired[units]
        self._changes[tally][units] = move.rows
        self._steps[tally][units] = step
        self._causes[tally][units] = self._judge(tally, last_fired, move, step)

    def value(self, tally: Tally) -> Deaths:
        """Return the certificates of a site; those of units that fire say so."""
        units = tally.layer.units
        lifetimes = tally.lifetimes.value()
        fires = lifetimes.first_silent == NEVER
        unknown = np.full(units, int(Cause.UNKNOWN), np.int64)
        is_written = self._steps.get(tally, unknown - 1) == lifetimes.first_silent
        changes = np.where(is_written, self._changes.get(tally, np.full(units, np.nan)), np.nan)
        causes = np.where(is_written, self._causes.get(tally, unknown), unknown)
        causes[lifetimes.last_fired == NEVER] = int(Cause.FROM_START)
        return Deaths(
            lifetimes.last_fired,
            lifetimes.first_silent,
            np.where(fires, np.nan, changes),
            np.where(fires, int(Cause.ALIVE), causes).astype(np.int8),
        )

    def _judge(self, tally: Tally, last_fired: Counts, move: Move, step: int) -> Counts:
        """Return the causes, by the evidence from the last firing to the silent step."""
        causes = np.full(len(last_fired), int(Cause.UNKNOWN), np.int64)
        fired_once = last_fired != NEVER
        causes[~fired_once] = int(Cause.FROM_START)
        if not fired_once.any():
            return causes
        first = int(last_fired[fired_once].max())
        if _is_silent(tally.sources):
            causes[fired_once] = int(Cause.UPSTREAM_DEATH)
            return causes
        has_moved = fired_once & ((move.rows >= MOVED) | (move.before >= MOVED))
        common = self._cause_of_a_move(first, step - 1)
        if common is not None:
            causes[has_moved] = int(common)
        elif not self._evidence.has_drift(first, step):
            most = EXCESS * move.usual * (step - first)
            is_excess = np.isnan(most) | (move.rows > most)
            causes[fired_once & (move.rows >= MOVED) & is_excess] = int(Cause.LARGE_UPDATE)
        if self._evidence.has_drift(first, step):
            causes[causes == Cause.UNKNOWN] = int(Cause.INPUT_DRIFT)
        return causes

    def _cause_of_a_move(self, first: int, last: int) -> Cause | None:
        """Return what made the weights of the whole network move in some steps, if anything."""
        if self._evidence.has_rate_step(first, last):
            return Cause.RATE_STEP
        if self._evidence.has_spike(first, last):
            return Cause.GRADIENT_SPIKE
        return None


def _is_silent(sources: Sequence[Tally]) -> bool:
    """Whether there are sites that feed this one, and no unit of them fires."""
    return bool(sources) and all(
        bool((source.lifetimes.value().first_silent != NEVER).all()) for source in sources
    )
