"""Who updates the model after a step of one's own, and what the step says of its losses."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from relume.errors import SettingsError
from relume.remedies.patient import Patient
from relume.training.loop import decay_groups, warm_cosine
from relume.training.noticed_updates import NoticedUpdates
from relume.training.own_settings import OwnSettings

LR, WEIGHT_DECAY, WARMUP = 2e-3, 1e-2, 0.05
ADAMS = (torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam)


@dataclass(frozen=True, slots=True)
class Losses:
    """What one step said of its losses.

    Args:
        total: The loss; the sum where there are several and none is called ``loss``; ``None``
            where none was returned.
        named: Those that came with a name.
    """

    total: float | None = None
    named: Mapping[str, float] = field(default_factory=dict)


def read_losses(returned: Any) -> Losses:
    """Return the losses in what a step returned.

    Raises:
        SettingsError: It is neither a scalar, nor a dict of scalars, nor ``None``.
    """
    if returned is None:
        return Losses()
    if not isinstance(returned, Mapping):
        return Losses(_scalar(returned, "the loss"))
    named = {str(name): _scalar(value, f"loss {name!r}") for name, value in returned.items()}
    if not named:
        return Losses()
    return Losses(named["loss"] if "loss" in named else sum(named.values()), named)


def _scalar(value: Any, what: str) -> float:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise SettingsError(
            f"{what} that the step returned has shape {tuple(value.shape)}; return a scalar, for "
            "example its mean"
        )
    try:
        return float(value.detach() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError):
        raise SettingsError(
            f"{what} that the step returned is a {type(value).__name__}; a step returns its loss "
            "(a scalar tensor), a number, a dict of named losses, or None"
        ) from None


class Updater:
    """Updates the model where the step did not.

    A loss that requires a gradient, from a step in which no optimizer stepped, is minimised here:
    backward, clip, update. Once an optimizer of the step's own has stepped, the step updates by
    itself, and nothing is done here any more.

    Args:
        model: What is updated.
        settings: Rate, decay, warm-up, clip.
        optimizer: What updates; AdamW with warm-up and cosine if left out. The rate of a given
            one is left to whoever gave it.
        steps: Steps of the whole training; ``None``, where not known, holds the rate constant.

    Attributes:
        optimizer: What updates; None before the first update of ours.
        patient: The training as remedies see it, with those that go on.
        lr: The rate of the given optimizer, or the peak of ours.
        usual_lr: One that usually trains well with it; ``lr`` where that is not known.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: OwnSettings,
        optimizer: torch.optim.Optimizer | None,
        steps: int | None,
    ) -> None:
        self._updates_itself = False
        self._model = model
        self._settings = settings
        self._given = optimizer
        self._steps = steps
        self.optimizer = optimizer
        self.patient = Patient(model)
        self.lr = _or(settings.lr, LR) if optimizer is None else _rate(optimizer)
        self.usual_lr = LR if optimizer is None or isinstance(optimizer, ADAMS) else self.lr

    @property
    def is_ours(self) -> bool:
        """Whether the updates so far were made here."""
        return self.optimizer is not None and not self._updates_itself

    def after_step(self, step: int, returned: Any, updates: NoticedUpdates) -> None:
        """Update the model if that is left to us.

        Args:
            step: Its number, from 1.
            returned: What the step returned.
            updates: What noticed the step's own updates.

        Raises:
            SettingsError: An optimizer or an option of ours was given to no effect.
        """
        loss = returned.get("loss") if isinstance(returned, Mapping) else returned
        if updates.count:
            self._updates_itself = True
        if self._updates_itself:
            self._check_nothing_is_left_over("an optimizer stepped inside it")
        elif isinstance(loss, Tensor) and loss.requires_grad:
            self.update(step, loss)
        else:
            _check_named(returned)
            self._check_nothing_is_left_over("it returned no loss with a gradient")

    def update(self, step: int, loss: Tensor) -> None:
        """Go backward from a loss and update the model.

        Args:
            step: Its number, from 1.
            loss: A scalar that requires a gradient.
        """
        optimizer = self.optimizer = self.optimizer or self._adamw()
        self.patient.optimizers = (optimizer,)
        if self._given is None and self._steps is not None:
            peak, warmup = _or(self._settings.lr, LR), _or(self._settings.warmup, WARMUP)
            for group in optimizer.param_groups:
                group["lr"] = warm_cosine(min(step, self._steps), self._steps, peak, warmup)
        optimizer.zero_grad()
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            error.add_note(
                "Relume ran backward on the loss that the step returned, since no torch optimizer "
                "had stepped in it; a step that updates by itself returns loss.item()."
            )
            raise
        if self._settings.clip:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.clip)
        self.patient.before_update()
        optimizer.step()
        self.patient.after_update()

    def _adamw(self) -> torch.optim.Optimizer:
        decay = _or(self._settings.weight_decay, WEIGHT_DECAY)
        return torch.optim.AdamW(decay_groups(self._model, decay), lr=_or(self._settings.lr, LR))

    def _check_nothing_is_left_over(self, why: str) -> None:
        names = ("lr", "weight_decay", "warmup", "clip")
        given = [name for name in names if getattr(self._settings, name) is not None]
        if self._given is not None:
            given.insert(0, "optimizer")
        if given:
            raise SettingsError(
                f"{', '.join(given)} would have no effect: the step updates by itself ({why}); "
                "leave out what has no effect, or return the loss and let Relume update"
            )


def _check_named(returned: Any) -> None:
    """Refuse losses of which none says that it is to be minimised."""
    named = returned.items() if isinstance(returned, Mapping) and "loss" not in returned else ()
    open_ones = [str(k) for k, v in named if isinstance(v, Tensor) and v.requires_grad]
    if open_ones:
        raise SettingsError(
            f"the step returned {', '.join(open_ones)} with gradients, stepped no optimizer and "
            "called none of them loss; name the one to minimise 'loss', or update inside the step"
        )


def check_optimizer(optimizer: Any, settings: OwnSettings) -> None:
    """Refuse an optimizer that cannot be stepped here, and options that it overrules.

    Raises:
        SettingsError: With what to do instead.
    """
    if optimizer is None:
        return
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise SettingsError(
            f"optimizer must be a torch optimizer made with the model's parameters; got "
            f"{optimizer!r}"
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise SettingsError(
            "LBFGS calls its closure several times an update; call optimizer.step(closure) inside "
            "your step and leave optimizer= out"
        )
    for name in ("lr", "weight_decay", "warmup"):
        if getattr(settings, name) is not None:
            raise SettingsError(f"{name} is the given optimizer's own; set it there")


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return max(float(group.get("lr", math.nan)) for group in optimizer.param_groups)


def _or(value: float | None, usual: float) -> float:
    return usual if value is None else value
