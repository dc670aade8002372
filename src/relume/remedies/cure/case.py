"""What candidates are chosen by: the findings about the untreated run, and what its code shows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from relume.diagnosis.finding import Finding, Severity
from relume.runs.facts import InputFacts, LossFacts

MOST_FEATURES = 16
"""Features that are scaled one by one; more are scaled together."""


@dataclass(frozen=True)
class Case:
    """The untreated run, as its findings and its survey tell.

    Args:
        findings: The likely roots, the gravest first.
        survey: Places of the code, as ``inside.survey`` wrote them.
        inputs: What models were trained on.
        loss: What was learned from; None where unknown.
    """

    findings: tuple[Finding, ...]
    survey: Mapping[str, Any]
    inputs: tuple[InputFacts, ...] = ()
    loss: LossFacts | None = None

    @cached_property
    def faults(self) -> tuple[Finding, ...]:
        """Findings that are no mere notes: each root, then what it brings about."""
        return tuple(flat(self.findings))

    @cached_property
    def codes(self) -> frozenset[str]:
        """Their codes."""
        return frozenset(each.code for each in self.faults)

    @property
    def head(self) -> Sequence[Mapping[str, Any]]:
        """Activations between the last weights and the training loss, the last one first."""
        head: Sequence[Mapping[str, Any]] = self.survey.get("loss", {}).get("head", ())
        return head

    @property
    def loss_function(self) -> str:
        """Name of the training loss's function; empty where none was called."""
        return str(self.survey.get("loss", {}).get("function", ""))

    @property
    def hidden(self) -> list[Mapping[str, Any]]:
        """Activations that are not on the head."""
        return [each for each in self.survey.get("activations", ()) if each not in self.head]

    @property
    def left_out(self) -> Sequence[Mapping[str, Any]]:
        """Parameters that a loss depends on and that no optimizer holds."""
        found: Sequence[Mapping[str, Any]] = self.survey.get("left_out", ())
        return found

    @property
    def roots(self) -> Sequence[Mapping[str, Any]]:
        """Places where a square root of 0 is differentiated."""
        found: Sequence[Mapping[str, Any]] = self.survey.get("roots", ())
        return found

    def input_scale(self) -> tuple[list[float], list[float]] | None:
        """Return means and deviations of what the model is given; None where unknown."""
        facts = next((each for each in self.inputs if not each.is_integer), None)
        if facts is None or not math.isfinite(facts.values.deviation):
            return None
        if facts.first_nonfinite_step is not None or facts.values.nonfinite:
            return None  # moments of what has exploded say nothing
        is_table = len(facts.shape) == 2 and facts.features == len(facts.feature_means)
        if is_table and facts.features <= MOST_FEATURES:
            deviations = [each or 1.0 for each in facts.feature_deviations]
            return list(map(short, facts.feature_means)), list(map(short, deviations))
        return [short(facts.values.mean)], [short(facts.values.deviation or 1.0)]

    def target_scale(self) -> tuple[float, float] | None:
        """Return mean and deviation of the amounts that are learned; None where unknown."""
        target = self.loss.target if self.loss is not None else None
        if target is None or not math.isfinite(target.deviation) or not target.deviation:
            return None
        return short(target.mean), short(target.deviation)


def flat(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield findings but notes, each followed by what it brings about."""
    for each in findings:
        if each.severity is not Severity.NOTE:
            yield each
            yield from flat(each.consequences)


def short(value: float) -> float:
    """Return a number as it is written in a diff: four digits that count.

    Example:
        >>> short(1999.537), short(0.00123456)
        (2000.0, 0.001235)
    """
    return float(f"{value:.4g}")
