"""Which optimizers stepped, with what settings, how often, and after how many backward passes."""

import math
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch

from relume.observe.weight_facts import number_of
from relume.runs.facts import Fact, OptimizerFacts

MOST_OPTIMIZERS = 64
MOST_GROUPS = 256


@dataclass(slots=True, eq=False)
class _Known:
    """What is known of one optimizer."""

    itself: weakref.ref[torch.optim.Optimizer]
    kind: str
    groups: tuple[Mapping[str, float], ...]
    weights: int
    updates: int = 0
    passes: list[int] = field(
        default_factory=lambda: [0, 0]
    )  # all of them, and in how many updates


class OptimizerObserver:
    """The optimizers in the order of their first update, with their settings as they were then.

    Updates of the leading optimizer that take the short way are counted by the steps they end.
    """

    def __init__(self) -> None:
        self._known: list[_Known] = []
        self._leader: _Known | None = None
        self._steps = 0
        self._passes = self._last_passes = 0

    def begin_step(self) -> None:
        """Begin an armed step: it follows on an update."""
        self._passes = self._last_passes = 0

    def note_pass(self) -> None:
        """Take note of a backward pass of an armed step."""
        self._passes += 1

    def forget_passes(self) -> None:
        """Take note that no update came of the passes so far."""
        self._passes = 0

    def note_update(
        self, optimizer: torch.optim.Optimizer, before: int, after: int, *, is_armed: bool
    ) -> None:
        """Take note of an update.

        Args:
            optimizer: Whose.
            before: Steps that had ended before it.
            after: Steps that had ended after it.
            is_armed: Whether backward passes were counted.
        """
        self.catch_up(before)
        known = self._find(optimizer)
        if known is None:
            return
        known.updates += 1
        if is_armed:
            # Of several optimizers that step one after another, each had the passes before.
            self._last_passes = self._passes or self._last_passes
            self._passes = 0
            known.passes[0] += self._last_passes
            known.passes[1] += 1
        if after > before:
            self._leader = known
        self._steps = after

    def catch_up(self, steps: int) -> None:
        """Count the updates up to a step that took the short way."""
        if self._leader is not None:
            self._leader.updates += max(0, steps - self._steps)
        self._steps = steps

    def _find(self, optimizer: torch.optim.Optimizer) -> _Known | None:
        for known in self._known:
            if known.itself() is optimizer:
                return known
        if len(self._known) >= MOST_OPTIMIZERS:
            return None
        weights = sum(len(group["params"]) for group in optimizer.param_groups)
        kind, groups = type(optimizer).__name__, optimizer.param_groups[:MOST_GROUPS]
        known = _Known(weakref.ref(optimizer), kind, tuple(map(_numbers, groups)), weights)
        self._known.append(known)
        return known

    def facts(self) -> Iterable[Fact]:
        """Return the facts of each, as of the last step that was caught up with."""
        for number, known in enumerate(self._known):
            passes, updates = known.passes
            yield OptimizerFacts(
                number=number,
                kind=known.kind,
                groups=known.groups,
                weights=known.weights,
                updates=known.updates,
                passes_per_update=passes / updates if updates else math.nan,
            )


def _numbers(group: Mapping[str, object]) -> dict[str, float]:
    """Return the settings that are numbers; of pairs, as ``betas``, each under a number.

    Example:
        >>> _numbers({"params": [], "lr": 0.1, "betas": (0.9, 0.99), "foreach": None})
        {'lr': 0.1, 'betas1': 0.9, 'betas2': 0.99}
    """
    found = {}
    for name, value in group.items():
        several = isinstance(value, tuple)
        for index, each in enumerate(value if isinstance(value, tuple) else (value,), start=1):
            number = number_of(each)
            if not math.isnan(number):
                found[f"{name}{index}" if several else name] = number
    return found
