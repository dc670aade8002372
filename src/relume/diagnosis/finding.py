"""What a rule says: a finding, or that it could not judge."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

Number = float | int | str | bool | None
Evidence = Mapping[str, Number | tuple[Number, ...]]


class Severity(StrEnum):
    """How grave a finding is.

    A ``note`` is worth knowing and no fault; a ``warning`` is a fault that costs something or will;
    an ``error`` is a fault without which the training could not be what was meant.
    """

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for the least grave."""
        return list(Severity).index(self)


class Safety(StrEnum):
    """What a remedy touches."""

    SAFE = "safe"
    CHANGES_TRAINING = "changes training"
    CHANGES_MODEL = "changes model"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to do about a finding, in the imperative, and what it touches."""

    text: str
    safety: Safety = Safety.ADVICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong, where, since when, by what evidence, why, and what to do.

    Args:
        code: Of its rule, ``RLM101``.
        severity: How grave.
        message: One sentence for a person, with the numbers in it.
        where: Layer, weight, input or loss, with ``file:line`` where known; None: the run.
        units: Indices of the units concerned.
        first_step: Since when; None where that means nothing or is not known.
        evidence: The numbers that it rests on, by name: measured ones, thresholds and n.
        cause: Why, as far as the evidence goes; empty where it does not tell.
        strength: How far beyond its threshold, a ratio of at least 1: it orders equals.
        remedies: What to do, the most likely first.
        consequences: Findings that this one explains.
    """

    code: str
    severity: Severity
    message: str
    where: str | None = None
    units: tuple[int, ...] = ()
    first_step: int | None = None
    evidence: Evidence = field(default_factory=dict)
    cause: str = ""
    strength: float = 1.0
    remedies: tuple[Advice, ...] = ()
    consequences: tuple["Finding", ...] = ()

    def with_consequences(self, *more: "Finding") -> "Finding":
        """Return it with further findings folded under it."""
        return replace(self, consequences=(*self.consequences, *more))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; numbers that are not finite as None."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "where": self.where,
            "units": list(self.units),
            "first_step": self.first_step,
            "evidence": {name: _plain(value) for name, value in self.evidence.items()},
            "cause": self.cause,
            "consequences": [each.to_json() for each in self.consequences],
            "remedies": [
                {"text": each.text, "safety": each.safety.value} for each in self.remedies
            ],
        }


@dataclass(frozen=True, slots=True)
class NotJudged:
    """That a rule could not judge, and why: what was not observed."""

    code: str
    reason: str


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):  # a number of NumPy's
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
