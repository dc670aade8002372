"""Rules rebuilt from AutoTrainer's monitor (Zhang et al. 2021), a tool for Keras.

Checked at the end of every third epoch on the gradients of its last batch. Where it reads accuracy,
the validation score is read, of amounts their R2. What it says of heads and losses by their names
in Keras is said of what goes with the losses of torch: cross-entropy and binary cross-entropy with
logits take a linear head; a loss written by hand is not judged.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.clinic.rival_watching import Watcher, gradients_of, look_inside, loss_kind

EVERY_EPOCHS = 3
JUDGED_FROM = 0.3
"""Share of the epochs before which the curves are not judged."""

HEADS = {
    "cross-entropy": {"linear", "log_softmax"},
    "nll": {"log_softmax"},
    "binary of logits": {"linear"},
    "binary of probabilities": {"sigmoid", "softmax"},
    "squared error": {"linear"},
}


def is_broken(losses: Sequence[float]) -> bool:
    """A loss is not finite, or at least 1e3."""
    return any(not math.isfinite(loss) or loss >= 1e3 for loss in losses)


def is_exploding(first: float, last: float) -> bool:
    """‖g_first‖ / ‖g_last‖ > 70, norms of kernels."""
    return last > 0 and first / last > 70


def is_vanishing(first: float, last: float) -> bool:
    """‖g_first‖ / ‖g_last‖ < 1e-3 and ‖g_first‖ < 1e-4, norms of kernels."""
    return last > 0 and first / last < 1e-3 and first < 1e-4


def is_dying(zeros: int, entries: int) -> bool:
    """At least .7 of the gradient's entries are exactly zero."""
    return entries > 0 and zeros / entries >= 0.7


def is_unstable(scores: Sequence[float], gap: float = 0.03, rate: float = 0.2) -> bool:
    """The i-th local maximum and minimum lie ``gap`` apart for ``rate`` of the epochs or more."""
    middle = range(1, len(scores) - 1)
    highs = [scores[i] for i in middle if scores[i] >= max(scores[i - 1], scores[i + 1])]
    lows = [scores[i] for i in middle if scores[i] <= min(scores[i - 1], scores[i + 1])]
    pairs = sum(high - low >= gap for high, low in zip(highs, lows, strict=False))
    return pairs >= rate * len(scores)


def is_unsatisfied(scores: Sequence[float], wanted: float = 0.6) -> bool:
    """The score never reached what is wanted."""
    return max(scores) < wanted


def is_slow(scores: Sequence[float], least: float = 0.01) -> bool:
    """The greatest gain of an epoch is below ``least``."""
    return max((after - before for before, after in pairwise(scores)), default=0.0) < least


def is_abnormal(mean_absolute: float, threshold: float = 10.0) -> bool:
    """The mean absolute output of a layer that is not the last is at least the threshold."""
    return mean_absolute >= threshold


def is_head_wrong(head: str, kind: str) -> bool:
    """The head does not go with the loss."""
    return kind in HEADS and head not in HEADS[kind]


def is_loss_wrong(kind: str, loss: float, *, are_classes: bool) -> bool:
    """A loss of amounts on classes, or a negative loss."""
    return loss < 0 or (are_classes and kind == "squared error")


class Autotrainer(Watcher):
    """Gathers what the rules read.

    Args:
        epochs: Of the whole training.
        are_classes: Whether the targets are classes.
    """

    def __init__(self, epochs: int, *, are_classes: bool) -> None:
        super().__init__()
        self.epochs, self.are_classes = epochs, are_classes
        self.scores: list[float] = []
        self.batch: Tensor | None = None
        self.kind, self.loss = "", 0.0

    def after_backward(
        self, step: int, model: nn.Module, loss: Tensor, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Keep the first batch."""
        del step, model
        if self.batch is None:
            self.batch, self.kind = batch[0], loss_kind(loss)

    def end_epoch(
        self, epoch: int, model: nn.Module, train_loss: float, valid_loss: float, score: float
    ) -> None:
        """Check every third epoch."""
        self.scores.append(score if math.isfinite(score) else -1.0)
        self.loss = min(train_loss, valid_loss)
        if epoch % EVERY_EPOCHS or self.batch is None:
            return
        self._check_set_up(model, self.batch)
        self._check_training(model, [train_loss, valid_loss])

    def _check_set_up(self, model: nn.Module, x: Tensor) -> None:
        look = look_inside(model, x)
        layers = [call for call in look.calls if call.given.data_ptr() != look.output.data_ptr()]
        if any(is_abnormal(float(call.given.abs().mean())) for call in layers):
            self.say("data")
        if is_head_wrong(look.head, self.kind):
            self.say("activation")
        if is_loss_wrong(self.kind, self.loss, are_classes=self.are_classes):
            self.say("loss")

    def _check_training(self, model: nn.Module, losses: Sequence[float]) -> None:
        grads = gradients_of(model)
        kernels = [float(grad.norm()) for grad in grads if grad.ndim > 1] or [0.0]
        first, last = kernels[0], kernels[-1]
        tensors = [*grads, *(weight.detach() for weight in model.parameters())]
        if is_broken(losses) or not all(bool(torch.isfinite(each).all()) for each in tensors):
            self.say("explode")
            return
        if len(self.scores) < JUDGED_FROM * self.epochs:
            return
        zeros = sum(int((grad == 0).sum()) for grad in grads)
        if is_unsatisfied(self.scores) or is_slow(self.scores):
            self._name(first, last, (zeros, sum(grad.numel() for grad in grads)))
        elif is_unstable(self.scores):
            self.say("unstable")

    def _name(self, first: float, last: float, zeros: tuple[int, int]) -> None:
        """Say the first that holds, as it does, of a training that does not get on."""
        if is_dying(*zeros):
            self.say("relu")
        elif is_exploding(first, last):
            self.say("explode")
        elif is_vanishing(first, last):
            self.say("vanish")
        elif is_unsatisfied(self.scores) and is_slow(self.scores) and "data" not in self.reports:
            self.say("not_converge")
