"""Losses by hand as they are looked at, and when those of evaluations are looked for."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from relume.observe.loss_by_hand import Written
from relume.observe.loss_facts import LossTotals
from relume.observe.loss_values import Look, see_labels
from relume.observe.losses import Form, Given
from relume.observe.naming import Names
from relume.runs.facts import Phase

MOST_BATCHES = 20
"""Losses of an evaluation that are looked at."""
MOST_PASSES, SPACING = 20, 0.1
"""Evaluations that are looked at wherever they come; later ones lie this share of the steps apart,
so that the last one that is known is not of long ago."""
MOST_KNOWN = 8


class WrittenLosses:
    """What is known of the losses by hand that are learned from.

    Args:
        steps: Returns how many steps have ended.

    Attributes:
        looks: Losses of the present evaluation that were looked at.
    """

    def __init__(self, steps: Callable[[], int]) -> None:
        self.looks = 0
        self._steps = steps
        self._known: set[tuple[Form, float | None, tuple[str, ...]]] = set()
        self._step = -1
        self._passes = 0

    def note(self, written: Written) -> None:
        """Take note of one that is learned from."""
        if written.head is not None and len(self._known) < MOST_KNOWN:
            function = written.function
            self._known.add((function.form, function.threshold, written.operations))

    def is_wanted(self) -> bool:
        """Whether the losses of an evaluation would be looked at, that is under way or begins."""
        if not self._known:
            return False
        step = self._steps()
        if step != self._step:
            if self._passes >= MOST_PASSES and step - self._step < SPACING * step:
                return False
            self._step, self.looks = step, 0
            self._passes += 1
        return self.looks < MOST_BATCHES

    def is_same(self, written: Written) -> bool:
        """Whether a loss is computed by the operations of one that is learned from.

        Those inside the model are not among its own: they lie together, after the first one. Both
        must be means, since sums depend on how many rows there are.
        """
        function, mine = written.function, written.operations
        if written.head is None or "mean" not in mine:
            return False
        return any(
            (form, threshold) == (function.form, function.threshold)
            and _lacks_a_stretch(mine, whole)
            for form, threshold, whole in self._known
        )


def _lacks_a_stretch(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    """Whether a part is the whole but for a stretch, which is not its beginning.

    Example:
        >>> _lacks_a_stretch(("mean", "sub"), ("mean", "sub", "tanh"))
        True
        >>> _lacks_a_stretch(("mean", "sub"), ("sqrt", "mean", "sub"))
        False
    """
    missing = len(whole) - len(part)
    return missing >= 0 and any(
        part == whole[:at] + whole[at + missing :] for at in range(1, len(part) + 1)
    )


def seed_of(written: Written, place: str | None, names: Names) -> LossTotals:
    """Return what is known of a loss by hand before its numbers."""
    function, target = written.function, written.target
    shape = written.prediction_shape or ()
    width = shape[-1] if len(shape) > 1 else int(len(shape) == 1)
    if function.form is Form.ELEMENTS and len(shape) == 1:
        width = 1
    seed = LossTotals(
        function, Phase.TRAINING, place, 0, shape,
        tuple(target.shape) if target is not None else (), width,
    )  # fmt: skip
    seed.head = written.head
    seed.operations = written.operations if function.name == "by hand" else ()
    seed.head_layer = names.of_weights(written.weights)
    seed.is_broadcast = written.is_broadcast
    seed.is_index = function.form is Form.CLASSES and target is not None
    return seed


def given_by(written: Written) -> Given | None:
    """Return what a loss by hand compares; None where its prediction is not known."""
    if written.prediction is None or not written.prediction.numel():
        return None
    return Given(written.prediction, _fitting(written))


def _fitting(written: Written) -> Tensor | None:
    """Return the target of a loss by hand, if it has a number for each row."""
    target, prediction = written.target, written.prediction
    if target is None or prediction is None or written.function.form is not Form.CLASSES:
        return target
    is_index = prediction.ndim == 2 and target.shape == prediction.shape[:1]
    return target if is_index else None


def look_at_loss(loss: Tensor, seed: LossTotals, target: Tensor | None) -> Look:
    """Return a look where the prediction is not known: at the loss, and at an index of classes."""
    rows = seed.prediction_shape[0] if seed.prediction_shape else 1
    value: Any = loss.detach().clone().reshape(())
    value = value.item() if value.is_cpu else value
    look = Look(rows, value, {"loss": value * rows, "loss_rows": float(rows)})
    if seed.is_index and target is not None:
        see_labels(look, target, seed.width)
    return look
