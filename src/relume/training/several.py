"""Several targets on one trunk: which outputs belong to which target, and their joint objective."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relume.training.data.prepared import Part, Prepared
from relume.training.data.target import Target
from relume.training.data.targets import by_target
from relume.training.data.task import Task
from relume.training.loop import Objective
from relume.training.objective import (
    Classification,
    Regression,
    class_weight_tensor,
    in_own_unit,
    standardised,
)
from relume.training.settings import FitSettings


@dataclass(slots=True, eq=False)
class Several:
    """The mean of one objective a target, so that each weighs alike whatever its unit.

    ``output`` holds the columns of each head one after the other, ``y`` one column a target; a
    class is its index as a float, which is exact.

    Args:
        objectives: One a target, in order.
        columns: Which columns of the output are its head's.

    Attributes:
        present: Number of the target whose loss is being computed; ``None`` otherwise.
    """

    objectives: tuple[Objective, ...]
    columns: tuple[slice, ...]
    present: int | None = None

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "mean score"

    def train_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean over targets of their losses."""
        losses = [one.train_loss(a, truth) for one, a, truth in self._heads(output, y)]
        return torch.stack(losses).mean()

    def plain_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean over targets of the plain losses of each row."""
        losses = [one.plain_loss(a, truth) for one, a, truth in self._heads(output, y)]
        return torch.stack(losses).mean(dim=0)

    def score(self, output: Tensor, y: Tensor) -> float:
        """Return the mean over targets of their scores."""
        return float(np.mean([one.score(a, truth) for one, a, truth in self._heads(output, y)]))

    def _heads(self, output: Tensor, y: Tensor) -> Iterator[tuple[Objective, Tensor, Tensor]]:
        each = zip(self.objectives, self.columns, y.T, strict=True)
        for self.present, (one, columns, truth) in enumerate(each):
            is_classes = isinstance(one, Classification)
            yield one, output[:, columns], truth.long() if is_classes else truth
        self.present = None


def head_columns(targets: Sequence[Target]) -> tuple[slice, ...]:
    """Return which columns of a network's joined outputs belong to each target.

    Example:
        >>> head_columns([Target("label", ("a", "b", "c")), Target("angle", None)])
        (slice(0, 3, None), slice(3, 4, None))
    """
    stops = np.cumsum([head_width(target) for target in targets]).tolist()
    return tuple(slice(a, b) for a, b in zip([0, *stops], stops, strict=False))


def head_width(target: Target) -> int:
    """Return how many outputs a target needs: one a class, or one for an amount."""
    return len(target.classes) if target.classes else 1


def described_targets(targets: Sequence[Target]) -> dict[str, Any]:
    """Return task, name and classes as a run file keeps them; lists where there are several."""
    tasks, names = [str(target.task) for target in targets], [target.name for target in targets]
    if not targets:
        return {"task": "reconstruction", "target": None, "classes": None}
    if len(targets) == 1:
        classes = targets[0].classes
        return {
            "task": tasks[0],
            "target": names[0],
            "classes": list(classes) if classes else None,
        }
    labels = {target.name: list(target.classes) for target in targets if target.classes}
    return {"task": tasks, "target": names, "classes": labels or None}


def target_parts(part: Part, targets: Sequence[Target]) -> tuple[Part, ...]:
    """Return a part once for each target, as if that were the only one."""
    if len(targets) == 1:
        return (part,)
    return tuple(
        replace(part, y=column.astype(np.int64 if target.classes else np.float32))
        for target, column in zip(targets, by_target(part.y), strict=True)
    )


def predicted_values(target: Target, output: NDArray[np.float32]) -> NDArray[np.generic]:
    """Return the most likely class indices, or the amounts in their own unit, of one head."""
    if target.task is Task.CLASSIFICATION:
        return np.asarray(output.argmax(axis=1))
    return in_own_unit(output[:, 0], target)


def target_objectives(
    data: Prepared, settings: FitSettings, device: torch.device
) -> tuple[Objective, ...]:
    """Return what is minimised for each target."""
    targets = data.preprocessing.targets
    return tuple(
        _objective(target, part.y, settings, device)
        for target, part in zip(targets, target_parts(data.train, targets), strict=True)
    )


def target_values(y: NDArray[np.generic], targets: Sequence[Target]) -> NDArray[np.generic]:
    """Return what the objective compares outputs with: class indices, and standardised amounts.

    Args:
        y: As a ``Part`` has it.
        targets: What it holds.

    Returns:
        (rows,) for one target, int64 or float32; for several (rows, targets), float32.
    """
    columns = [
        column if target.task is Task.CLASSIFICATION else standardised(column, target)
        for target, column in zip(targets, by_target(y), strict=True)
    ]
    if len(columns) == 1:
        return columns[0]
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def _objective(
    target: Target, y: NDArray[np.generic], settings: FitSettings, device: torch.device
) -> Objective:
    if target.task is Task.REGRESSION:
        return Regression()
    weights = class_weight_tensor(settings.class_weights, y, device)
    metric = "accuracy" if weights is None else "balanced accuracy"
    return Classification(metric, settings.label_smoothing, weights)
