"""How the estimators learn: scikit-learn's losses, rates and stopping rules, in our loop."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from relume.runs.records import Epoch
from relume.training.loop import (
    Loop,
    LoopSettings,
    Observers,
    TensorPart,
    decay_groups,
    outputs,
)
from relume.training.recording import Recorder, Unrecorded

WARMUP = 0.05
"""Share of the steps over which the rate rises, where it is a cosine."""
LEAST_ADAPTIVE_RATE = 1e-6
"""Where an adaptive rate is not divided any more and the training stops, as in scikit-learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The parameters of an estimator that its training reads."""

    solver: str
    alpha: float
    learning_rate: str
    learning_rate_init: float
    weight_decay: float
    power_t: float
    max_iter: int
    tol: float
    verbose: bool | int
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    label_smoothing: float = 0.0


@dataclass(slots=True)
class History:
    """What a training went through; kept by ``warm_start`` and ``partial_fit``."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_loss: float = math.inf
    best_score: float = -math.inf
    idle_epochs: int = 0
    rows_seen: int = 0
    epochs: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PenalisedLoss:
    """The mean loss of the rows, each with its weight, and scikit-learn's L2 penalty.

    ``mean(w loss(output, y)) + alpha / (2 n) sum(W^2)`` over the n rows of a batch. The targets
    come as ``(rows, outputs + 1)``: the last column is the weight of the row.

    Args:
        link: What makes an output of the network a prediction: ``softmax``, ``logistic``,
            ``identity`` or ``exp``; it says which loss is meant.
        alpha: Strength of the penalty.
        matrices: What it is on.
        smoothing: Share of each class that is spread over all classes; of classes only.
        metric: Name of the score.

    References:
        Szegedy et al. (2016), "Rethinking the inception architecture", section 7 (smoothing).
    """

    link: str
    alpha: float
    matrices: tuple[Tensor, ...]
    smoothing: float = 0.0
    metric: str = "none"

    def train_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the scalar to minimise."""
        loss = self._weighted(output, self._smoothed(y[:, :-1]), y[:, -1]).mean()
        if not self.alpha:
            return loss
        squares = torch.stack([matrix.square().sum() for matrix in self.matrices]).sum()
        return loss + 0.5 * self.alpha / len(y) * squares

    def plain_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the weighted loss of each row, shape (rows,)."""
        return self._weighted(output, y[:, :-1], y[:, -1])

    def guessing_loss(self, y: Tensor) -> float:
        """Return the mean loss of the best answer that is the same for all rows."""
        targets, weights = self._smoothed(y[:, :-1]), y[:, -1:]
        mean = (weights * targets).sum(dim=0, keepdim=True) / weights.sum()
        if self.link != "identity":
            least = torch.finfo(mean.dtype).tiny
            most = 1.0 if self.link == "logistic" else math.inf
            mean = torch.log(mean.clamp_min(least)) - (
                torch.log((most - mean).clamp_min(least)) if self.link == "logistic" else 0.0
            )
        return self._weighted(mean.expand_as(targets), targets, y[:, -1]).mean().item()

    def _weighted(self, output: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return weights * row_losses(self.link, output, targets)

    def _smoothed(self, targets: Tensor) -> Tensor:
        """Move a share of each class to all classes; a logistic output stands for two."""
        if not self.smoothing:
            return targets
        classes = targets.shape[1] if self.link == "softmax" else 2
        return targets * (1.0 - self.smoothing) + self.smoothing / classes

    def score(self, output: Tensor, y: Tensor) -> float:
        """Return minus the mean loss."""
        return -self.plain_loss(output, y).mean().item()


def row_losses(link: str, output: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each row: cross-entropy, half the squared error, or half the deviance.

    Args:
        link: ``softmax``, ``logistic`` (summed over the outputs), ``identity`` or ``exp``
            (averaged over the outputs).
        output: Of the network, shape (rows, outputs).
        y: Targets of the same shape.

    Example:
        >>> row_losses("identity", torch.tensor([[3.0]]), torch.tensor([[1.0]]))
        tensor([2.])
    """
    if link == "softmax":
        return -(y * log_softmax(output, dim=1)).sum(dim=1)
    if link == "logistic":
        return binary_cross_entropy_with_logits(output, y, reduction="none").sum(dim=1)
    if link == "exp":
        return (torch.exp(output) - y * output + torch.xlogy(y, y) - y).mean(dim=1)
    return 0.5 * (output - y).square().mean(dim=1)


class EstimatorLoop(Loop):
    """The house's loop with the rates and stopping rules of scikit-learn's perceptrons.

    Args:
        model: Trained in place.
        train: Rows to learn from, their weights in the last column of ``y``.
        objective: What is minimised.
        settings: The numbers of the loop.
        choices: The numbers of the estimator.
        history: Goes on from what happened before.
        optimizer: What updates the model.
        recorder: What records the training; nothing, if left out.
    """

    def __init__(
        self,
        model: nn.Module,
        train: TensorPart,
        objective: PenalisedLoss,
        settings: LoopSettings,
        *,
        choices: Choices,
        history: History,
        optimizer: torch.optim.Optimizer,
        recorder: Recorder | None = None,
    ) -> None:
        watching = recorder or Unrecorded()
        super().__init__(model, train, train, objective, settings, watching, optimizer=optimizer)
        self.history = history
        self.objective = objective
        self.rows = train
        self.numbers = settings
        self.progress.epoch = history.epochs
        self.converged = False
        self.score_of: Callable[[Tensor], float] | None = None
        self.held_out: TensorPart | None = None
        self._choices = choices
        self._divisor = 1.0
        self._first = history.epochs
        self.steps = self.steps_per_epoch * choices.max_iter

    def train(self, between: Callable[[Loop], None] = lambda _: None) -> None:
        """Train to the end of the epochs or of the improvement.

        Args:
            between: Called between the epochs; it may stop or change the training.
        """
        self.run(replace(_QUIET, repair=between))
        self.patient.finish()

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, as ``learning_rate`` says."""
        choices = self._choices
        if choices.learning_rate == "cosine" and self._settings.warmup:
            return super().rate(step)
        if choices.solver == "sgd" and choices.learning_rate == "invscaling":
            return self._settings.lr / float((self.history.rows_seen + 1) ** choices.power_t)
        return self._settings.lr / self._divisor

    def _score(self, number: int, train_loss: float) -> Epoch:
        score = math.nan
        if self.score_of is not None and self.held_out is not None:
            score = self.score_of(outputs(self.model, self.held_out.x))
        return Epoch(
            epoch=number,
            step=self.progress.step,
            train_loss=train_loss,
            validation_loss=math.nan,
            validation_score=score,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            units_alive=self._monitor.units_alive,
            units=self._monitor.units,
        )

    def _judge(self, epoch: Epoch) -> None:
        history, choices = self.history, self._choices
        history.losses.append(epoch.train_loss)
        history.rows_seen += len(self._train)
        history.epochs = epoch.epoch
        self._say(f"Iteration {epoch.epoch - self._first}, loss = {epoch.train_loss:.8f}")
        if self.score_of is None:
            self._count_loss(epoch.train_loss)
        else:
            self._count_score(epoch)
        if not math.isfinite(epoch.train_loss):
            self.progress.stopped = "diverged: the loss is not finite"
        elif history.idle_epochs > choices.n_iter_no_change:
            self._run_dry()
        if not self.progress.stopped and epoch.epoch >= self._settings.epochs:
            self.progress.stopped = "after all epochs"

    def _count_loss(self, loss: float) -> None:
        history = self.history
        is_idle = loss > history.best_loss - self._choices.tol
        history.idle_epochs = history.idle_epochs + 1 if is_idle else 0
        history.best_loss = min(history.best_loss, loss)

    def _count_score(self, epoch: Epoch) -> None:
        history, score = self.history, epoch.validation_score
        history.scores.append(score)
        self._say(f"Validation score: {score:f}")
        is_idle = score < history.best_score + self._choices.tol
        history.idle_epochs = history.idle_epochs + 1 if is_idle else 0
        if score > history.best_score:
            history.best_score = score
            self.progress.best_epoch = epoch.epoch
            self.best_weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def _run_dry(self) -> None:
        """Divide an adaptive rate, or stop: nothing has improved for too long."""
        choices = self._choices
        what = "Training loss" if self.score_of is None else "Validation score"
        news = (
            f"{what} did not improve more than tol={choices.tol:f} "
            f"for {choices.n_iter_no_change} consecutive epochs."
        )
        rate = self._settings.lr / self._divisor
        is_adaptive = choices.solver == "sgd" and choices.learning_rate == "adaptive"
        if is_adaptive and rate > LEAST_ADAPTIVE_RATE:
            self._divisor *= 5.0
            self.history.idle_epochs = 0
            self._say(f"{news} Setting learning rate to {rate / 5:f}")
            return
        self._say(f"{news} Stopping.")
        self.converged = True
        self.progress.stopped = news

    def _say(self, text: str) -> None:
        if self._choices.verbose:
            print(text)  # noqa: T201 (what verbose asks for)


_QUIET = Observers(
    on_step=lambda *_: None,
    on_epoch=lambda _: None,
    checkpoint=lambda _: None,
    should_stop=lambda: False,
)


def build_optimizer(model: nn.Module, choices: Choices) -> torch.optim.Optimizer:
    """Return torch's AdamW or SGD with the parameters that the choices name.

    The decay is on the matrices only; AdamW's acts beside the gradient, not through it.
    """
    groups = decay_groups(model, choices.weight_decay)
    if choices.solver == "sgd":
        return torch.optim.SGD(
            groups,
            lr=choices.learning_rate_init,
            momentum=choices.momentum,
            nesterov=choices.nesterovs_momentum and choices.momentum > 0,
        )
    return torch.optim.AdamW(
        groups,
        lr=choices.learning_rate_init,
        betas=(choices.beta_1, choices.beta_2),
        eps=choices.epsilon,
    )


def matrices_of(model: nn.Module) -> tuple[Tensor, ...]:
    """Return the weights that a penalty is on: no bias, no norm, no learnable slope."""
    return tuple(parameter for parameter in model.parameters() if parameter.ndim >= 2)
