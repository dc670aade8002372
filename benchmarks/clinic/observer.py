"""What watches a training from inside its loop: the place where rivals are called."""

from typing import Any, Protocol

from torch import Tensor, nn


class Observer(Protocol):
    """Called by the loops as a user calls a tool that has to be called.

    Of a GAN, what is trained is observed alike: ``model`` holds both networks, the optimizer and
    the loss are those of the discriminator, and ``after_backward`` follows its backward pass.
    """

    def begin(self, model: nn.Module, optimizer: Any, loss_fn: Any) -> None:
        """Tell of a training before its first step."""

    def after_backward(
        self, step: int, model: nn.Module, loss: Tensor, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Tell of a backward pass; gradients are there, the weights are not updated yet.

        Args:
            step: From 1.
            model: In training mode, as the script has it.
            loss: Of this batch.
            batch: Inputs and targets.
        """

    def end_epoch(
        self, epoch: int, model: nn.Module, train_loss: float, valid_loss: float, score: float
    ) -> None:
        """Tell that an epoch was trained and validated.

        Args:
            epoch: From 0.
            model: In the mode that the script left it in.
            train_loss: Mean over the batches of the epoch.
            valid_loss: Mean over the batches of validation rows.
            score: On the validation rows, as the script prints it: accuracy, or R2.
        """


class NoObserver:
    """Watches nothing."""

    def begin(self, model: nn.Module, optimizer: Any, loss_fn: Any) -> None:
        """Do nothing."""

    def after_backward(
        self, step: int, model: nn.Module, loss: Tensor, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Do nothing."""

    def end_epoch(
        self, epoch: int, model: nn.Module, train_loss: float, valid_loss: float, score: float
    ) -> None:
        """Do nothing."""
