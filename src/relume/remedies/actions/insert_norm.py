"""Put a norm layer before an activation.

What it does
    Puts a batch norm, or where batches are small a group norm (one group of all channels), between
    a layer and its activation: in the module's place stands a sequence of the norm and the module.
    The names of other weights stay. Running statistics begin with those of the sample.

When it helps
    Gradients that vanish or explode with depth, units that die or saturate by a drift of their
    inputs.

Safety
    Changes the model.

Numbers of a plan
    ``kind``: ``batch`` or ``group``.

References:
    Ioffe, Szegedy, "Batch normalization", ICML 2015, arXiv:1502.03167. Wu, He, "Group
    normalization", ECCV 2018, arXiv:1803.08494.
"""

import torch
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.nn.following import LAYERS, activation_modules
from relume.observe.passes import leading_rows
from relume.remedies.action import Action
from relume.remedies.layers import inputs_of, norm_between
from relume.remedies.patient import Patient, Place
from relume.remedies.plan import Plan

FEWEST_ROWS = 16
"""Rows of a batch below which its statistics are too noisy for a batch norm."""
_BY_AXES = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a norm before the activation named, or before all, by the size of the batches."""
    if patient.sample is None or not _places(finding.where, patient):
        return None
    rows = leading_rows(patient.sample.args or patient.sample.kwargs) or 0
    kind = "batch" if rows >= FEWEST_ROWS else "group"
    return Plan("insert_norm", finding.where, numbers={"kind": kind})


def _places(where: str | None, patient: Patient) -> list[Place]:
    """Return the activations that stand behind a layer alone and have no norm before them."""
    pairs = activation_modules(patient.model)
    modules = list(pairs.values())
    named = None if where is None else patient.find(where)
    if where is not None and (named is None or named.activation is None):
        return []
    places = [
        Place(activation, owner, activation)
        for owner, activation in pairs.items()
        if isinstance(owner, LAYERS) and modules.count(activation) == 1
    ]
    wanted = [each for each in places if named is None or each.activation is named.activation]
    return [each for each in wanted if norm_between(patient, each) is None]


@torch.no_grad()
def apply(plan: Plan, patient: Patient) -> None:
    """Put the norms in.

    Raises:
        SettingsError: There is no activation to put one before.
    """
    places = _places(plan.where, patient)
    if not places:
        raise SettingsError(f"there is no place for a norm at {plan.where or 'any activation'}")
    for place in places:
        _insert(place, str(plan.numbers.get("kind") or "batch"), patient)


def _insert(place: Place, kind: str, patient: Patient) -> None:
    owner, activation = place.owner, place.activation
    if activation is None or not isinstance(owner, LAYERS):
        raise SettingsError("a norm is put between a layer and the module of its activation")
    z = inputs_of(patient, activation)
    units = int(owner.weight.shape[0])
    if isinstance(owner, nn.Linear) and z.ndim > 2:
        norm: nn.Module = nn.LayerNorm(units)  # units last: neither of the others fits
    elif kind == "group":
        norm = nn.GroupNorm(1, units)
    else:
        norm = _BY_AXES[z.ndim](units)
    norm.to(owner.weight.device, owner.weight.dtype)
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        values = z.movedim(1, -1).reshape(-1, units)
        norm.running_mean.copy_(values.mean(dim=0))  # type: ignore[union-attr]
        norm.running_var.copy_(values.var(dim=0))  # type: ignore[union-attr]
    pair = nn.Sequential(norm, activation)
    modes = activation.training
    for parent, name in patient.parents(activation):
        if parent is not pair:
            parent._modules[name] = pair  # noqa: SLF001
    pair.train(modes)
    patient.adopt(norm.parameters(), beside=owner.weight if owner.bias is None else owner.bias)


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    kind = str(plan.numbers.get("kind") or "batch")
    return f"put a {kind} norm before {plan.where or 'every activation'}"


ACTION = Action(
    name="insert_norm",
    page=__doc__ or "",
    safety=Safety.CHANGES_MODEL,
    answers=frozenset(
        {
            Code.VANISHING_GRADIENT,
            Code.EXPLODING_GRADIENT,
            Code.STARVED_LAYER,
            Code.SATURATED_UNITS,
            Code.DEAD_UNITS,
            Code.DYING_UNITS,
            Code.DEAD_LAYER,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
)
