"""What the rivals share: how they report, how they watch one training together, and a look inside.

Nothing here may change what is trained: a look is a forward pass in eval mode, without gradients,
with the random state put back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from benchmarks.clinic.observer import NoObserver

LAYERS = frozenset({"linear", "conv1d", "conv2d", "batch_norm", "layer_norm", "embedding"})
ACTIVATIONS = frozenset(
    {
        "relu", "relu_", "leaky_relu", "elu", "selu", "gelu", "prelu", "softplus",
        "tanh", "sigmoid", "softmax", "log_softmax",
    }
)  # fmt: skip


class Watcher(NoObserver):
    """An observer that reports: by name, in the order in which it reports first.

    Args:
        reports: The step at which each name was reported first.
        step: Backward passes so far.
    """

    def __init__(self) -> None:
        self.reports: dict[str, int] = {}
        self.step = 0

    def say(self, name: str) -> None:
        """Report; only the first time counts."""
        self.reports.setdefault(name, self.step)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Look away while somebody else uses the network."""
        yield

    def close(self) -> None:
        """Let go of the network."""


class Together(NoObserver):
    """Several watchers of one training; each looks away while the others look."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self.watchers = watchers

    def begin(self, model: nn.Module, optimizer: Any, loss_fn: Any) -> None:
        """Hand on."""
        for each in self.watchers:
            each.begin(model, optimizer, loss_fn)

    def after_backward(
        self, step: int, model: nn.Module, loss: Tensor, batch: tuple[Tensor, Tensor]
    ) -> None:
        """Hand on."""
        with _all_paused(self.watchers):
            for each in self.watchers:
                each.step = step
                each.after_backward(step, model, loss, batch)

    def end_epoch(
        self, epoch: int, model: nn.Module, train_loss: float, valid_loss: float, score: float
    ) -> None:
        """Hand on."""
        with _all_paused(self.watchers):
            for each in self.watchers:
                each.end_epoch(epoch, model, train_loss, valid_loss, score)


@contextmanager
def _all_paused(watchers: Sequence[Watcher]) -> Iterator[None]:
    if not watchers:
        yield
        return
    with watchers[0].paused(), _all_paused(watchers[1:]):
        yield


@dataclass(frozen=True, slots=True)
class Call:
    """One layer or activation as it was called: by module or by function."""

    name: str
    taken: Tensor
    given: Tensor


class _Calls(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in LAYERS | ACTIVATIONS and isinstance(given, Tensor):
            self.calls.append(Call(name, args[0], given))
        return given


@dataclass(frozen=True, slots=True)
class Look:
    """What a forward pass calls, in order, and its output."""

    calls: tuple[Call, ...]
    output: Tensor

    @property
    def head(self) -> str:
        """Name of the last operation where that is an activation; else ``linear``."""
        last = [c.name for c in self.calls if c.given.data_ptr() == self.output.data_ptr()]
        return last[-1] if last and last[-1] in ACTIVATIONS else "linear"

    def of(self, *names: str) -> list[Call]:
        """Return the calls with these names."""
        return [each for each in self.calls if each.name in names]


def look_inside(model: nn.Module, x: Tensor) -> Look:
    """Return what a network calls for a batch; of a GAN, its discriminator."""
    model = getattr(model, "discriminator", model)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), _Calls() as seen:
            output = model(x)
    finally:
        for module, mode in modes:
            module.training = mode
    return Look(tuple(seen.calls), output[0] if isinstance(output, tuple) else output)


def gradients_of(model: nn.Module) -> list[Tensor]:
    """Return the gradients that are there."""
    return [weight.grad for weight in model.parameters() if weight.grad is not None]


def loss_kind(loss: Tensor) -> str:
    """Return which loss of torch was called; empty where it was written by hand.

    Example:
        >>> logits = torch.zeros(2, 3, requires_grad=True)
        >>> loss_kind(nn.functional.cross_entropy(logits, torch.tensor([0, 1])))
        'cross-entropy'
        >>> loss_kind(nn.functional.nll_loss(logits * 2, torch.tensor([0, 1])))
        'nll'
        >>> loss_kind((logits**2).mean())
        ''
    """
    node = loss.grad_fn
    name = type(node).__name__ if node is not None else ""
    if name == "NllLossBackward0":
        before = node.next_functions[0][0]
        is_log = type(before).__name__ == "LogSoftmaxBackward0"
        return "cross-entropy" if is_log else "nll"
    kinds = {
        "MseLossBackward0": "squared error",
        "SmoothL1LossBackward0": "squared error",
        "BinaryCrossEntropyBackward0": "binary of probabilities",
        "BinaryCrossEntropyWithLogitsBackward0": "binary of logits",
    }
    return kinds.get(name, "")
