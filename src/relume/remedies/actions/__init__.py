"""The actions: one file each, what touches least before what touches more."""

from collections.abc import Collection

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Safety
from relume.errors import UnknownNameError
from relume.remedies.action import Action
from relume.remedies.actions import (
    break_symmetry,
    clip_gradients,
    exclude_from_decay,
    initialise,
    insert_norm,
    leak,
    lift_biases,
    lower_rate,
    noisy_gate,
    raise_rate,
    reestimate_batch_norm,
    revive_units,
    roll_back,
    scale_inputs,
    scale_targets,
    skip_nonfinite,
    swap_activation,
    warm_up,
)

ACTIONS: tuple[Action, ...] = (
    roll_back.ACTION,
    skip_nonfinite.ACTION,
    reestimate_batch_norm.ACTION,
    revive_units.ACTION,
    lift_biases.ACTION,
    leak.ACTION,
    noisy_gate.ACTION,
    break_symmetry.ACTION,
    scale_inputs.ACTION,
    scale_targets.ACTION,
    lower_rate.ACTION,
    raise_rate.ACTION,
    warm_up.ACTION,
    clip_gradients.ACTION,
    exclude_from_decay.ACTION,
    initialise.ACTION,
    insert_norm.ACTION,
    swap_activation.ACTION,
)


def get_action(name: str) -> Action:
    """Return the action of that name.

    Raises:
        UnknownNameError: There is none; the nearest names are offered.
    """
    for action in ACTIONS:
        if action.name == name:
            return action
    raise UnknownNameError("action", name, [action.name for action in ACTIONS])


def actions_for(code: Code | str, allowed: Collection[Safety]) -> tuple[Action, ...]:
    """Return the actions that may cure a finding, of those that one may use, in their order.

    Example:
        >>> [each.name for each in actions_for("RLM305", {Safety.CHANGES_TRAINING})]
        ['raise_rate']
    """
    return tuple(each for each in ACTIONS if code in each.answers and each.safety in allowed)
