"""Put another activation in the place of one.

What it does
    Puts the module of ``activation`` in the place of the one that the finding names, or of every
    rectifier and saturating activation where it names none. The weights stay. An activation that is
    called as a function cannot be replaced from outside; then there is no plan.

When it helps
    Dead units, whose gradient a leaky slope brings back; sigmoid and tanh, whose gradients vanish
    with depth and which saturate.

Safety
    Changes the model: it stays another network. ``leak`` gives the ReLU back.

Numbers of a plan
    ``activation``: a name of the catalogue. ``negative_slope``, for a leaky ReLU.

References:
    Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.
"""

from typing import Any

from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.nn.facts import Saturation
from relume.nn.registry import activation_of, build_activation
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Number, Plan
from relume.runs.wording import short

SLOPE = 0.01
_TO_RELU = frozenset({Code.VANISHING_GRADIENT, Code.SATURATED_UNITS, Code.STARVED_LAYER})


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a leaky ReLU for one whose units die, and ReLU for one that saturates."""
    to_relu = finding.code in _TO_RELU
    if not any(_is_target(each, to_relu=to_relu) for each in _modules(finding.where, patient)):
        return None
    if to_relu:
        return Plan("swap_activation", finding.where, numbers={"activation": "relu"})
    numbers: dict[str, Number] = {"activation": "leaky_relu", "negative_slope": SLOPE}
    return Plan("swap_activation", finding.where, numbers=numbers)


def _modules(where: str | None, patient: Patient) -> list[nn.Module]:
    """Return the modules meant: the activation of that name, or all."""
    if where is None:
        return list(patient.model.modules())
    place = patient.find(where)
    return [place.activation] if place is not None and place.activation is not None else []


def _is_target(module: nn.Module, *, to_relu: bool) -> bool:
    entry = activation_of(module)
    if entry is None or entry.inputs_per_output != 1:
        return False
    return entry.facts.saturates is Saturation.BOTH if to_relu else entry.facts.can_die


def apply(plan: Plan, patient: Patient) -> None:
    """Replace the modules, and have parameters of the new ones trained.

    Raises:
        SettingsError: There is no module to replace.
        UnknownNameError: There is no such activation.
    """
    name = str(plan.numbers.get("activation") or "leaky_relu")
    parameters: dict[str, Any] = {
        k: v for k, v in plan.numbers.items() if k != "activation" and v is not None
    }
    modules = _modules(plan.where, patient)
    if plan.where is None:
        modules = [each for each in modules if _is_target(each, to_relu=name == "relu")]
    if not modules:
        raise SettingsError(f"there is no module of an activation at {plan.where or 'any place'}")
    for module in modules:
        other = build_activation(name, **parameters)
        reference = next(patient.model.parameters(), None)
        if reference is not None:
            other.to(reference.device, reference.dtype)
        patient.replace(module, other)
        patient.adopt(other.parameters())


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    name = str(plan.numbers.get("activation") or "leaky_relu").replace("_", " ")
    slope = plan.numbers.get("negative_slope")
    at = f" with slope {short(float(slope))} below zero" if slope is not None else ""
    return f"use {name}{at} at {plan.where or 'every activation'}"


ACTION = Action(
    name="swap_activation",
    page=__doc__ or "",
    safety=Safety.CHANGES_MODEL,
    answers=frozenset(
        {
            Code.DEAD_UNITS,
            Code.DYING_UNITS,
            Code.DEAD_LAYER,
            Code.DEAD_AT_START,
            Code.DEAD_LATENTS,
            *_TO_RELU,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
)
