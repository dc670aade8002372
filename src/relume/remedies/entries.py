"""What optimizers remember of single entries of a parameter."""

import torch
from torch import Tensor

from relume.remedies.patient import Patient

_SQUARES = frozenset({"exp_avg_sq", "max_exp_avg_sq", "square_avg", "exp_inf", "sum", "acc_delta"})


@torch.no_grad()
def reset_entries(patient: Patient, parameter: Tensor, mask: Tensor) -> None:
    """Reset what the optimizers remember of some entries of a parameter, and of nothing else.

    Averages of gradients become zero. Averages of squares become the mean over the other entries:
    with zero, which the step count of the others would not correct for, Adam's next steps were
    several times the rate. Where all entries are meant the whole state goes, step count and all.

    Args:
        patient: The training.
        parameter: It.
        mask: Which entries, bool, of its shape.
    """
    if bool(mask.all()):
        patient.forget([parameter])
        return
    for optimizer in patient.optimizers:
        for name, value in optimizer.state.get(parameter, {}).items():
            if not isinstance(value, Tensor) or value.shape != parameter.shape:
                continue
            value[mask] = value[~mask].mean() if name in _SQUARES else 0.0
