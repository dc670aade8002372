"""From labels and findings to shares with intervals."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.clinic.cases import Case
from benchmarks.clinic.outcomes import Label

FEW = 20
"""A rule that fired less often has no precision worth a number."""

SERIOUS = ("warning", "error")


@dataclass(frozen=True, slots=True)
class Share:
    """Some of so many, with Wilson's interval (95 %).

    Example:
        >>> Share(9, 10)
        90.0 % (59.6 to 98.2; 9 of 10)
    """

    hits: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval (1927); nan where there is nothing."""
        return wilson(self.hits, self.total)

    def __repr__(self) -> str:
        if not self.total:
            return "none"
        low, high = (100 * end for end in self.interval)
        percent = 100 * self.hits / self.total
        return f"{percent:.1f} % ({low:.1f} to {high:.1f}; {self.hits} of {self.total})"

    def to_json(self) -> dict[str, float]:
        """Return plain data."""
        low, high = self.interval
        return {"hits": self.hits, "of": self.total, "low": low, "high": high}


def wilson(hits: int, total: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's score interval of a share: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        hits: How many.
        total: Of how many.
        z: Normal quantile, 1.96 for 95 %.
    """
    if not total:
        return math.nan, math.nan
    p, w = hits / total, z * z / total
    middle = p + w / 2
    half = z * math.sqrt(p * (1 - p) / total + w / (4 * total))
    return max(0.0, (middle - half) / (1 + w)), min(1.0, (middle + half) / (1 + w))


@dataclass(frozen=True, slots=True)
class Judged:
    """A case with what it turned out to be and what was found in it, ranked."""

    case: Case
    label: Label
    findings: Sequence[Mapping[str, Any]]

    @property
    def serious(self) -> list[str]:
        """Codes of warnings and errors, ranked; consequences are folded and not among them."""
        return [each["code"] for each in self.findings if each["severity"] in SERIOUS]

    @property
    def reported(self) -> set[str]:
        """Codes of warnings and errors, consequences among them."""
        return {each["code"] for each in _unfolded(self.findings) if each["severity"] in SERIOUS}

    @property
    def is_found(self) -> bool:
        """Whether any warning or error names the true fault, a folded one as well."""
        return bool(self.reported & set(self.case.true_codes))

    def is_among_first(self, count: int) -> bool:
        """Return whether the true fault is one of the first warnings and errors."""
        return bool(set(self.serious[:count]) & set(self.case.true_codes))


def _unfolded(findings: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for each in findings:
        yield each
        yield from _unfolded(each["consequences"])


@dataclass(frozen=True, slots=True)
class Figures:
    """What the clinic says of a way to judge."""

    found: Share
    false_alarms: Share
    first: Share
    first_three: Share
    precision: Mapping[str, Share]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "harmful_found": self.found.to_json(),
            "healthy_alarmed": self.false_alarms.to_json(),
            "true_fault_first": self.first.to_json(),
            "true_fault_in_first_three": self.first_three.to_json(),
            "precision": {
                code: share.to_json() | {"too_few": share.total < FEW}
                for code, share in self.precision.items()
            },
        }


def figures_of(judged: Sequence[Judged]) -> Figures:
    """Return the figures of one part.

    Harmless and dropped trainings count neither as missed nor as false alarms. The precision of a
    rule counts the trainings, but dropped ones, in which it gave a warning or an error; it is right
    if the code names the fault or is one of its expected consequences.
    """
    harmful = [each for each in judged if each.label is Label.HARMFUL]
    healthy = [each for each in judged if each.label is Label.HEALTHY]
    return Figures(
        found=_share(each.is_found for each in harmful),
        false_alarms=_share(bool(each.reported) for each in healthy),
        first=_share(each.is_among_first(1) for each in harmful),
        first_three=_share(each.is_among_first(3) for each in harmful),
        precision=_precision(judged),
    )


def _share(answers: Iterable[bool]) -> Share:
    told = list(answers)
    return Share(sum(told), len(told))


def _precision(judged: Sequence[Judged]) -> dict[str, Share]:
    fired: dict[str, list[bool]] = defaultdict(list)
    for each in judged:
        if each.label is not Label.DROPPED:
            right = {*each.case.true_codes, *each.case.expected}
            for code in each.reported:
                fired[code].append(code in right)
    return {code: _share(fired[code]) for code in sorted(fired)}


def worst(judged: Sequence[Judged]) -> list[Judged]:
    """Return the cases that went wrong: alarms on healthy ones, then harmful ones not found."""
    alarmed = [each for each in judged if each.label is Label.HEALTHY and each.reported]
    missed = [each for each in judged if each.label is Label.HARMFUL and not each.is_found]
    late = [
        each for each in judged
        if each.label is Label.HARMFUL and each.is_found and not each.is_among_first(3)
    ]  # fmt: skip
    return [*alarmed, *missed, *late]
