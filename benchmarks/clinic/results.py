"""All that the clinic knows, from the cache: labels, outcomes and findings; and the file of it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.clinic.cache import Cache, training_key
from benchmarks.clinic.cases import Case
from benchmarks.clinic.figures import Figures, Judged, figures_of
from benchmarks.clinic.outcomes import Label, label_of
from benchmarks.clinic.runner import findings_in, outcome_in, twin_seeds
from benchmarks.clinic.scenarios import Part
from benchmarks.clinic.training import Outcome
from benchmarks.measure import keep


@dataclass(frozen=True, slots=True)
class Clinic:
    """The cases whose outcome is known.

    Args:
        judged: Cases with label and findings; without findings where nothing has judged them.
        outcomes: How each ended, in the same order.
        cpu_s: CPU seconds of all trainings, twins among them, as they were when they were done.
        is_judged: Whether every case was judged by the present rules.
    """

    judged: tuple[Judged, ...]
    outcomes: tuple[Outcome, ...]
    cpu_s: float
    is_judged: bool

    @classmethod
    def of(cls, cases: Sequence[Case], cache: Cache) -> "Clinic":
        """Return what a cache knows of these cases; those not trained yet are left out."""
        judged, outcomes, keys, is_judged = [], [], set(), True
        for case in cases:
            outcome = outcome_in(cache, case, case.recipe)
            twins = [outcome_in(cache, each, case.twin) for each in twin_seeds(case)]
            known = [twin for twin in twins if twin is not None]
            if outcome is None or (case.is_faulty and len(known) < len(twins)):
                continue
            findings = findings_in(cache, case)
            is_judged = is_judged and findings is not None
            label = label_of(case, outcome, known[0] if known else outcome, known)
            judged.append(Judged(case, label, findings or []))
            outcomes.append(outcome)
            keys |= {training_key(case, case.recipe)}
            keys |= {training_key(each, case.twin) for each in twin_seeds(case) if case.is_faulty}
        cpu_s = sum(cache.outcomes.known[key]["cpu_s"] for key in keys)
        return cls(tuple(judged), tuple(outcomes), cpu_s, is_judged)

    def in_part(self, part: Part) -> list[Judged]:
        """Return the cases of a part."""
        return [each for each in self.judged if each.case.part is part]

    def figures(self, part: Part) -> Figures:
        """Return the figures of a part."""
        return figures_of(self.in_part(part))

    def labels(self, part: Part) -> Counter[Label]:
        """Return how many cases of a part have which label."""
        return Counter(each.label for each in self.in_part(part))

    def by_fault(self) -> dict[str, Counter[Label]]:
        """Return how often each fault did harm."""
        found: dict[str, Counter[Label]] = defaultdict(Counter)
        for each in self.judged:
            if each.case.is_faulty:
                found[each.case.fault][each.label] += 1
        return dict(found)


def write(clinic: Clinic) -> None:
    """Write labels, scores and figures to ``benchmarks/results/clinic.json``."""
    keep("clinic", as_json(clinic), is_printed=False)


def as_json(clinic: Clinic) -> dict[str, Any]:
    """Return all of it as plain data: counts and figures by part, and one entry a case."""
    parts: dict[str, Any] = {}
    for part in Part:
        parts[part.value] = {"labels": {str(k): v for k, v in sorted(clinic.labels(part).items())}}
        if clinic.is_judged:
            parts[part.value] |= clinic.figures(part).to_json()
    return {
        "cpu_minutes": round(clinic.cpu_s / 60, 1),
        "parts": parts,
        "cases": {
            each.case.id: _entry(each, outcome)
            for each, outcome in zip(clinic.judged, clinic.outcomes, strict=True)
        },
    }


def _entry(judged: Judged, outcome: Outcome) -> dict[str, Any]:
    return {
        "label": judged.label.value,
        "score": round(outcome.score, 3),
        "found": [f"{each['severity'][0]} {each['code']}" for each in judged.findings],
    }
