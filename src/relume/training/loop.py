"""The training loop: AdamW, warm-up and cosine, early stopping, the best weights kept.

Nothing here depends on a clock: the same seed gives the same weights, bitwise, on the same machine
with the same number of threads, whether the run was interrupted and resumed or not.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from relume.observe.modes import evaluating
from relume.remedies.patient import Patient
from relume.runs.records import Epoch
from relume.training.averaging import averaged_model
from relume.training.recording import Recorder

if TYPE_CHECKING:
    from torch.optim.swa_utils import AveragedModel

SCORING_ROWS = 4096
"""Rows that go through the model at once when nothing is learned."""

SCORING_PIXELS = 2**18
"""Numbers in such a block of images: within a convolution each becomes many more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """The numbers of the loop."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    warmup: float
    patience: int
    seed: int
    clip: float | None = None  # the largest norm of the gradient
    averaging: float = 0.0  # epochs over which, about, the weights kept are means; 0: none
    shuffle: bool = True  # whether every epoch has an order of its own


@dataclass(frozen=True, slots=True, eq=False)
class TensorPart:
    """One part of the data on the device.

    Args:
        x: Shape (rows, ...).
        y: Shape (rows,), or (rows, ...) where the objective wants more of a row.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


class Objective(Protocol):
    """What is minimised, what is watched on the validation part, and what it scores."""

    @property
    def metric(self) -> str:
        """Name of the score."""
        ...

    def train_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the scalar to minimise, with smoothing and weights."""
        ...

    def plain_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the plain loss of each row, shape (rows,)."""
        ...

    def score(self, output: Tensor, y: Tensor) -> float:
        """Return the score of a whole part; higher is better."""
        ...


@dataclass(slots=True)
class Progress:
    """Where a training stands; plain numbers, so that it can be saved and taken up again."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    worse_epochs: int = 0
    stopped: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; an infinite loss as None."""
        return asdict(self) | {
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Progress":
        """Return what ``to_json`` gave."""
        loss = data["best_loss"]
        return cls(**data | {"best_loss": math.inf if loss is None else loss})


@dataclass(frozen=True, slots=True)
class Observers:
    """Who is told how the training goes, who may ask it to stop, and who may repair it.

    None of them changes it but ``repair``, which is called between the epochs.
    """

    on_step: Callable[[int, int, float], None]
    on_epoch: Callable[[Epoch], None]
    checkpoint: Callable[["Loop"], None]
    should_stop: Callable[[], bool]
    repair: Callable[["Loop"], None] = lambda _: None


class Loop:
    """One training, from its first step or from a checkpoint to its end.

    Args:
        model: Trained in place; after ``run`` it holds the best weights.
        train: Rows to learn from.
        validation: Rows that choose the best epoch.
        objective: What is minimised and scored.
        settings: The numbers.
        monitor: What records.
        optimizer: What updates the model; AdamW, which decays the matrices only, if left out.

    Attributes:
        progress: Where it stands.
        best_weights: Copy of the weights of the best epoch so far.
        averaged: The model with running means of the weights, which is scored and kept in place of
            the model itself; None without averaging.
        patient: The training as remedies see it, with those that go on.
    """

    def __init__(
        self,
        model: nn.Module,
        train: TensorPart,
        validation: TensorPart,
        objective: Objective,
        settings: LoopSettings,
        monitor: Recorder,
        *,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer or torch.optim.AdamW(
            decay_groups(model, settings.weight_decay), lr=settings.lr
        )
        self.progress = Progress()
        self.best_weights = copied_weights(model)
        self.averaged: AveragedModel | None = None
        self._train = train
        self._validation = validation
        self._objective = objective
        self._settings = settings
        self._monitor = monitor
        self.steps_per_epoch = len(in_batches(torch.arange(len(train)), settings.batch_size))
        self.steps = self.steps_per_epoch * settings.epochs
        if settings.averaging:
            self.averaged = averaged_model(model, settings.averaging * self.steps_per_epoch)
        self.patient = Patient(
            model,
            (self.optimizer,),
            companions=() if self.averaged is None else (self.averaged,),
        )

    def run(self, observers: Observers) -> None:
        """Train until the epochs are used up, nothing improves, or ``should_stop`` says so.

        The weights of the best epoch are restored at the end; if no epoch ended, the last ones.
        """
        observers.repair(self)
        while not self.progress.stopped:
            if not self._epoch(observers):
                self.progress.stopped = "interrupted"
                self._monitor.close_window()
                break
            observers.checkpoint(self)
            observers.repair(self)
        if self.progress.best_epoch:
            self.model.load_state_dict(self.best_weights)

    def _epoch(self, observers: Observers) -> bool:
        """Train one epoch and score it; False if it was cut short."""
        number = self.progress.epoch + 1
        self.model.train()
        total = 0.0
        order = self._order(number).to(self._train.y.device)
        for rows in in_batches(order, self._settings.batch_size):
            if observers.should_stop():
                return False
            loss = self._step(rows)
            total += loss * len(rows)
            observers.on_step(self.progress.step, self.steps, loss)
        epoch = self._score(number, total / len(self._train))
        self._monitor.end_epoch(epoch)
        self.progress.epoch = number
        self._judge(epoch)
        observers.on_epoch(epoch)
        return True

    def _order(self, number: int) -> Tensor:
        """Return the rows in the order in which an epoch reads them."""
        if not self._settings.shuffle:
            return torch.arange(len(self._train))
        return torch.randperm(
            len(self._train), generator=epoch_generator(self._settings.seed, number)
        )

    def _step(self, rows: Tensor) -> float:
        self.progress.step += 1
        lr = self.rate(self.progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with self._monitor.step(self.progress.step):
            self.optimizer.zero_grad()
            output = joined(self.model(self._train.x[rows]))
            loss = self._objective.train_loss(output, self._train.y[rows])
            self._monitor.before_backward(loss)
            loss.backward()  # type: ignore[no-untyped-call]
            self._monitor.before_update(self.optimizer)
            if self._settings.clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.clip)
            self.patient.before_update()
            self.optimizer.step()
            self.patient.after_update()
            if self.averaged is not None:
                self.averaged.update_parameters(self.model)
            value = loss.item()
            self._monitor.after_update(self.progress.step, value, lr)
        return value

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, which counts from 1."""
        return warm_cosine(step, self.steps, self._settings.lr, self._settings.warmup)

    @property
    def best_step(self) -> int:
        """The last step of the best epoch so far."""
        return self.progress.best_epoch * self.steps_per_epoch

    def forget_best(self) -> None:
        """Take no earlier epoch for the best one any more."""
        self.progress.best_epoch, self.progress.best_loss = 0, math.inf

    @property
    def judged(self) -> nn.Module:
        """What is scored and kept: the model, or the one with the means of its weights."""
        return self.model if self.averaged is None else self.averaged.module

    def _score(self, number: int, train_loss: float) -> Epoch:
        y = self._validation.y
        with self._monitor.scoring(self.judged), evaluating(self.model), torch.no_grad():
            output = outputs(self.judged, self._validation.x)
            validation_loss = self._objective.plain_loss(output, y).mean().item()
        return Epoch(
            epoch=number,
            step=self.progress.step,
            train_loss=train_loss,
            validation_loss=validation_loss,
            validation_score=self._objective.score(output, y),
            learning_rate=self.optimizer.param_groups[0]["lr"],
            units_alive=self._monitor.units_alive,
            units=self._monitor.units,
        )

    def _judge(self, epoch: Epoch) -> None:
        progress, patience = self.progress, self._settings.patience
        if epoch.validation_loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = epoch.validation_loss, epoch.epoch
            progress.worse_epochs = 0
            self.best_weights = copied_weights(self.judged)
        else:
            progress.worse_epochs += 1
        if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.validation_loss)):
            progress.stopped = f"diverged in epoch {epoch.epoch}: the loss is not finite"
        elif progress.epoch >= self._settings.epochs:
            progress.stopped = f"after all {self._settings.epochs} epochs"
        elif progress.worse_epochs >= patience:
            progress.stopped = (
                f"after epoch {epoch.epoch}: no better validation loss for {patience} epochs"
            )


def warm_cosine(step: int, steps: int, peak: float, warmup: float) -> float:
    """Return the learning rate of a step from 1 to ``steps``.

    Linear warm-up to the peak, then half a cosine to zero (Loshchilov & Hutter 2017).

    Example:
        >>> [round(warm_cosine(step, 10, 0.1, 0.2), 3) for step in (1, 2, 6, 10)]
        [0.05, 0.1, 0.05, 0.0]
    """
    warm = warmup * steps
    if step <= warm:
        return peak * step / warm
    share = (step - warm) / max(1.0, steps - warm)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))


def blocks(x: Tensor, model: nn.Module | None = None) -> tuple[Tensor, ...]:
    """Cut rows into blocks that go through a network at once without filling the memory.

    A model whose rows grow inside says itself, as ``most_rows``, how many it takes at once.

    Example:
        >>> [len(block) for block in blocks(torch.zeros(600, 1, 28, 28))]
        [334, 266]
        >>> [len(block) for block in blocks(torch.zeros(600, 784))]
        [600]
    """
    rows = SCORING_ROWS
    if x.ndim > 2:
        rows = min(rows, max(1, SCORING_PIXELS // math.prod(x.shape[1:])))
    if isinstance(most_rows := getattr(model, "most_rows", None), int):
        rows = min(rows, most_rows)
    return torch.split(x, rows)


def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """Return a model's outputs, in eval mode without gradients, block by block."""
    with evaluating(model), torch.no_grad():
        return torch.cat([joined(model(block)) for block in blocks(x, model)])


def joined(output: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Return the outputs of several heads side by side, in their order; one output as it is."""
    return output if isinstance(output, Tensor) else torch.cat(tuple(output.values()), dim=1)


def in_batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut an order into batches; a last batch of one row, which batch norm cannot take, joins."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The order of an epoch depends on the seed and its number alone, so that it can be resumed."""
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)


def copied_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's state that later updates leave alone."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels only: no bias, no norm, no learnable slope."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
