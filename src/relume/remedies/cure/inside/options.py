"""What an optimizer was made with, as a survey takes it down."""

from typing import Any

from torch.optim import Optimizer

FAR = 3.0


def options_of(optimizer: Optimizer) -> dict[str, Any]:
    """Return rate, rates of all groups, momentum and weight decay, as plain JSON data.

    Example:
        >>> import torch
        >>> made = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.5, weight_decay=0.01)
        >>> options_of(made)["rate"], options_of(made)["decay"]
        (0.5, 0.01)
    """
    groups = optimizer.param_groups
    rates = [float(group["lr"]) for group in groups if group.get("lr") is not None]
    return {
        "rate": rates[0] if rates else None,
        "rates": rates,
        "momentum": max((float(group.get("momentum") or 0.0) for group in groups), default=0.0),
        "decay": max((float(group.get("weight_decay") or 0.0) for group in groups), default=0.0),
        "is_decoupled": any(group.get("decoupled_weight_decay") for group in groups),
    }


def is_far(rate: float | None, first: float | None) -> bool:
    """Return whether a rate has become more than three times higher or lower.

    Example:
        >>> is_far(0.1, 0.2), is_far(1.0, 0.2)
        (False, True)
    """
    if not rate or not first:
        return rate != first
    return not first / FAR <= rate <= first * FAR
