"""What a treatment, the survey and the records can hear of, each method doing nothing by itself."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from relume.remedies.cure.place import CodePlace


@dataclass(slots=True)
class LossCall:
    """A loss function of torch, as the program calls it; treatments may change what it is given.

    Args:
        function: Its name in ``torch.nn.functional``.
        prediction: What it is given first.
        target: What it is given second.
        options: Its keyword arguments.
        place: Of the call.
        module: The module of the loss, if it has one.
    """

    function: str
    prediction: Tensor
    target: Tensor
    options: dict[str, Any] = field(default_factory=dict)
    place: CodePlace | None = None
    module: nn.Module | None = None

    @property
    def is_training(self) -> bool:
        """Whether something is learned from it."""
        return self.prediction.requires_grad


@dataclass(frozen=True, slots=True)
class ActivationCall:
    """An activation as it is called.

    Args:
        function: Its name in torch: ``relu``.
        value: What it is applied to.
        place: Of the call in the person's code.
        module: The module that is nothing but this activation; None for a plain function.
        options: Its further arguments.
    """

    function: str
    value: Tensor
    place: CodePlace | None
    module: nn.Module | None
    options: tuple[Any, ...] = ()


class Listener:
    """Hears of a training and may change it; the methods here change nothing."""

    def module_made(self, module: nn.Module, place: CodePlace | None) -> None:
        """Hear that a module is being made, before it has its parameters."""

    def optimizer_made(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Hear that an optimizer was made."""

    def before_model(
        self, model: nn.Module, values: tuple[Any, ...], place: CodePlace | None
    ) -> tuple[Any, ...]:
        """Return what a model, called from outside of all modules, is given."""
        return values

    def after_model(self, model: nn.Module, output: Any) -> Any:
        """Return what that call gives."""
        return output

    def replace_activation(self, call: ActivationCall) -> Tensor | None:
        """Return what stands for the output of an activation; None leaves it."""
        return None

    def activation_done(self, call: ActivationCall, output: Tensor) -> None:
        """Hear what an activation gave."""

    def root(self, value: Tensor, place: CodePlace) -> Tensor:
        """Return what stands under a square root of the person's code that is differentiated."""
        return value

    def difference(self, left: Tensor, right: Tensor, place: CodePlace) -> tuple[Tensor, Tensor]:
        """Return what the person's code subtracts, of different shapes, to be differentiated."""
        return left, right

    def before_loss(self, call: LossCall) -> None:
        """Hear of a loss and, if need be, change what it is given."""

    def loss_done(self, given: LossCall, loss: Tensor) -> None:
        """Hear of the loss and of what the program had given it."""

    def before_backward(self, loss: Tensor | None, place: CodePlace | None) -> None:
        """Hear that a loss is about to be differentiated."""

    def before_update(self, optimizer: Optimizer, place: CodePlace | None) -> None:
        """Hear that parameters are about to be updated."""

    def after_update(self, optimizer: Optimizer) -> None:
        """Hear that they have been."""

    def begin_epoch(self, loader: Any, place: CodePlace | None) -> None:
        """Hear that a loader is read from its start."""

    def batch(self, batch: Any) -> Any:
        """Return the batch that stands for one of a loader; None leaves it out."""
        return batch

    def wants_schedule_step(self, scheduler: Any, place: CodePlace | None) -> bool:
        """Return whether a step of a schedule, asked for by the program, is taken."""
        return True

    def schedule_stepped(self, optimizer: Optimizer) -> None:
        """Hear that a schedule has set the rates of an optimizer."""

    def end(self) -> None:
        """Hear that the process ends."""
