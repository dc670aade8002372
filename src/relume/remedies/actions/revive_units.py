"""Bring dead units back: fresh weights in, zeros out, moments reset; the function stays.

What it does
    Draws the incoming weights of the units anew, with the mean and the deviation of those of the
    live units of the layer, or by He's scheme where fewer than a twentieth live. Each unit is then
    scaled and shifted so that its pre-activations on the sample have mean zero and the spread of
    those of live units (1 without any). A batch norm between is set for the units as for a fresh
    layer, with their statistics on the sample. The weights that read the units become zero: the
    network computes what it computed, and gradients reach the readers first, then the units. Of
    what the optimizer remembers exactly these entries are reset: averages of gradients to zero,
    averages of squares to the mean over the rest of the tensor (with zero the next steps would be
    several times the rate); of a tensor of which every entry is reset, all is forgotten.

When it helps
    Dead units, dead layers. It needs a sample, and units that only layers read: where they are
    added to others (after a residual), nothing alone reads them, and there is no plan.

Safety
    Changes training. On rows where the units are silent the function is unchanged at that instant.

Numbers of a plan
    ``seed`` of the draw: torch's own random numbers are left alone.

References:
    Sokar et al., "The dormant neuron phenomenon in deep reinforcement learning", ICML 2023,
    arXiv:2302.12902, section 4 (incoming weights drawn anew, outgoing ones zero). Dohare et al.,
    "Loss of plasticity in deep continual learning", Nature 632, 2024.
"""

import torch
from torch import Tensor, nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.nn.following import following_activations
from relume.nn.init import draw_
from relume.remedies.action import Action
from relume.remedies.circuit import Circuit, call, circuit_of, tensors_of, undisturbed
from relume.remedies.entries import reset_entries
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.runs.wording import count

FEWEST_LIVE = 0.05
TOLERANCE = 1e-6


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a revival of the units found dead, where nothing but layers reads them."""
    place = patient.find(finding.where)
    if place is None or not finding.units or circuit_of(patient, place.owner) is None:
        return None
    return Plan("revive_units", finding.where, finding.units, {"seed": patient.step})


@torch.no_grad()
def apply(plan: Plan, patient: Patient) -> None:
    """Revive the units.

    Raises:
        SettingsError: Something else reads them, or the network turns out to depend on them.
    """
    place = patient.find(plan.where)
    circuit = None if place is None else circuit_of(patient, place.owner)
    if circuit is None or not plan.units or max(plan.units) >= circuit.units:
        raise SettingsError(f"the units of {plan.where} are not read by layers alone")
    device = circuit.owner.weight.device
    units = torch.tensor(plan.units, device=device)
    _silence(circuit, units, patient)
    before = _output(patient)
    _draw(circuit, units, plan, patient)
    _place(circuit, units, patient)
    after = _output(patient)
    if not _is_same(before, after):
        raise SettingsError(
            f"the network reads the units of {plan.where} in a way that is not seen"
        )


def _silence(circuit: Circuit, units: Tensor, patient: Patient) -> None:
    """Have nothing read the units any more."""
    for reader in circuit.readers:
        mask = reader.mask(units)
        reader.layer.weight[mask] = 0.0
        reset_entries(patient, reader.layer.weight, mask)


def _draw(circuit: Circuit, units: Tensor, plan: Plan, patient: Patient) -> None:
    """Draw the incoming weights, and set bias and batch norm as for a fresh layer."""
    owner = circuit.owner
    weight = owner.weight
    rows = torch.zeros(circuit.units, dtype=torch.bool, device=weight.device)
    rows[units] = True
    generator = torch.Generator(weight.device).manual_seed(int(plan.number("seed", 0)))
    fresh = torch.empty_like(weight)
    live = weight[~rows]
    if len(live) >= FEWEST_LIVE * len(rows) and float(live.std()) > 0:
        fresh.normal_(float(live.mean()), float(live.std()), generator=generator)
    else:
        gains = {each.layer: each.gain for each in following_activations(patient.model)}
        groups = 1 if isinstance(owner, nn.Linear) else owner.groups
        draw_(fresh, "he", gains.get(owner, 1.0), groups=groups, generator=generator)
    weight[rows] = fresh[rows]
    mask = rows.view(-1, *[1] * (weight.ndim - 1)).expand_as(weight)
    reset_entries(patient, weight, mask)
    _set(patient, owner.bias, rows, 0.0)
    if circuit.norm is not None:
        _set(patient, circuit.norm.weight, rows, 1.0)
        _set(patient, circuit.norm.bias, rows, 0.0)


def _set(patient: Patient, vector: Tensor | None, rows: Tensor, value: float) -> None:
    if vector is not None:
        vector[rows] = value
        reset_entries(patient, vector, rows)


def _place(circuit: Circuit, units: Tensor, patient: Patient) -> None:
    """Give the pre-activations of the units mean zero and the spread of live ones on the sample."""
    owner, norm = circuit.owner, circuit.norm
    z = _flat(_pre_activations(owner, patient))
    mean, deviation = z.mean(dim=0), z.std(dim=0)
    others = torch.ones(circuit.units, dtype=torch.bool, device=z.device)
    others[units] = False
    live = deviation[others & (deviation > 0)]
    wanted = live.median() if len(live) >= FEWEST_LIVE * circuit.units else torch.ones_like(mean[0])
    scale = torch.where(deviation > 0, wanted / deviation, 1.0)[units]
    owner.weight[units] *= scale.view(-1, *[1] * (owner.weight.ndim - 1)).to(owner.weight)
    centre = (mean[units] * scale).to(owner.weight)
    if norm is not None and norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean[units] = centre.to(norm.running_mean)
        norm.running_var[units] = (deviation[units] * scale).square().to(norm.running_var)
    elif norm is None and owner.bias is not None:
        owner.bias[units] = -centre


def _pre_activations(owner: nn.Module, patient: Patient) -> Tensor:
    """Return what a layer puts out for the sample, units on its unit axis."""
    seen: list[Tensor] = []
    handle = owner.register_forward_hook(lambda _m, _i, output: seen.append(output.clone()))
    try:
        _output(patient)
    finally:
        handle.remove()
    return seen[0] if isinstance(owner, nn.Linear) else seen[0].movedim(1, -1)


def _flat(z: Tensor) -> Tensor:
    return z.reshape(-1, z.shape[-1]).double()


def _output(patient: Patient) -> object:
    if patient.sample is None:
        raise SettingsError("units are revived with a sample of the inputs; there is none")
    with undisturbed(patient.model):
        return call(patient.model, patient.sample)


def _is_same(before: object, after: object) -> bool:
    pairs = zip(tensors_of(before), tensors_of(after), strict=True)
    return all(torch.allclose(b, a, rtol=0, atol=TOLERANCE, equal_nan=True) for b, a in pairs)


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    return f"revive {count(len(plan.units), 'unit')} of {plan.where}"


ACTION = Action(
    name="revive_units",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {
            Code.DEAD_UNITS,
            Code.DEAD_LAYER,
            Code.DEAD_AT_START,
            Code.DYING_UNITS,
            Code.DEAD_LATENTS,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
    keeps_function=True,
)
