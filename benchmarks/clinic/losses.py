"""The losses of the clinic: right ones in three hands, and wrong ones as people write them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.clinic.data import Task
from benchmarks.clinic.recipe import Recipe

Loss = Callable[[Any, Tensor], Tensor]

TINY = 1e-6


def _cross_entropy_by_hand(out: Tensor, y: Tensor) -> Tensor:
    return -F.log_softmax(out, dim=1)[torch.arange(len(y)), y].mean()


def _binary_by_hand(out: Tensor, y: Tensor) -> Tensor:
    return (F.softplus(out) - out * y).mean()


def _squared_by_hand(out: Tensor, y: Tensor) -> Tensor:
    return ((out - y) ** 2).mean()


def _cross_entropy(out: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(out, y)


def _binary(out: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(out, y)


def _squared(out: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(out, y)


STANDARD: Mapping[str, tuple[Loss, Loss, Loss]] = {
    "classes": (_cross_entropy, nn.CrossEntropyLoss(), _cross_entropy_by_hand),
    "binary": (_binary, nn.BCEWithLogitsLoss(), _binary_by_hand),
    "amounts": (_squared, nn.MSELoss(), _squared_by_hand),
    "rebuilt": (_squared, nn.MSELoss(), _squared_by_hand),
    "generated": (_binary,) * 3,
}
"""By function, by module, by hand; ``binary`` by hand is softplus(z) - zy.

Functions are looked up when they are called, as in a script that writes ``F.mse_loss(...)``.
"""


def _one_hot(out: Tensor, y: Tensor) -> Tensor:
    return F.one_hot(y, out.shape[1]).float()


def _clamped_probabilities(out: Tensor, y: Tensor) -> Tensor:
    p = out.clamp(TINY, 1 - TINY)
    if y.is_floating_point():
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
    return -(_one_hot(out, y) * torch.log(p)).sum(1).mean()


def _log_of_the_output(out: Tensor, y: Tensor) -> Tensor:
    if y.is_floating_point():
        both = y * torch.log(out.clamp(min=TINY)) + (1 - y) * torch.log((1 - out).clamp(min=TINY))
        return -both.mean()
    return F.nll_loss(torch.log(out.clamp(min=TINY)), y)


def _softmax_by_hand(out: Tensor, y: Tensor) -> Tensor:
    powers = torch.exp(out)
    return -torch.log(powers[torch.arange(len(y)), y] / powers.sum(1)).mean()


def _squared_on_numbers(out: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(out.squeeze(1), y.float())


WRONG: Mapping[str, Loss] = {
    "probabilities": lambda out, y: F.binary_cross_entropy(out, y),
    "probabilities, clamped": _clamped_probabilities,
    "log of the output": _log_of_the_output,
    "nll": lambda out, y: F.nll_loss(out, y),
    "cross-entropy of one": _cross_entropy,
    "softmax in the loop": lambda out, y: F.cross_entropy(F.softmax(out, dim=1), y),
    "sigmoid in the loop": lambda out, y: F.binary_cross_entropy_with_logits(torch.sigmoid(out), y),
    "squared error on one-hot": lambda out, y: F.mse_loss(out, _one_hot(out, y)),
    "squared error on numbers": _squared_on_numbers,
    "broadcast": lambda out, y: F.mse_loss(out, y.squeeze(1)),
    "broadcast by hand": lambda out, y: ((out - y.squeeze(1)) ** 2).mean(),
    "softmax by hand": _softmax_by_hand,
    "smoothed": lambda out, y: F.cross_entropy(out, y, label_smoothing=0.1),
    "huber": lambda out, y: F.smooth_l1_loss(out, y),
}
"""Those that a recipe asks for by name; some are right with the head that goes with them."""


def loss_of(task: Task, recipe: Recipe, model: nn.Module, hand: int) -> Loss:
    """Return the loss of a recipe.

    Args:
        task: What is learned.
        recipe: Names the loss.
        model: Whose weights a penalty reads.
        hand: 0 by function, 1 by module, 2 by hand, where the loss is the standard one.
    """
    if recipe.loss in WRONG:
        return WRONG[recipe.loss]
    standard = STANDARD[task.kind][hand]
    special: Mapping[str, Callable[[], Loss]] = {
        "standard": lambda: standard,
        "negative": lambda: lambda out, y: -standard(out, y),
        "root penalty": lambda: _with_root_penalty(standard, model),
        "weighted": lambda: _weighted(task),
    }
    if task.kind == "rebuilt":
        return _rebuilding(special[recipe.loss](), float(dict(recipe.options).get("beta", 1.0)))
    return special[recipe.loss]()


def _with_root_penalty(standard: Loss, model: nn.Module) -> Loss:
    def loss(out: Tensor, y: Tensor) -> Tensor:
        roots = [torch.sqrt((weight**2).sum()) for weight in model.parameters()]
        return standard(out, y) + 1e-4 * torch.stack(roots).sum()

    return loss


def _weighted(task: Task) -> Loss:
    counts = torch.bincount(task.train.y, minlength=task.outputs)
    weights = len(task.train.y) / (task.outputs * counts.clamp(min=1))
    return nn.CrossEntropyLoss(weight=weights)


def _rebuilding(standard: Loss, beta: float) -> Loss:
    def loss(out: Any, y: Tensor) -> Tensor:
        if not isinstance(out, tuple):
            return standard(out, y)
        rebuilt, mean, log_variance = out
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
        return standard(rebuilt, y) + 1e-3 * beta * divergence

    return loss
