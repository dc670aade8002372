"""How good a trained network is on rows that no script saw, whatever it was trained with."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.clinic.data import Rows, Task
from benchmarks.clinic.recipe import Recipe

WORST = -1.0
"""Below this no score of amounts goes: far beyond saying nothing at all, which is 0."""


def takes_probabilities(recipe: Recipe) -> bool:
    """Return whether a person would read the output of one unit as a probability."""
    head = dict(recipe.options).get("head", "none")
    return head in {"sigmoid", "softmax"} or recipe.loss in {
        "probabilities, clamped",
        "log of the output",
    }


def score(kind: str, out: Any, y: Tensor, *, is_probability: bool = False) -> float:
    """Return a score, greater is better: accuracy, R2, or the share of variance rebuilt.

    Rows with an output that is not finite are wrong; such amounts score ``WORST``.

    Example:
        >>> score("classes", torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 0]))
        0.5
    """
    if isinstance(out, tuple):
        out = out[0]
    if kind in {"amounts", "rebuilt"}:
        return _explained(out, y)
    finite = torch.isfinite(out).all(1)
    if kind == "binary":
        chosen = (out > (0.5 if is_probability else 0.0)).float()
        right = (chosen == y).all(1)
    elif out.shape[1] == 1:
        right = out[:, 0].round() == y
    else:
        right = out.argmax(1) == y
    return float((right & finite).double().mean())


def _explained(out: Tensor, y: Tensor) -> float:
    residual = ((out.double() - y.double()) ** 2).mean()
    variance = ((y.double() - y.double().mean(0)) ** 2).mean()
    found = 1 - residual / variance
    return max(WORST, float(found)) if torch.isfinite(found) else WORST


@torch.no_grad()
def final_score(model: nn.Module, task: Task, recipe: Recipe, seed: int) -> float:
    """Return the score of a trained network on the held-out rows, in eval mode."""
    model.eval()
    if task.kind == "generated":
        draw = torch.Generator().manual_seed(seed)
        made = model.generator(torch.randn(len(task.test.x), model.noise, generator=draw))
        return likeness(made, task.test)
    return score(
        task.kind, model(task.test.x), task.test.y, is_probability=takes_probabilities(recipe)
    )


def likeness(made: Tensor, real: Rows) -> float:
    """Return how like points are: 1 - sliced Wasserstein distance over the real ones' spread.

    Points all at the real mean score 0. Over 32 fixed directions of the plane (Bonneel et al.
    2015, "Sliced and Radon Wasserstein barycenters").
    """
    angles = torch.arange(32) * torch.pi / 32
    directions = torch.stack([angles.cos(), angles.sin()])
    ours, theirs = ((points @ directions).sort(0).values for points in (made, real.x))
    distance = (ours - theirs).abs().mean()
    spread = (theirs - theirs.mean(0)).abs().mean()
    found = float(1 - distance / spread)
    return max(WORST, found) if torch.isfinite(distance) else WORST
