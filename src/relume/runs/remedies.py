"""What was done about findings during a run, and what came of it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relume.runs.fact_json import plain_json


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedRemedy:
    """One application of a remedy: plain data, so that a report can tell it.

    Args:
        step: The last update before it.
        action: Name of the action.
        plan: What it was to do, JSON data.
        evidence: Why, JSON data: the finding with its numbers.
        verdict: One sentence on what came of it; empty while that is not known.
        gain: What it gained, above 0 where it helped; nan while that is not known.
        low: Of the interval of the gain (95 %); nan likewise.
        high: Likewise.
        is_kept: Whether it stayed; None while that is not known.
    """

    step: int
    action: str
    plan: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""
    gain: float = math.nan
    low: float = math.nan
    high: float = math.nan
    is_kept: bool | None = None

    def to_row(self) -> tuple[object, ...]:
        """Return the columns of its row, but the number."""
        texts = (_text(self.plan), _text(self.evidence))
        numbers = (_number(each) for each in (self.gain, self.low, self.high))
        kept = None if self.is_kept is None else int(self.is_kept)
        return (self.step, self.action, *texts, self.verdict, *numbers, kept)

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> "AppliedRemedy":
        """Return what ``to_row`` gave."""
        step, action, plan, evidence, verdict, gain, low, high, kept = row
        return cls(
            step=_step(step),
            action=str(action),
            plan=_mapping(plan),
            evidence=_mapping(evidence),
            verdict=str(verdict),
            gain=math.nan if gain is None else float(gain),
            low=math.nan if low is None else float(low),
            high=math.nan if high is None else float(high),
            is_kept=None if kept is None else bool(kept),
        )


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(plain_json(dict(value)), allow_nan=False)


def _mapping(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(f"a remedy is described by {type(value).__name__}, not by names and values")
    return value


def _step(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"a remedy was applied at step {str(value)[:40]!r}")
    return value


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
