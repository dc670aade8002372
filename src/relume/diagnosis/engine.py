"""Rules are asked, and what they find is put in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relume import markup
from relume.diagnosis.explain import rank
from relume.diagnosis.finding import Finding, NotJudged, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.rules import RULES
from relume.runs.run_file import Run
from relume.runs.wording import count

JSON_VERSION = 1


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the rules said of a run.

    Args:
        findings: The likely root causes, the gravest first, their consequences folded under them.
        not_judged: What could not be judged, and why.
        observed: What the findings rest on, in numbers.
    """

    findings: tuple[Finding, ...]
    not_judged: tuple[NotJudged, ...]
    observed: dict[str, Any]

    @property
    def worst(self) -> Severity | None:
        """The gravest severity; None where nothing was found."""
        return max((each.severity for each in self.findings), key=lambda s: s.rank, default=None)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the findings, what follows from them, and what to do."""
        title = f"{count(len(self.findings), 'finding')}" if self.findings else "nothing found"
        return markup.card(title, *(_shown(each) for each in self.findings))

    def to_json(self, run: Run) -> dict[str, Any]:
        """Return plain JSON data: run, observed, not_observed, findings."""
        return {
            "version": JSON_VERSION,
            "run": {"path": str(run.path), "kind": run.info.kind, "status": run.info.status},
            "observed": self.observed,
            "not_observed": [
                {"what": each.what, "place": each.place, "count": each.count}
                for each in run.unobserved
            ],
            "not_judged": [{"code": each.code, "reason": each.reason} for each in self.not_judged],
            "findings": [each.to_json() for each in self.findings],
        }


def _shown(finding: Finding) -> str:
    more = [f"cause: {finding.cause}"] if finding.cause else []
    more += [f"so: {each.message} [{each.code}]" for each in finding.consequences]
    more += [f"try: {each.text} ({each.safety})" for each in finding.remedies[:2]]
    text = f"{finding.severity} {finding.code}: {finding.message}"
    return markup.note(finding.severity, text, more)


def diagnose(run: Run, rules: Sequence[Rule] = RULES) -> Diagnosis:
    """Ask every rule about a run.

    A rule that fails is listed as one that could not judge; the others go on.

    Args:
        run: The records.
        rules: Those that are asked.

    Cost: linear in the size of the record; nothing is added to the training.
    """
    reading = Reading(run)
    findings: list[Finding] = []
    not_judged: list[NotJudged] = []
    for rule in rules:
        for said in _ask(rule, reading):
            if isinstance(said, Finding):
                findings.append(said)
            else:
                not_judged.append(said)
    explains = {rule.code.value: frozenset(map(str, rule.explains)) for rule in rules}
    return Diagnosis(rank(findings, explains), tuple(not_judged), _observed(reading))


def _ask(rule: Rule, reading: Reading) -> list[Finding | NotJudged]:
    try:
        return list(rule.check(reading))
    except Exception as error:  # noqa: BLE001
        reason = " ".join(str(error).split()) or type(error).__name__
        return [NotJudged(rule.code, f"the rule failed: {reason}")]


def _observed(reading: Reading) -> dict[str, Any]:
    run = reading.run
    return {
        "steps": reading.steps,
        "armed_steps": reading.armed_steps,
        "layers": len(run.layers),
        "units": sum(layer.units for layer in run.layers),
        "weights": len(run.weights),
        "training_losses": len(reading.training_losses),
        "evaluation_passes": len(reading.evaluation_scores),
    }
