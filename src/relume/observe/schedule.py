"""Which steps are armed: by the step number alone, or so that watching keeps to a budget."""

import math
import statistics
from collections import deque
from collections.abc import Callable
from typing import Any

Schedule = Callable[[int], bool]

FIRST_STEPS = 8
"""Steps at the start that are always armed: networks die quickest there."""

PLANNED = 0.4
"""Share of the budget that armed steps may take."""

FIRST_LOOKS, LOOK_EVERY, LOOK_SELDOM = 16, 4, 8
"""Data and losses are looked at on the first armed steps and then on every fourth; on every
eighth where a budget cannot be kept otherwise."""


def every(period: int, *, first: int = FIRST_STEPS) -> Schedule:
    """Arm the first steps, where networks die quickest, and then every ``period``-th.

    Args:
        period: At least 1.
        first: How many of the first steps are armed whatever the period.

    Example:
        >>> armed = every(10, first=2)
        >>> [step for step in range(1, 31) if armed(step)]
        [1, 2, 10, 20, 30]
    """
    if period < 1:
        raise ValueError(f"period must be at least 1; got {period}")
    return lambda step: step <= first or step % period == 0


def looking(period: int, *, first: int = FIRST_STEPS) -> Schedule:
    """Choose, of the steps that ``every`` arms, those on which data and losses are looked at too.

    Example:
        >>> armed, looked_at = every(10), looking(10)
        >>> [step for step in range(1, 200) if armed(step) and looked_at(step)][-4:]
        [70, 80, 120, 160]
    """

    def is_look(step: int) -> bool:
        count = min(step, first) + max(0, step // period - first // period)
        return count <= FIRST_LOOKS or count % LOOK_EVERY == 0

    return is_look


class Budget:
    """Arms the first steps and then every k-th, with k such that watching keeps to a budget.

    ``PLANNED`` of the budget is planned for: costs vary, and the rest is for writing and for the
    steps that are not armed. The gaps between armed steps vary around k
    by the golden ratio, so that they keep time with nothing in the training.

    Args:
        share: The budget: seconds of watching for each second of training.
        first: How many of the first steps are armed whatever they cost.
        most: The largest k.

    Attributes:
        period: The present k.
        next_step: The next step that is armed, as far as is known.
        is_look: Whether data and losses too are looked at on the step that was armed last.
    """

    _KEPT, _OLD = 63, 1000  # costs are those of so many steps, none of them older than this

    def __init__(self, share: float, *, first: int = FIRST_STEPS, most: int = 64) -> None:
        self.share = share
        self.period = most
        self._first = first
        self._most = most
        self.next_step = 1
        self.is_look = True
        self._look_every = LOOK_EVERY
        self._count = self._noted = 0
        self._plain: deque[float] = deque(maxlen=self._KEPT)
        self._armed: deque[tuple[int, bool, float, float]] = deque(maxlen=self._KEPT)

    def is_armed(self, step: int) -> bool:
        """Return whether a step, asked for once and in order, is armed."""
        if step <= self._first:
            self.next_step = step + 1
            return True
        if step < self.next_step:
            return False
        self._count += 1
        if self._count <= FIRST_LOOKS or self._count % LOOK_EVERY == 0:
            self.period, self._look_every = self._affordable()
        self.is_look = self._count <= FIRST_LOOKS or self._count % self._look_every == 0
        golden = math.modf(self._count * 0.6180339887498949)[0]
        self.next_step = step + max(1, round(self.period * (0.5 + golden)))
        return True

    def note(self, duration_s: float, own_s: float, *, was_armed: bool) -> None:
        """Take note of how long a step took, and how much of it is known to be ours.

        The former in CPU time of the thread that trains: other programs do not count, nor does
        waiting. The latter by the clock, which is read much faster; a median is made of it.
        """
        self._noted += 1
        if self._noted <= self._first:
            return  # the first steps are slow for reasons of their own
        if not was_armed:
            self._plain.append(duration_s)
            return
        self._armed.append((self._noted, self.is_look, duration_s, own_s))
        while self._noted - self._armed[0][0] > self._OLD:
            self._armed.popleft()

    @property
    def cost_s(self) -> float:
        """What an armed step costs more than a plain one; nan before both were seen.

        The mean of the medians of those on which everything is looked at, and of the others.
        """
        if not (self._armed and self._plain):
            return math.nan
        looks = sum(is_look for _, is_look, _, _ in self._armed) / len(self._armed)
        return looks * self._cost_s(is_look=True) + (1 - looks) * self._cost_s(is_look=False)

    def _cost_s(self, *, is_look: bool) -> float:
        """Return what one of these steps costs; 0 before one was seen."""
        mine = [(took_s, own_s) for _, kind, took_s, own_s in self._armed if kind == is_look]
        if not mine:
            return 0.0
        took_s = statistics.median(took_s for took_s, _ in mine)
        return max(took_s - self.plain_s, statistics.median(own_s for _, own_s in mine))

    @property
    def plain_s(self) -> float:
        """What a plain step takes; nan before one was seen."""
        return statistics.median(self._plain) if self._plain else math.nan

    def _affordable(self) -> tuple[int, int]:
        """Return k, and every how many armed steps everything is looked at."""
        if len(self._plain) < 4 or not self._armed:
            return 2, LOOK_EVERY  # plain steps to compare with come first
        allowed_s = PLANNED * self.share * self.plain_s
        if allowed_s <= 0:
            return self._most, LOOK_SELDOM
        look_s = self._cost_s(is_look=True)
        units_s = self._cost_s(is_look=False) or look_s
        usual_s = units_s + max(0.0, look_s - units_s) / LOOK_EVERY
        period = max(1, math.ceil(usual_s / allowed_s))
        return min(self._most, period), LOOK_EVERY if period <= self._most else LOOK_SELDOM


class FixedPlan:
    """Arms by the step number alone, and looks at everything on every armed step.

    Args:
        period: Every how many steps; the first ones are always armed.
    """

    is_look = True

    def __init__(self, period: int) -> None:
        self._is_armed = every(period, first=FIRST_STEPS)
        self._period = period
        self.next_step = 1
        self.costs = Budget(1.0, first=0)

    def is_armed(self, step: int) -> bool:
        """Return whether a step is armed."""
        following = step + 1
        is_first = following <= FIRST_STEPS
        self.next_step = following if is_first else -(-following // self._period) * self._period
        return self._is_armed(step)

    def note(self, duration_s: float, own_s: float, *, was_armed: bool) -> None:
        """Take note of what a step took, for the report alone."""
        self.costs.note(duration_s, own_s, was_armed=was_armed)


def overhead_of(plan: Budget | FixedPlan, steps: int, armed_steps: int) -> dict[str, Any]:
    """Return what watching cost, as plain JSON data; what was not measured is left out."""
    costs = plan.costs if isinstance(plan, FixedPlan) else plan
    known = {
        "armed_steps": armed_steps,
        "steps": steps,
        "armed_cost_s": costs.cost_s,
        "step_s": costs.plain_s,
    }
    if isinstance(plan, Budget):
        known |= {"budget": plan.share, "period": plan.period}
    if steps and costs.plain_s > 0:
        known["measured_share"] = max(0.0, costs.cost_s) * armed_steps / (costs.plain_s * steps)
    return {name: value for name, value in known.items() if math.isfinite(value)}
