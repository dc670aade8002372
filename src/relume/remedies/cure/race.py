"""Spending a budget of runs on candidates: losers are stopped early, the best is chosen.

Asynchronous successive halving with early stopping (Li et al. 2020, "A system for massively
parallel hyperparameter tuning", section 3): candidates run one after another, and each goes on past
a rung only while its score there is among the best third of all that came that far. Rungs are
numbers of steps, so that the same seeds give the same race on any machine.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

RUNGS = (0.25, 0.5)
"""Shares of the untreated run's steps."""
KEPT = 1 / 3
SAME = 0.98
"""Of the best gain, what is as good: the likelier cause is preferred then."""


@dataclass(slots=True)
class Rungs:
    """What scores were at each rung, the better the greater.

    Args:
        steps: Of the untreated run.
    """

    steps: int
    _seen: dict[int, list[float]] = field(default_factory=dict)

    @property
    def at(self) -> tuple[int, ...]:
        """The steps at which they are."""
        found = sorted({round(share * self.steps) for share in RUNGS})
        return tuple(step for step in found if 0 < step < self.steps)

    def add(self, scores: Mapping[int, float | None]) -> None:
        """Add the scores of a trial at the rungs that it has come to."""
        for step, score in scores.items():
            if score is not None and step in self.at:
                value = score if math.isfinite(score) else -math.inf
                self._seen.setdefault(step, []).append(value)

    def marks(self) -> dict[int, float]:
        """Return what the next trial must reach at each rung to be among the best third.

        A rung that fewer than three have reached stops nobody. Where several share the last place
        of the best third, and others are better, to be no better than they is not enough.

        Example:
            >>> rungs = Rungs(100)
            >>> for score in (0.5, 0.7, 0.6, 0.1, 0.8):
            ...     rungs.add({25: score})
            >>> rungs.marks()
            {25: 0.7}
            >>> rungs.add({25: 0.7})
            >>> rungs.marks()[25] > 0.7
            True
        """
        found = {}
        for step, scores in self._seen.items():
            kept = math.ceil((len(scores) + 1) * KEPT)
            if len(scores) >= 3 and math.isfinite(mark := sorted(scores)[-kept]):
                is_shared = scores.count(mark) > 1 and max(scores) > mark
                found[step] = math.nextafter(mark, math.inf) if is_shared else mark
        return found


def best_of(scores: Sequence[float], untreated: float) -> int | None:
    """Return which candidate wins; None where none is better than the untreated run.

    Candidates come in the order of likelihood: the first whose gain is within 2 % of the best one.

    Args:
        scores: Of the candidates, the better the greater; -inf where there is none.
        untreated: The same of the untreated run.

    Example:
        >>> best_of([0.90, 0.905, 0.3], untreated=0.2)
        0
        >>> best_of([0.1], untreated=0.2) is None
        True
    """
    best = max(scores, default=-math.inf)
    if not best > untreated:
        return None
    if untreated == -math.inf:
        return next(i for i, score in enumerate(scores) if score >= best - 0.02 * abs(best))
    enough = untreated + SAME * (best - untreated)
    return next(i for i, score in enumerate(scores) if score >= enough)
