"""Running means of the weights, which vary less than the weights themselves."""

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged_model(model: nn.Module, steps: float) -> AveragedModel:
    """Return a copy of a model that follows it with exponential means of weights and buffers.

    After step t the mean moves towards the weights by the larger of 1 / ``steps`` and 9 / (10 + t),
    so that the first weights are soon forgotten.

    References:
        Polyak & Juditsky (1992), "Acceleration of stochastic approximation by averaging", SIAM J.
        Control Optim. 30(4); with exponential weights as in torch.optim.swa_utils.
    """

    def follow(means: Any, values: Any, updates: Tensor | int) -> None:
        share = max(1.0 / max(1.0, steps), 9.0 / (10.0 + int(updates)))
        for mean, value in zip(means, values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
