"""Losses and scores of two runs at equal steps and at their ends, with what chance allows."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relume.runs.query import Run

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the steps that both runs made: where their losses are held against one another."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class LossPair:
    """The mean training losses of two runs over the last tenth of their first ``step`` steps.

    ``scatter_a`` is the standard deviation over the stretches that make up that tenth, ``n_a`` how
    many there are; nan and 0 where no loss was recorded.
    """

    step_a: int
    step_b: int
    a: float
    b: float
    scatter_a: float
    scatter_b: float
    n_a: int
    n_b: int


@dataclass(frozen=True, slots=True)
class ScorePair:
    """One score of two runs.

    Args:
        name: Of the score.
        when: ``test``, ``equal steps`` or ``end``.
        step_a: The step at which it was recorded; None for a test score.
        rows_a: How many rows it rests on; None where not known.
        interval: Of the difference b - a by chance in the rows, at 95 %; None where not known.
    """

    name: str
    when: str
    a: float
    b: float
    step_a: int | None = None
    step_b: int | None = None
    rows_a: int | None = None
    rows_b: int | None = None
    interval: Interval | None = None


def loss_pairs(a: Run, b: Run) -> tuple[LossPair, ...]:
    """Return the losses at shares of the steps that both made, and at both ends if these differ."""
    common = min(a.last_step, b.last_step)
    steps = [(step, step) for share in SHARES if (step := round(share * common)) > 0]
    if a.last_step != b.last_step:
        steps.append((a.last_step, b.last_step))
    pairs = [_loss_pair(a, b, *each) for each in dict.fromkeys(steps)]
    return tuple(pair for pair in pairs if pair.n_a or pair.n_b)


def _loss_pair(a: Run, b: Run, step_a: int, step_b: int) -> LossPair:
    (mean_a, scatter_a, n_a), (mean_b, scatter_b, n_b) = late_loss(a, step_a), late_loss(b, step_b)
    return LossPair(step_a, step_b, mean_a, mean_b, scatter_a, scatter_b, n_a, n_b)


def late_loss(run: Run, step: int) -> tuple[float, float, int]:
    """Return mean and scatter of the losses of the last tenth up to a step, and of how many."""
    ends, losses = _losses(run)
    is_late = (ends > 0.9 * step) & (ends <= step)
    if not is_late.any():  # stretches longer than a tenth: the one that ends last before it
        before = np.flatnonzero(ends <= step)[-1:]
        is_late[before if len(before) else slice(0, 1)] = True
    late = losses[is_late]
    if not len(late):
        return math.nan, math.nan, 0
    scatter = float(late.std(ddof=1)) if len(late) > 1 else math.nan
    return float(late.mean()), scatter, len(late)


def _losses(run: Run) -> tuple[Any, Any]:
    """Return the last step of each stretch with a loss, and its mean loss."""
    curve = run.curve
    seen = np.isfinite(curve.losses)
    if seen.any():
        return np.minimum(curve.steps[seen], run.last_step), curve.losses[seen]
    known = [window for window in run.windows if math.isfinite(window.loss.mean)]
    ends = [window.last_step for window in known]
    return np.array(ends, float), np.array([window.loss.mean for window in known])


def score_pairs(a: Run, b: Run) -> tuple[ScorePair, ...]:
    """Return the scores that both runs have, test scores first."""
    return (*_test_pairs(a, b), *_course_pairs(a, b))


def _test_pairs(a: Run, b: Run) -> Iterator[ScorePair]:
    ours, theirs = _test_scores(a), _test_scores(b)
    for name, one in ours.items():
        other = theirs.get(name)
        if other is None:
            continue
        halves = (_half_width(one), _half_width(other))
        yield ScorePair(
            name=name,
            when="test",
            a=one["score"],
            b=other["score"],
            rows_a=_count(one.get("rows")),
            rows_b=_count(other.get("rows")),
            interval=_around(other["score"] - one["score"], math.hypot(*halves)),
        )


def _test_scores(run: Run) -> dict[str, dict[str, Any]]:
    several = run.info.result.get("targets")
    given = several if isinstance(several, list) else [run.info.result]
    return {
        " ".join(str(part[key]) for key in ("target", "metric") if part.get(key)): part
        for part in given
        if isinstance(part, dict) and _is_number(part.get("score"))
    }


def _half_width(result: dict[str, Any]) -> float:
    bounds = result.get("interval")
    if isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_number, bounds)):
        return float(bounds[1] - bounds[0]) / 2
    return math.nan


def _course_pairs(a: Run, b: Run) -> Iterator[ScorePair]:
    ours, theirs = _courses(a), _courses(b)
    for name in ours:
        if name not in theirs:
            continue
        one, other = ours[name], theirs[name]
        common = min(one[-1][0], other[-1][0])
        places = [("equal steps", _at(one, common), _at(other, common))]
        if one[-1][0] != other[-1][0]:
            places.append(("end", one[-1], other[-1]))
        for when, left, right in places:
            if left is not None and right is not None:
                yield _course_pair(name, when, left, right)


Point = tuple[int, float, int | None]
"""A score: its step, its value, and how many rows it rests on."""


def _course_pair(name: str, when: str, a: Point, b: Point) -> ScorePair:
    half = math.nan
    if name == SHARE_RIGHT and a[2] and b[2]:
        half = 1.96 * math.sqrt(sum(p * (1 - p) / n for _, p, n in (a, b) if n))
    return ScorePair(
        name, when, a[1], b[1], a[0], b[0], a[2], b[2], _around(b[1] - a[1], half)
    )  # fmt: skip


SHARE_RIGHT = "evaluation: share right"


def _courses(run: Run) -> dict[str, list[Point]]:
    """Return every score that was recorded more than at the end, by name, in the order of steps."""
    found: dict[str, list[Point]] = {}
    for metric in run.metrics:
        found.setdefault(metric.name, []).append((metric.step, metric.value, None))
    for epoch in run.epochs:
        found.setdefault("validation loss", []).append((epoch.step, epoch.validation_loss, None))
        found.setdefault("validation score", []).append((epoch.step, epoch.validation_score, None))
    for score in () if run.epochs else run.scores_of("evaluation"):
        found.setdefault("evaluation: loss", []).append((score.step, score.loss, score.rows))
        found.setdefault(SHARE_RIGHT, []).append((score.step, score.right, score.rows))
    finite = {
        name: sorted((p for p in points if math.isfinite(p[1])), key=lambda point: point[0])
        for name, points in found.items()
    }
    return {name: points for name, points in finite.items() if points}


def _at(points: Sequence[Point], step: int) -> Point | None:
    return next((point for point in reversed(points) if point[0] <= step), None)


def _around(middle: float, half: float) -> Interval | None:
    return (middle - half, middle + half) if math.isfinite(half) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
