"""The training loop: AdamW, warm-up and cosine, early stopping, the best weights kept.

Nothing here depends on a clock: the same seed gives the same weights, bitwise, on the same machine
with the same number of threads, whether the run was interrupted and resumed or not.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from relume.observe.sites import evaluating
from relume.runs.records import Epoch

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


class Recorder(Protocol):
    """What a loop tells about its steps and epochs to; ``relume.monitor.Monitor`` is one."""

    @property
    def units_alive(self) -> int:
        """Units that fired lately."""
        ...

    @property
    def units(self) -> int:
        """Units watched."""
        ...

    def step(self, step: int, rows: int) -> AbstractContextManager[None]:
        """Surround one step."""
        ...

    def before_update(self) -> None:
        """Take note of the gradients."""
        ...

    def after_update(self, step: int, loss: float, learning_rate: float) -> None:
        """Take note of the update."""
        ...

    def close_window(self) -> None:
        """Write what is open."""
        ...

    def end_epoch(self, epoch: Epoch) -> None:
        """Take note of the scores."""
        ...


class Unrecorded:
    """The recorder of a training of which no record is kept."""

    units_alive = 0
    units = 0

    def step(self, step: int, rows: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """Surround one step with nothing."""
        return nullcontext()

    def before_update(self) -> None:
        """Do nothing."""

    def after_update(self, step: int, loss: float, learning_rate: float) -> None:
        """Do nothing."""

    def close_window(self) -> None:
        """Do nothing."""

    def end_epoch(self, epoch: Epoch) -> None:
        """Do nothing."""


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
    """Who is told how the training goes, and who may ask it to stop; none of them changes it."""

    on_step: Callable[[int, int, float], None]
    on_epoch: Callable[[Epoch], None]
    checkpoint: Callable[["Loop"], None]
    should_stop: Callable[[], bool]


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
            _decay_groups(model, settings.weight_decay), lr=settings.lr
        )
        self.progress = Progress()
        self.best_weights = _copied(model)
        self._train = train
        self._validation = validation
        self._objective = objective
        self._settings = settings
        self._monitor = monitor
        self.steps_per_epoch = len(_batches(torch.arange(len(train)), settings.batch_size))
        self.steps = self.steps_per_epoch * settings.epochs

    def run(self, observers: Observers) -> None:
        """Train until the epochs are used up, nothing improves, or ``should_stop`` says so.

        The weights of the best epoch are restored at the end; if no epoch ended, the last ones.
        """
        while not self.progress.stopped:
            if not self._epoch(observers):
                self.progress.stopped = "interrupted"
                self._monitor.close_window()
                break
            observers.checkpoint(self)
        if self.progress.best_epoch:
            self.model.load_state_dict(self.best_weights)

    def _epoch(self, observers: Observers) -> bool:
        """Train one epoch and score it; False if it was cut short."""
        number = self.progress.epoch + 1
        self.model.train()
        total = 0.0
        order = self._order(number).to(self._train.y.device)
        for rows in _batches(order, self._settings.batch_size):
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
        return torch.randperm(len(self._train), generator=_generator(self._settings.seed, number))

    def _step(self, rows: Tensor) -> float:
        self.progress.step += 1
        lr = self._rate(self.progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with self._monitor.step(self.progress.step, len(rows)):
            self.optimizer.zero_grad()
            output = joined(self.model(self._train.x[rows]))
            loss = self._objective.train_loss(output, self._train.y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            self._monitor.before_update()
            self.optimizer.step()
            value = loss.item()
            self._monitor.after_update(self.progress.step, value, lr)
        return value

    def _rate(self, step: int) -> float:
        """Linear warm-up to the peak, then half a cosine to zero (Loshchilov & Hutter 2017)."""
        warm = self._settings.warmup * self.steps
        if step <= warm:
            return self._settings.lr * step / warm
        share = (step - warm) / max(1.0, self.steps - warm)
        return self._settings.lr * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))

    def _score(self, number: int, train_loss: float) -> Epoch:
        output = outputs(self.model, self._validation.x)
        y = self._validation.y
        return Epoch(
            epoch=number,
            step=self.progress.step,
            train_loss=train_loss,
            validation_loss=self._objective.plain_loss(output, y).mean().item(),
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
            self.best_weights = _copied(self.model)
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


def blocks(x: Tensor) -> tuple[Tensor, ...]:
    """Cut rows into blocks that go through a network at once without filling the memory.

    Example:
        >>> [len(block) for block in blocks(torch.zeros(600, 1, 28, 28))]
        [334, 266]
        >>> [len(block) for block in blocks(torch.zeros(600, 784))]
        [600]
    """
    rows = SCORING_ROWS
    if x.ndim > 2:
        rows = min(rows, max(1, SCORING_PIXELS // math.prod(x.shape[1:])))
    return torch.split(x, rows)


def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """Return a model's outputs, in eval mode without gradients, block by block."""
    with evaluating(model), torch.no_grad():
        return torch.cat([joined(model(block)) for block in blocks(x)])


def joined(output: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Return the outputs of several heads side by side, in their order; one output as it is."""
    return output if isinstance(output, Tensor) else torch.cat(tuple(output.values()), dim=1)


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut an order into batches; a last batch of one row, which batch norm cannot take, joins."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _generator(seed: int, epoch: int) -> torch.Generator:
    """The order of an epoch depends on the seed and its number alone, so that it can be resumed."""
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels only: no bias, no norm, no learnable slope."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
