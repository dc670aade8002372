"""Raise the biases of silent units until they fire on a share of the rows.

What it does
    Adds to the bias of each unit, or to that of the batch norm before its activation, what it takes
    for the unit to fire on ``share`` of the positions of the sample. Units that fire as often
    already are left as they are, and so are all weights.

When it helps
    Where a few units went silent by a drift of their bias and their weights are still worth
    something; gentler than a revival.

Safety
    Changes training. The function changes: what was silent is heard.

Numbers of a plan
    ``share``: of the positions of the sample, in (0, 1).

References:
    Goodfellow, Bengio, Courville, "Deep Learning", MIT Press 2016, section 6.3.1 (small positive
    biases).
"""

import torch

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.nn.following import LAYERS
from relume.remedies.action import Action
from relume.remedies.entries import reset_entries
from relume.remedies.layers import inputs_of, norm_between, outputs_of, units_last
from relume.remedies.patient import Patient, Place
from relume.remedies.plan import Plan
from relume.runs.wording import count

SHARE = 0.1
BEYOND = 1e-3
"""Deviations above zero that the least of the firing positions gets."""


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a lift of the units found silent, where they have a bias and there is a sample."""
    place = patient.find(finding.where)
    if place is None or not finding.units or patient.sample is None:
        return None
    if not isinstance(place.owner, LAYERS) or _bias(patient, place) is None:
        return None
    return Plan("lift_biases", finding.where, finding.units, {"share": SHARE})


def _bias(patient: Patient, place: Place) -> torch.Tensor | None:
    norm = norm_between(patient, place)
    return getattr(norm or place.owner, "bias", None)


@torch.no_grad()
def apply(plan: Plan, patient: Patient) -> None:
    """Lift the biases.

    Raises:
        SettingsError: The layer has no bias, or the sample does not come by it.
    """
    place = patient.find(plan.where)
    bias = None if place is None else _bias(patient, place)
    if place is None or place.owner is None or bias is None:
        raise SettingsError(f"there is no bias to lift at {plan.where}")
    if place.activation is not None:
        values = inputs_of(patient, place.activation)
    else:
        values = outputs_of(patient, place.owner)
    z = units_last(values, place.owner)
    rows = torch.zeros(len(bias), dtype=torch.bool, device=bias.device)
    rows[list(plan.units)] = True
    level = z.quantile(1 - plan.number("share", SHARE), dim=0, interpolation="lower")
    missing = (BEYOND * z.std(dim=0) - level).clamp(min=0).to(bias)
    bias[rows] += missing[rows]
    reset_entries(patient, bias, rows)


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    share = plan.number("share", SHARE)
    units = count(len(plan.units), "unit")
    return f"lift the biases of {units} of {plan.where} until each fires on {share:.0%} of a batch"


ACTION = Action(
    name="lift_biases",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {Code.DEAD_UNITS, Code.DYING_UNITS, Code.DEAD_AT_START, Code.DEAD_LAYER, Code.DEAD_LATENTS}
    ),
    plan=plan,
    apply=apply,
    describe=describe,
)
