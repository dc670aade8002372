"""Rivals as installed from PyPI, called as their documentation says, with default thresholds.

torchdiag 0.1.0 is a set of calls: ``verify_step`` once, on a copy, at the first step (it moves the
weights), ``check_gradients`` after the first backward pass of each epoch, ``check_dead_neurons`` on
a training batch at the end of each epoch, in the mode that the script left on after validation.

neuraldbg 1.3.2 is a context around the loop with ``record_loss`` in each step. Its explanations
come from an engine that is not in the package; what it reports are the failures whose first
occurrence it tracks, in that order.
"""

import contextlib
import copy
import importlib.util
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.clinic.rival_watching import Watcher

WARNED_DEAD_PERCENT = 20
"""torchdiag prints a warning above this share of dead units; what it returns does not say so."""


def is_installed(package: str) -> bool:
    """Return whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


class Torchdiag(Watcher):
    """Calls torchdiag and keeps what it returns; what it prints is thrown away."""

    def __init__(self) -> None:
        super().__init__()
        import torchdiag

        self.tool = torchdiag
        self.optimizer: Any = None
        self.loss_fn: Any = None
        self.batch: tuple[Tensor, Tensor] | None = None
        self.is_new_epoch = True

    def begin(self, model: nn.Module, optimizer: Any, loss_fn: Any) -> None:
        """Keep what ``verify_step`` takes."""
        del model
        self.optimizer, self.loss_fn = optimizer, loss_fn

    def after_backward(
        self, step: int, model: nn.Module, loss: Tensor, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Check the gradients once an epoch."""
        del loss
        self.step = step
        if not self.is_new_epoch:
            return
        self.is_new_epoch, self.batch = False, batch
        with contextlib.redirect_stdout(io.StringIO()):
            if step == 1 and not hasattr(model, "discriminator"):
                self._verify(model, batch)
            found = self.tool.check_gradients(model)
        said = {each["status"] for each in found.values()}
        for status in ("no_grad", "EXPLODE", "VANISH"):
            if status in said:
                self.say(status)

    def _verify(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
        grads = [None if w.grad is None else w.grad.clone() for w in model.parameters()]
        twin, optimizer = copy.deepcopy((model, self.optimizer))
        with torch.random.fork_rng(devices=[]):
            found = self.tool.verify_step(twin, optimizer, self.loss_fn, *batch)
        for weight, grad in zip(model.parameters(), grads, strict=True):
            weight.grad = grad  # a loss may hold the network itself
        loss = found.get("loss", 0.0)
        if isinstance(loss, float) and not torch.isfinite(torch.tensor(loss)):
            self.say("loss not finite")
        if found.get("params_updated", 1) == 0 and found.get("params_unchanged", 0) > 0:
            self.say("no parameters changed")

    def end_epoch(
        self, epoch: int, model: nn.Module, train_loss: float, valid_loss: float, score: float
    ) -> None:
        """Look for dead neurons."""
        del epoch, train_loss, valid_loss, score
        self.is_new_epoch = True
        if self.batch is None:
            return
        judged = getattr(model, "discriminator", model)
        with contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
            found = self.tool.check_dead_neurons(judged, self.batch[0])
        if any(each["dead_pct"] > WARNED_DEAD_PERCENT for each in found.values()):
            self.say("dead neurons")


class Neuraldbg(Watcher):
    """Runs neuraldbg around the loop; what it saw until the last epoch ended counts."""

    def __init__(self) -> None:
        super().__init__()
        self.tool: Any = None

    def begin(self, model: nn.Module, optimizer: Any, loss_fn: Any) -> None:
        """Enter its context."""
        del optimizer, loss_fn
        from neuraldbg import NeuralDbg

        self.tool = NeuralDbg(model)
        self.tool.__enter__()

    def after_backward(
        self, step: int, model: nn.Module, loss: Tensor, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Record the loss, and tell it the step."""
        del model, batch
        self.tool.record_loss(loss.item())
        self._take()
        self.tool.step = self.step = step

    def end_epoch(
        self, epoch: int, model: nn.Module, train_loss: float, valid_loss: float, score: float
    ) -> None:
        """Take over what it has seen."""
        del epoch, model, train_loss, valid_loss, score
        self._take()

    def _take(self) -> None:
        for name, step in self.tool.first_failure_step.items():
            self.reports.setdefault(name, step)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Switch its hooks off by its own flag."""
        if self.tool is not None:
            self.tool.is_monitoring = False
        yield
        if self.tool is not None:
            self.tool.is_monitoring = True

    def close(self) -> None:
        """Leave its context."""
        if self.tool is not None:
            self.tool.__exit__(None, None, None)
