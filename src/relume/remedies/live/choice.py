"""What may be done about a finding while a training goes on, the most promising first."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from relume.diagnosis.codes import RATES, SYMPTOMS, UNIT_SYMPTOMS, Code
from relume.diagnosis.finding import Finding, Safety, Severity
from relume.diagnosis.rules.rate_too_high import NOT_A_NUMBER
from relume.remedies.actions import actions_for, get_action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.runs.remedies import AppliedRemedy


class Allow(StrEnum):
    """How far a repair may go; each allows what the ones before it do."""

    SAFE = "safe"
    TRAINING = "training"
    MODEL = "model"


ALLOWED: Mapping[Allow, frozenset[Safety]] = {
    Allow.SAFE: frozenset({Safety.SAFE}),
    Allow.TRAINING: frozenset({Safety.SAFE, Safety.CHANGES_TRAINING}),
    Allow.MODEL: frozenset({Safety.SAFE, Safety.CHANGES_TRAINING, Safety.CHANGES_MODEL}),
}

NOT_LIVE = frozenset({"scale_inputs", "scale_targets"})
"""What is folded into the weights when the training is over: a script that is somebody else's
saves its weights whenever it likes, and they would not be those of its network."""

AFTER_GOING_BACK = ("lower_rate", "clip_gradients", "warm_up")
"""What may keep a training from the end that it came to before, the most promising first."""

MOST_LOST = 0.25
"""Of the steps so far: who would lose more by going back is treated where it stands at first."""

FEW_STEPS = 500
"""So many steps may be lost in any case."""


@dataclass(frozen=True, slots=True)
class Option:
    """A way to treat a finding: plans that are applied together.

    Args:
        finding: What is to be cured.
        plans: In their order.
    """

    finding: Finding
    plans: tuple[Plan, ...]

    @property
    def key(self) -> tuple[str, str | None, tuple[str, ...]]:
        """What this is an attempt at: an option is tried once."""
        names = tuple(plan.action for plan in self.plans)
        return self.finding.code, self.finding.where, names

    @property
    def said(self) -> str:
        """What is done, in the imperative."""
        return " and ".join(get_action(plan.action).describe(plan) for plan in self.plans)

    def record(self, step: int, verdict: str = "", *, is_kept: bool | None = None) -> AppliedRemedy:
        """Return what the run file says of it."""
        *first, last = (plan.to_json() for plan in self.plans)
        finding = self.finding.to_json()
        told = ("code", "severity", "where", "message", "first_step")
        return AppliedRemedy(
            step=step,
            action=last["action"],
            plan=last | {"said": self.said, "first": first},
            evidence={name: finding[name] for name in told} | {"numbers": finding["evidence"]},
            verdict=verdict,
            is_kept=is_kept,
        )


def open_findings(
    findings: Sequence[Finding], settled: Collection[tuple[str, str | None]], since: int
) -> list[Finding]:
    """Return the findings that call for a remedy: roots first, then what follows from them.

    Args:
        findings: As the rules put them in order.
        settled: Code and place of what was treated with success.
        since: The step of the last treatment that was kept. What happened up to it is on record for
            good: only what began later counts, and units, which are judged as they are now.
    """
    roots = [each for each in findings if each.severity is not Severity.NOTE]
    every = [*roots, *(more for root in roots for more in root.consequences)]
    return [
        each
        for each in every
        if each.severity is not Severity.NOTE
        and (each.code, each.where) not in settled
        and (not since or each.code in UNIT_SYMPTOMS or (each.first_step or 0) > since)
    ]


def options_for(finding: Finding, patient: Patient, allowed: Collection[Safety]) -> list[Option]:
    """Return what may be done about a finding, in the order in which it is tried.

    An action that fails to plan is passed over.
    """
    actions = [each for each in actions_for(finding.code, allowed) if each.name not in NOT_LIVE]
    planned: dict[str, Plan] = {}
    for action in actions:
        try:
            plan = action.plan(finding, patient)
        except Exception:  # noqa: BLE001, S112
            continue
        if plan is not None:
            planned[action.name] = plan
    back = planned.pop("roll_back", None)
    alone = [Option(finding, (plan,)) for plan in planned.values()]
    if back is None:
        return alone
    again = [Option(finding, (back, planned[name])) for name in AFTER_GOING_BACK if name in planned]
    lost = patient.step - back.number("step", 0)
    is_cheap = lost <= max(FEW_STEPS, MOST_LOST * patient.step)
    is_lost = finding.code in {Code.NONFINITE_GRADIENT, Code.DIVERGING}
    return again + alone if is_cheap or is_lost else alone + again


def may_pass(finding: Finding) -> bool:
    """Whether a training may get over a finding by itself, or has it only if it ends now.

    The rules judge the part that they see as if it were all: symptoms that are no errors, and a
    rate that is held to be too low for no more than that the loss was still falling at the end.
    """
    if finding.severity is Severity.ERROR:
        return False
    return finding.code in SYMPTOMS - RATES or (
        finding.code == Code.RATE_TOO_LOW and "evaluation_fall" in finding.evidence
    )


def is_of_skipped(finding: Finding) -> bool:
    """Whether a finding tells of numbers that were not finite, which skipped updates answer."""
    if finding.code in {Code.NONFINITE_GRADIENT, Code.NONFINITE_INPUT}:
        return True
    return bool({"nonfinite", NOT_A_NUMBER} & finding.evidence.keys())
