"""What could be tried about the findings of a training: at most three treatments, and a restart."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.remedies.action import Action
from relume.remedies.actions import get_action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan

MOST = 3
RESTART = "restart"
"""Name of the plan that begins again from the start; whoever has the weights for it applies it.

Its numbers: ``seed`` of the draw; ``usual_init``: whether the weights are drawn by the usual scheme
of the network, whatever scheme was chosen, because the start may be at fault.
"""

PREFERRED = (
    "break_symmetry",
    "revive_units",
    "roll_back",
    "reestimate_batch_norm",
    "skip_nonfinite",
    "lower_rate",
    "clip_gradients",
    "lift_biases",
    "raise_rate",
)
"""The actions that leave the architecture and plain ReLU as they are, in the order of trial."""

SCALING = ("scale_inputs", "scale_targets")
"""What is folded into the weights when the training is over: only for who hands them over then.

They are tried from the start: the weights of before were learned from other numbers.
"""

UNSCALED = frozenset({Code.UNSCALED_INPUT, Code.UNSCALED_TARGET})
"""Codes that say that there is something to scale."""

FAST = get_action("lower_rate").answers - {Code.NOT_DECREASING}
"""Codes that a rate may bring about that is too high for fresh weights, too."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """Plans that are applied together.

    Args:
        plans: In the order in which they are applied.
    """

    plans: tuple[Plan, ...]

    @property
    def name(self) -> str:
        """The names of its actions."""
        return " + ".join(dict.fromkeys(plan.action for plan in self.plans))

    @property
    def description(self) -> str:
        """What it does, in the imperative."""
        return " and ".join(dict.fromkeys(_described(plan) for plan in self.plans))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could be tried, and about what.

    Args:
        finding: The gravest one that something can be tried about.
        codes: Of all of these.
        treatments: The last one is the restart.
    """

    finding: Finding
    codes: frozenset[str]
    treatments: tuple[Treatment, ...]


def propose(
    findings: Iterable[Finding],
    patient: Patient,
    *,
    tried: Collection[str] = (),
    usual_factor: float = 1.0,
    actions: Sequence[str] = PREFERRED,
) -> Proposal | None:
    """Return what could be tried; None where no warning or error calls for an action.

    Where an action lowers the rate, every other treatment lowers it too: at the same rate the same
    would happen again. So does the restart where the rate or deaths were found, or where the rate
    is above the usual one. Weights that are not finite are rolled back first.

    Args:
        findings: With their consequences.
        patient: The training.
        tried: Codes about which something has been tried.
        usual_factor: From the present rate to one that usually trains well: a rate is lowered at
            least so far, and raised at most so far.
        actions: Names of the actions to choose from, in the order of trial; ``PREFERRED``, and
            ``SCALING`` where the training can fold it.
    """
    grave = [each for each in _grave(findings) if each.code not in tried]
    found = {name: _plans(name, grave, patient) for name in actions}
    if usual_factor <= 1:
        found["raise_rate"] = []
    answered = {finding.code for pairs in found.values() for _, finding in pairs}
    if not answered:
        return None
    plans = {name: [plan for plan, _ in pairs] for name, pairs in found.items()}
    lowered = _at_rate(plans["lower_rate"], usual_factor)
    raised = () if lowered else _at_rate(plans["raise_rate"], usual_factor)
    plans |= {"lower_rate": [], "raise_rate": list(raised)}
    usual_init = not answered.isdisjoint(get_action("initialise").answers)
    is_fast = usual_factor < 1 or not answered.isdisjoint(FAST)
    fresh = Plan(RESTART, numbers={"seed": patient.step, "usual_init": usual_init})
    scaled = [plan for name in SCALING for plan in plans.pop(name, [])[:1]]
    first = [Treatment((fresh, *scaled))] if scaled else []
    return Proposal(
        next(each for each in grave if each.code in answered),
        frozenset(answered),
        (
            *[*first, *_treatments(plans, lowered, patient)][:MOST],
            Treatment((fresh, *(lowered if is_fast else raised))),
        ),
    )


def _grave(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        if finding.severity != Severity.NOTE:
            yield finding
        yield from _grave(finding.consequences)


def _plans(name: str, findings: Sequence[Finding], patient: Patient) -> list[tuple[Plan, Finding]]:
    """Return the plans of an action, each with its finding."""
    action = get_action(name)
    answers = action.answers & UNSCALED if name in SCALING else action.answers
    found = []
    for finding in findings:
        plan = _planned(action, finding, patient) if finding.code in answers else None
        if plan is not None:
            found.append((plan, finding))
    return found


def _planned(action: Action, finding: Finding, patient: Patient) -> Plan | None:
    """Return a plan; None where planning fails: a finding may name what the model has not."""
    try:
        return action.plan(finding, patient)
    except Exception:  # noqa: BLE001
        return None


def _at_rate(plans: Sequence[Plan], usual_factor: float) -> tuple[Plan, ...]:
    """Return the one plan that lowers the rate most, or raises it least, if there is any."""
    if not plans:
        return ()
    least = min(plans, key=lambda plan: plan.number("factor", 1.0))
    factor = min(least.number("factor", 1.0), usual_factor)
    return (replace(least, numbers={"factor": factor}),)


def _one_a_place(plans: Iterable[Plan]) -> list[Plan]:
    """Return the first plan for each place; breaking a symmetry treats all places at once."""
    by_place: dict[str | None, Plan] = {}
    for plan in plans:
        by_place.setdefault(None if plan.action == "break_symmetry" else plan.where, plan)
    return list(by_place.values())


def _treatments(
    plans: dict[str, list[Plan]], lowered: tuple[Plan, ...], patient: Patient
) -> list[Treatment]:
    """Return the treatments without the restart, in the order of trial."""
    back = _one_a_place(plans["roll_back"])
    is_finite = all(bool(torch.isfinite(each).all()) for each in patient.parameters())
    if not is_finite and not back:
        return []  # only fresh weights can help
    before = [] if is_finite else back
    treatments = []
    for name, found in plans.items():
        own = list(lowered) if name == "lower_rate" else _one_a_place(found)
        if name == "roll_back" and not (is_finite and lowered):
            continue  # alone it leads to the same end again, and broken weights need it anyway
        if own:
            more = () if name == "lower_rate" else lowered
            treatments.append(Treatment((*before, *own, *more)))
    return treatments


def _described(plan: Plan) -> str:
    if plan.action == RESTART:
        return "begin again from the start"
    return get_action(plan.action).describe(plan)
