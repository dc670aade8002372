"""Whether a fault did harm: measured beside the same training without it, not assumed.

``harmful`` is a faulty training that did worse than its twin, by more than a tolerance and by more
than the scores of the twins scatter over seeds; ``harmless`` is any other faulty one. What worse
means depends on the fault (``fault.Harm``):

- the held-out score is lower (most faults);
- the last validation score that the script prints is above the held-out score, by more than the
  twin's is (validation rows in training: the network may be as good, the claim is wrong);
- whatever the score, what the script asks for does not happen: dropout and batch norm are switched
  off while it trains, or most of the network is never trained.

``healthy`` is a training without a fault that reaches the score of its scenario; one that does not
is ``dropped`` and listed.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from benchmarks.clinic.cases import Case
from benchmarks.clinic.data import SOURCES
from benchmarks.clinic.fault import Harm
from benchmarks.clinic.networks import REBUILDING
from benchmarks.clinic.training import Outcome


class Label(StrEnum):
    """What a training turned out to be."""

    HEALTHY = "healthy"
    HARMFUL = "harmful"
    HARMLESS = "harmless"
    DROPPED = "dropped"


TOLERANCE: Mapping[str, float] = {
    "classes": 0.02,
    "binary": 0.02,
    "amounts": 0.03,
    "rebuilt": 0.03,
    "generated": 0.05,
}
"""By how much a score may be lower by chance: of the held-out rows, not of the seed."""


def tolerance_of(case: Case) -> float:
    """Return the tolerance for the score of a case."""
    kind = "rebuilt" if case.network in REBUILDING else SOURCES[case.data][0]
    return TOLERANCE[kind]


def label_of(case: Case, outcome: Outcome, twin: Outcome, seeds: Sequence[Outcome]) -> Label:
    """Return what a training turned out to be.

    Args:
        case: The training.
        outcome: How it ended.
        twin: How its twin with the same seed ended.
        seeds: How the twins of all seeds ended, at least three.
    """
    if not case.is_faulty:
        return Label.HEALTHY if outcome.score >= case.good else Label.DROPPED
    if outcome.failure:
        return Label.HARMFUL
    return Label.HARMFUL if _IS_WORSE[case.harm](case, outcome, twin, seeds) else Label.HARMLESS


def _is_lower(case: Case, outcome: Outcome, twin: Outcome, seeds: Sequence[Outcome]) -> bool:
    scores = [each.score for each in seeds]
    return twin.score - outcome.score > max(tolerance_of(case), max(scores) - min(scores))


def _claims_more(case: Case, outcome: Outcome, twin: Outcome, seeds: Sequence[Outcome]) -> bool:
    gaps = [each.claimed - each.score for each in seeds]
    more = (outcome.claimed - outcome.score) - (twin.claimed - twin.score)
    return more > max(tolerance_of(case), max(gaps) - min(gaps))


def _always(case: Case, outcome: Outcome, twin: Outcome, seeds: Sequence[Outcome]) -> bool:
    del case, outcome, twin, seeds
    return True


_IS_WORSE: Mapping[Harm, Callable[[Case, Outcome, Outcome, Sequence[Outcome]], bool]] = {
    Harm.SCORE: _is_lower,
    Harm.CLAIM: _claims_more,
    Harm.ALWAYS: _always,
}
