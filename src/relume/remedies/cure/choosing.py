"""Which of the trials goes on: the best two together, those that run again, the winner."""

import math
from collections.abc import Sequence

from relume.remedies.cure.race import best_of
from relume.remedies.cure.score import ScoreChoice
from relume.remedies.cure.treatment import Kind
from relume.remedies.cure.trial import Trial

ENOUGH = 0.8
"""Share of the best gain with which an answer to a finding is preferred to what answers none, and
with which a candidate runs again."""
MOST_FINALISTS = 3


def value_of(trial: Trial, choice: ScoreChoice) -> float:
    """Return the score of a trial, the better the greater; -inf where it did not get to its end."""
    if trial.stopped_at is not None or trial.exit_code:
        return -math.inf
    return choice.better(trial.score(choice.name))


def final_of(trial: Trial, choice: ScoreChoice) -> float:
    """Return the score of a trial as it was taken down; nan where it did not get to its end."""
    has_ended = trial.exit_code == 0 and trial.stopped_at is None
    return trial.score(choice.name) if has_ended else math.nan


def is_reseed(trial: Trial) -> bool:
    """Whether it began with another seed."""
    return any(each.kind is Kind.SEED for each in trial.treatments)


def answers(trial: Trial) -> bool:
    """Whether each part of it answers something that was found."""
    return all(part.answers for part in trial.treatments)


def best_trial(tried: Sequence[Trial], choice: ScoreChoice) -> Trial | None:
    """Return the best candidate that came to its end, better than untreated or not."""
    ended = [each for each in tried if value_of(each, choice) > -math.inf and not is_reseed(each)]
    return max(ended, key=lambda each: value_of(each, choice), default=None)


def gaining(tried: Sequence[Trial], untreated: Trial, choice: ScoreChoice) -> list[Trial]:
    """Return the candidates that are better than untreated, in their order."""
    start = choice.better(untreated.score(choice.name))
    return [each for each in tried if value_of(each, choice) > start and not is_reseed(each)]


def best_two(tried: Sequence[Trial], untreated: Trial, choice: ScoreChoice) -> list[Trial]:
    """Return the best two that gain and that are of different kinds; fewer where there are none.

    Other activations ask for another start: where nothing else gains, that one goes with them.
    """
    best: dict[Kind, Trial] = {}
    better = gaining(tried, untreated, choice)
    for each in sorted(better, key=lambda trial: -value_of(trial, choice)):
        best.setdefault(each.treatments[0].kind, each)
    starts = [each for each in tried if each.treatments[0].kind is Kind.INITIALISE]
    if list(best) == [Kind.SWAP]:
        return [best[Kind.SWAP], *starts[:1]]
    return list(best.values())[:2]


def winner_of(tried: Sequence[Trial], untreated: Trial, choice: ScoreChoice) -> Trial | None:
    """Return the best candidate that gains.

    On one seed the best of many is often the luckiest: one of which a part answers nothing that was
    found has to gain a quarter more than the best that does.
    """
    running = [each for each in tried if not is_reseed(each)]
    start = choice.better(untreated.score(choice.name))
    answering = [each for each in running if answers(each)]
    best, likely = (_first_best(each, start, choice) for each in (running, answering))
    if best is None or likely is None or start == -math.inf:
        return best
    is_enough = value_of(likely, choice) - start >= ENOUGH * (value_of(best, choice) - start)
    return likely if is_enough else best


def finalists(tried: Sequence[Trial], untreated: Trial, choice: ScoreChoice) -> list[Trial]:
    """Return those that one seed cannot tell from the winner, which comes first.

    Each has at least ``ENOUGH`` of the best gain.
    """
    first = winner_of(tried, untreated, choice)
    if first is None:
        return []
    better = gaining(tried, untreated, choice)
    best = max(value_of(each, choice) for each in better)
    start = choice.better(untreated.score(choice.name))
    least = best - abs(best) * (1 - ENOUGH)
    if math.isfinite(start):
        least = start + ENOUGH * (best - start)
    near = [each for each in better if value_of(each, choice) >= least and each is not first]
    near.sort(key=lambda each: -value_of(each, choice))
    return [first, *near[: MOST_FINALISTS - 1]]


def _first_best(trials: Sequence[Trial], start: float, choice: ScoreChoice) -> Trial | None:
    index = best_of([value_of(each, choice) for each in trials], start)
    return trials[index] if index is not None else None
