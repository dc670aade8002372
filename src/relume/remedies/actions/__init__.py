"""The actions: one file each."""

from collections.abc import Collection

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Safety
from relume.errors import UnknownNameError
from relume.remedies.action import Action
from relume.remedies.actions import (
    clip_gradients,
    initialise,
    lower_rate,
    raise_rate,
    swap_activation,
    warm_up,
)

ACTIONS: tuple[Action, ...] = (
    lower_rate.ACTION,
    raise_rate.ACTION,
    warm_up.ACTION,
    clip_gradients.ACTION,
    initialise.ACTION,
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
