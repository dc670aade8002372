"""Take parameters out of weight decay that it does no good: biases, norms, learnable slopes.

What it does
    Moves every parameter with fewer than two axes out of groups with weight decay into a group
    beside it that has the same settings and no decay. Schedules follow: their values for the group
    hold for the new one. What the optimizers remember stays.

When it helps
    Slopes of parametric rectifiers that decay towards ReLU, gains of norms that shrink.

Safety
    Changes training.

Numbers of a plan
    None.

References:
    He et al., "Delving deep into rectifiers", arXiv:1502.01852, section 2.1: no decay on slopes.
"""

from typing import Any

import torch
from torch import Tensor

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.snapshot import lists_of

_ONE_A_GROUP = frozenset(
    {"base_lrs", "_last_lr", "lr_lambdas", "min_lrs", "max_lrs", "base_momentums", "max_momentums"}
)
"""What schedules keep for each group."""


def plan(finding: Finding, patient: Patient) -> Plan | None:  # noqa: ARG001
    """Return the exclusion, where such parameters decay."""
    return Plan("exclude_from_decay") if _decayed(patient) else None


def _decayed(patient: Patient) -> list[tuple[torch.optim.Optimizer, dict[str, Any]]]:
    return [
        (optimizer, group)
        for optimizer in patient.optimizers
        for group in optimizer.param_groups
        if group.get("weight_decay") and any(each.ndim < 2 for each in group["params"])
    ]


def apply(plan: Plan, patient: Patient) -> None:  # noqa: ARG001
    """Move the parameters.

    Raises:
        SettingsError: None of them decays.
    """
    found = _decayed(patient)
    if not found:
        raise SettingsError("no bias, norm or slope is under weight decay")
    for optimizer, group in found:
        vectors = [each for each in group["params"] if each.ndim < 2]
        matrices = [each for each in group["params"] if each.ndim >= 2]
        if not matrices:
            group["weight_decay"] = 0.0
            continue
        _split(patient, optimizer, group, vectors)
        group["params"][:] = matrices


def _split(
    patient: Patient,
    optimizer: torch.optim.Optimizer,
    group: dict[str, Any],
    vectors: list[Tensor],
) -> None:
    groups = optimizer.param_groups
    index = next(place for place, each in enumerate(groups) if each is group)
    before = len(groups)
    settings = {
        name: value.clone() if isinstance(value, Tensor) else value for name, value in group.items()
    }
    groups.append({**settings, "params": vectors, "weight_decay": 0.0})
    for scheduler in patient.schedulers:
        if getattr(scheduler, "optimizer", optimizer) is optimizer:
            for name, values in lists_of(scheduler):
                if name in _ONE_A_GROUP and len(values) == before:
                    values.append(values[index])


def describe(plan: Plan) -> str:  # noqa: ARG001
    """Return what the plan does."""
    return "take biases, norms and slopes out of weight decay"


ACTION = Action(
    name="exclude_from_decay",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset({Code.DECAYED_SLOPES}),
    plan=plan,
    apply=apply,
    describe=describe,
    keeps_function=True,
)
