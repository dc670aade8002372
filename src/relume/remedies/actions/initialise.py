"""Draw the weights anew before the training, by a scheme that keeps the scale of what flows.

What it does
    Draws every linear and convolutional layer by ``scheme``, with the gain of the activation that
    follows it, and sets the biases to zero. ``he`` and the other schemes of ``relume.nn.init`` look
    at shapes only; ``lsuv`` gives every layer unit variance on a batch; ``identity`` starts
    recurrent matrices as the identity. What the optimizers remember of these weights is dropped.

When it helps
    Before the first step: units dead or identical from the start, gradients that vanish or explode
    with depth, a first loss far too high.

Safety
    Changes training.

Numbers of a plan
    ``scheme``; ``seed`` of the draw: torch's own random numbers are left alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.nn.following import LAYERS
from relume.nn.init import identity_recurrent_, initialise_, lsuv_
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan

NAMES = {"he": "He's scheme", "lsuv": "LSUV, on a batch", "identity": "recurrences as the identity"}
_RECURRENT = (nn.RNN, nn.RNNCell)


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a scheme: by shapes, or for recurrent weights the identity; before the first step."""
    if patient.step > 0:
        return None
    kinds: tuple[type[nn.Module], ...] = LAYERS
    scheme = "he"
    if finding.code == Code.RECURRENT_GROWTH:
        kinds, scheme = _RECURRENT, "identity"
    if not any(isinstance(module, kinds) for module in patient.model.modules()):
        return None
    return Plan("initialise", numbers={"scheme": scheme, "seed": 0})


def apply(plan: Plan, patient: Patient) -> None:
    """Draw the weights.

    Raises:
        SettingsError: ``lsuv`` without a sample, or ``identity`` without recurrent weights.
        UnknownNameError: There is no such scheme.
    """
    scheme = str(plan.numbers.get("scheme") or "he")
    seed = int(plan.number("seed", 0))
    if scheme == "identity":
        _start_recurrences(patient, seed)
        return
    layers = [each for each in patient.model.modules() if isinstance(each, LAYERS)]
    generators = _generators(layers, seed)
    for device, generator in generators.items():
        if len(generators) > 1:
            raise SettingsError(f"layers on several devices cannot be drawn at once: {device}")
        if scheme == "lsuv":
            lsuv_(patient.model, _batch(patient), generator=generator)
        else:
            initialise_(patient.model, scheme, generator=generator)
    patient.forget(parameter for layer in layers for parameter in layer.parameters())


def _start_recurrences(patient: Patient, seed: int) -> None:
    found = [each for each in patient.model.modules() if isinstance(each, _RECURRENT)]
    if not found:
        raise SettingsError("the model has no recurrent weights to start as the identity")
    for module in found:
        generator = next(iter(_generators([module], seed).values()))
        identity_recurrent_(module, generator=generator)
    patient.forget(parameter for each in found for parameter in each.parameters())


def _generators(modules: Sequence[nn.Module], seed: int) -> dict[torch.device, torch.Generator]:
    devices = {parameter.device for module in modules for parameter in module.parameters()}
    return {device: torch.Generator(device).manual_seed(seed) for device in devices}


def _batch(patient: Patient) -> Tensor:
    if patient.sample is None or len(patient.sample.args) != 1 or patient.sample.kwargs:
        raise SettingsError("lsuv needs a batch of inputs, one tensor; there is none")
    batch = patient.sample.args[0]
    if not isinstance(batch, Tensor):
        raise SettingsError(f"lsuv needs one tensor as inputs; got {type(batch).__name__}")
    return batch


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    scheme = str(plan.numbers.get("scheme") or "he")
    return f"draw the weights anew: {NAMES.get(scheme, scheme)}"


ACTION = Action(
    name="initialise",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {
            Code.DEAD_AT_START,
            Code.IDENTICAL_UNITS,
            Code.VANISHING_GRADIENT,
            Code.EXPLODING_GRADIENT,
            Code.STARVED_LAYER,
            Code.FIRST_LOSS,
            Code.DEAD_LAYER,
            Code.DEAD_UNITS,
            Code.RECURRENT_GROWTH,
            Code.SELU_SETUP,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
)
