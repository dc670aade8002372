"""Rules rebuilt from DeepDiagnosis (Wardat et al. 2022), a callback for Keras.

Checked at the end of each epoch, on one training batch and the gradients of the last one. It stops
at its first symptom; here it goes on, so that it has more than one to be right with. A linear head
before cross-entropy, which it calls out of range, is right in torch and is not.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

from torch import Tensor, nn

from benchmarks.clinic.rival_watching import (
    Call,
    Look,
    Watcher,
    gradients_of,
    look_inside,
    loss_kind,
)

CHECKS = 5
ACCURACY_CHECKS = 20
RANGES = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "elu": (-1.0, math.inf),
}


def is_dead(not_positive: int, outputs: int, threshold: float = 0.7) -> bool:
    """At least .7 of the outputs of a ReLU are not above zero."""
    return not_positive / outputs >= threshold


def is_saturated(inputs: Sequence[float], bound: float = 5.0, share: float = 0.5) -> bool:
    """More than half of what a sigmoid or tanh takes lies at or beyond ±5."""
    return sum(abs(value) >= bound for value in inputs) / len(inputs) > share


def is_vanishing(mean_absolute: float, threshold: float = 1e-7) -> bool:
    """The mean absolute gradient of a weight is below the threshold."""
    return mean_absolute < threshold


def is_numerical(mean: float) -> bool:
    """A mean is not finite, or exactly zero."""
    return not math.isfinite(mean) or mean == 0


def is_constant(values: Sequence[float], count: int) -> bool:
    """The last values, as many as are checked together, have their mean at their maximum."""
    late = values[-count:]
    return len(values) >= count and sum(late) / count == max(late)


def is_out_of_range(
    head: str, targets: tuple[float, float], outputs: tuple[float, float], *, are_classes: bool
) -> bool:
    """The targets go beyond the head, or the outputs ten times as far apart as the targets.

    Args:
        head: The last operation.
        targets: Least and greatest.
        outputs: Least and greatest.
        are_classes: Whether they are compared by cross-entropy.
    """
    if are_classes:
        return head in {"relu", "relu_"}
    if head == "linear":
        return abs(outputs[1] - outputs[0]) > 10 * abs(targets[1] - targets[0])
    low, high = RANGES.get(head.rstrip("_"), (-math.inf, math.inf))
    return targets[0] < low or targets[1] > high


def _ends(values: Tensor) -> tuple[float, float]:
    return float(values.min()), float(values.max())


class Deepdiagnosis(Watcher):
    """Gathers what the rules read.

    Args:
        epochs: Of the whole training.
        are_classes: Whether there is an accuracy.
    """

    def __init__(self, epochs: int, *, are_classes: bool) -> None:
        super().__init__()
        self.epochs, self.are_classes = epochs, are_classes
        self.batch: tuple[Tensor, Tensor] | None = None
        self.kind = ""
        self.means: dict[str, list[float]] = defaultdict(list)

    def after_backward(
        self, step: int, model: nn.Module, loss: Tensor, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Keep the first batch."""
        del step, model
        if self.batch is None:
            self.batch, self.kind = batch, loss_kind(loss)

    def end_epoch(
        self, epoch: int, model: nn.Module, train_loss: float, valid_loss: float, score: float
    ) -> None:
        """Check layers, curves and gradients, in the order in which it does."""
        del valid_loss
        if self.batch is None:
            return
        look = look_inside(model, self.batch[0])
        if epoch == 0 and not hasattr(model, "discriminator"):
            self._check_range(look, self.batch[1])
        self._check_layers(look, epoch)
        self._check_curves(train_loss, score, epoch)
        self._check_weights(model, epoch)

    def _check_range(self, look: Look, y: Tensor) -> None:
        are_logits = self.kind in {"cross-entropy", "nll", "binary of logits"}
        are_logits = are_logits or (not self.kind and self.are_classes)
        if look.head not in {"softmax", "log_softmax"} and is_out_of_range(
            look.head, _ends(y.float()), _ends(look.output), are_classes=are_logits
        ):
            self.say("out of range")

    def _check_layers(self, look: Look, epoch: int) -> None:
        for index, call in enumerate(look.calls):
            mean = float(call.given.mean())
            self.means[f"layer {index}"].append(mean)
            if is_numerical(mean):
                self.say("numerical error")
            if epoch == self.epochs - 1:
                self._check_dead(call)
            if (epoch + 1) % CHECKS == 0:
                self._check_saturated(call)
        self._check_constant("layer", epoch, last=f"layer {len(look.calls) - 1}")

    def _check_dead(self, call: Call) -> None:
        if call.name in {"relu", "relu_"} and is_dead(
            int((call.given <= 0).sum()), call.given.numel()
        ):
            self.say("dead node")

    def _check_saturated(self, call: Call) -> None:
        if call.name in {"sigmoid", "tanh"} and is_saturated(call.taken.flatten().tolist()):
            self.say("saturated activation")

    def _check_constant(self, what: str, epoch: int, *, last: str = "") -> None:
        if (epoch + 1) % CHECKS:
            return
        for name, means in self.means.items():
            if name.startswith(what) and name != last and is_constant(means, CHECKS):
                self.say("unchanged tensor")

    def _check_curves(self, loss: float, score: float, epoch: int) -> None:
        self.means["loss"].append(loss)
        if not math.isfinite(loss):
            self.say("invalid loss")
        if (epoch + 1) % CHECKS == 0 and is_constant(self.means["loss"], CHECKS):
            self.say("loss not decreasing")
        if not self.are_classes:
            return
        self.means["score"].append(score)
        if is_numerical(score):
            self.say("invalid accuracy")
        if (epoch + 1) % ACCURACY_CHECKS == 0 and is_constant(self.means["score"], ACCURACY_CHECKS):
            self.say("accuracy not increasing")

    def _check_weights(self, model: nn.Module, epoch: int) -> None:
        for grad in gradients_of(model):
            if grad.ndim < 2:
                continue
            if is_numerical(float(grad.mean())):
                self.say("numerical error")
            if is_vanishing(float(grad.abs().mean())):
                self.say("vanishing gradient")
        for index, weight in enumerate(model.parameters()):
            if weight.ndim > 1:
                mean = float(weight.detach().mean())
                self.means[f"weight {index}"].append(mean)
                if is_numerical(mean):
                    self.say("numerical error")
        self._check_constant("weight", epoch)
