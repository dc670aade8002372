"""Death certificates: when units fell silent, and by what evidence; apart from the windows."""

import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relume.kernels.weight_norms import sample
from relume.observe.pending import Ended
from relume.observe.tally import Tally
from relume.runs.records import NEVER, Cause, Counts, Deaths, Sums

MOVED = 0.3
"""A row that moved by this share of its norm or more between two armed steps moved far."""
EXCESS = 3.0
"""An update is large that moved a row this many times as far as the usual ones together may."""
WHOLE = 1.0
"""And so is one that moved it by its own norm a step, even where such updates are usual."""
RATE_JUMP = 2.5
"""A rate more than this many times that of the step before, and its median so far, jumped."""
SPIKE = 5.0
"""A loss or gradient norm this many times its median so far is a spike."""
DRIFT = 3.0
"""Inputs whose mean moved by this many of their standard deviations drifted."""
_KEPT = 256
_FEWEST = 3
_SAMPLE = 1024
_ONES: dict[int, NDArray[Any]] = {4: np.ones(_SAMPLE, np.float32), 8: np.ones(_SAMPLE)}


class Evidence:
    """What happened lately in the training as a whole: losses, rates, gradients, inputs."""

    def __init__(self) -> None:
        self._ended: deque[tuple[int, float | Tensor | None, float, bool]] = deque(maxlen=_KEPT)
        self._norms: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._inputs: deque[tuple[int, float, float]] = deque(maxlen=_KEPT)

    def note_steps(self, ended: Ended) -> None:
        """Take note of steps that have ended."""
        self._ended.extend(ended)

    def note_gradient(self, step: int, norm: float) -> None:
        """Take note of the norm of the gradients of all owners on an armed step."""
        self._norms.append((step, norm))

    def note_input(self, step: int, x: Tensor | None) -> None:
        """Take note of the inputs of an armed step, by a sample of their numbers."""
        if x is None or x.numel() < 2:
            return
        known = sample(x, _SAMPLE) or _sample(x)
        if known is not None:
            mean, square = known
            self._inputs.append((step, mean, math.sqrt(max(0.0, square - mean * mean))))

    def has_rate_step(self, first: int, last: int) -> bool:
        """Whether the rate of one of the updates of the steps from first to last stands out."""
        rates = [(number, rate) for number, _, rate, _ in self._ended]
        usual = _usual(rates, first, RATE_JUMP)
        if not any(now > RATE_JUMP * before > 0 for (_, before), (_, now) in pairwise(rates)):
            return False  # it may have grown step by step
        return any(rate > usual for number, rate in rates if first <= number <= last)

    def has_spike(self, first: int, last: int, is_general: Callable[[], bool]) -> bool:
        """Whether a batch of the steps from first to last was out of line.

        Its loss stands out from those before it, and it is that of the first step, or all weights
        moved far: otherwise a high loss may come of weights that were broken already. Or the
        gradient of the first step stands out: of later ones, none was seen.
        """
        known = [(number, loss) for number, loss, _, _ in self._ended]
        losses = [(number, abs(loss)) for number, loss in known if isinstance(loss, float)]
        usual = _usual(losses, first, SPIKE)
        peak = next((number for number, loss in losses if number >= first and loss > usual), None)
        if peak is not None and peak <= last and (peak == first or is_general()):
            return True
        norm = dict(self._norms).get(first)
        return norm is not None and norm > _usual(self._norms, first, SPIKE)

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


def _sample(x: Tensor) -> tuple[float, float] | None:
    """Return mean and mean square of the first numbers of a tensor, where that is quick."""
    if not x.is_cpu or x.dtype not in {torch.float32, torch.float64} or not x.is_contiguous():
        return None
    values: Sums = x.detach().numpy().ravel()[:_SAMPLE]
    ones = _ONES[values.dtype.itemsize][: len(values)]  # a dot product: the quickest sum
    return float(values.dot(ones)) / len(values), float(values.dot(values)) / len(values)


def _usual(values: Iterable[tuple[int, float]], first: int, factor: float) -> float:
    """Return above what a value stands out from those before a step; inf if few are known."""
    before = [value for step, value in values if step < first and math.isfinite(value)]
    return factor * statistics.median(before) if len(before) >= _FEWEST else math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """How far weights moved between two armed steps, as shares of their norms.

    Args:
        rows: Those of the units that fell silent, shape (units,); nan where not known.
        usual: The usual update of their layer in a single step; nan where not known.
        before: Returns those of the layers that feed theirs, at most; 0 where not known.
        is_general: Returns whether the weights of every site moved farther than usual updates do.
    """

    rows: Sums
    usual: float = math.nan
    before: Callable[[], float] = lambda: 0.0
    is_general: Callable[[], bool] = lambda: False


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

    def resume(self, tally: Tally, known: Deaths) -> None:
        """Go on from certificates that were written before the training was interrupted."""
        self._changes[tally] = known.row_change.astype(np.float64)
        self._causes[tally] = known.cause.astype(np.int64)
        self._steps[tally] = known.first_silent.copy()

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
        far = fired_once & (move.rows >= MOVED)
        common = self._common_cause(first, step, move)
        if common is not None:
            is_moved_by_all = common is Cause.INPUT_DRIFT or move.before() >= MOVED
            causes[fired_once if is_moved_by_all else far] = int(common)
        else:
            most = min(EXCESS * move.usual, WHOLE) * (step - first)
            causes[far & (np.isnan(most) | (move.rows > most))] = int(Cause.LARGE_UPDATE)
        if _is_silent(tally.sources):  # explains what did not move far by itself, and all the rest
            causes[fired_once & (~far | (causes == Cause.UNKNOWN))] = int(Cause.UPSTREAM_DEATH)
        return causes

    def _common_cause(self, first: int, step: int, move: Move) -> Cause | None:
        """Return what befell the whole network from a step to another, if anything."""
        if self._evidence.has_rate_step(first, step - 1):
            return Cause.RATE_STEP
        if self._evidence.has_drift(first, step):  # the high losses that follow are no spike
            return Cause.INPUT_DRIFT
        if self._evidence.has_spike(first, step - 1, move.is_general):
            return Cause.GRADIENT_SPIKE
        return None


def _is_silent(sources: Sequence[Tally]) -> bool:
    """Whether there are sites that feed this one, and no unit of them fires."""
    return bool(sources) and all(
        bool((source.lifetimes.value().first_silent != NEVER).all()) for source in sources
    )


def all_sources(tally: Tally) -> set[Tally]:
    """Return the sites that feed one, and those that feed them."""
    found: set[Tally] = set()
    waiting = list(tally.sources)
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting.extend(source.sources)
    return found
