"""One minimal sick training a rule on units, gradients, norms and recurrences, and its twin.

Each function trains a small network as a script would; the healthy one differs in the fault alone.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from relume.diagnosis.codes import Code
from tests.unit.diagnosis.sick_networks_data import FEATURES, ROWS, learn, perceptron, rows, scored


def kill(linear: nn.Linear, units: int) -> None:
    """Push the first units far below zero, as one wild update does."""
    with torch.no_grad():
        linear.bias[:units] = -50.0


class Midway:
    """An optimizer that something happens to in the middle of a training."""

    def __init__(self, model: nn.Module, step: int, deed: Callable[[], None], lr: float) -> None:
        self.inner = torch.optim.SGD(model.parameters(), lr)
        self.left, self.deed = step, deed
        self.zero_grad = self.inner.zero_grad

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.deed()
        self.inner.step()


def dead_units(units: int, *, at: int = 60) -> None:
    x, y, _ = rows()
    model = perceptron()
    optimizer = Midway(model, at, lambda: kill(model[0], units), 0.1)
    learn(model, x, y, optimizer=optimizer, steps=240)


def dying_units(push: float) -> None:
    """The biases sink a little in every update."""
    x, y, _ = rows()
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)

    def sinking(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets) + push * model[0].bias[:32].sum()

    for _ in range(9):
        learn(model, x, y, sinking, optimizer=optimizer, steps=60)


def dead_at_start(bias: float) -> None:
    x, y, _ = rows()
    model = perceptron()
    with torch.no_grad():
        model[0].bias[:40] = bias
    learn(model, x, y)


def scaled(activation: nn.Module, factor: float, units: int = 64, *, out: float = 1.0) -> None:
    """Weights into, and out of, some units of the first layer are so many times as large."""
    x, y, _ = rows()
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(FEATURES, 64), activation, nn.Linear(64, 64), activation, nn.Linear(64, 3)
    )
    with torch.no_grad():
        model[0].weight[:units] *= factor
        model[0].bias[:units] *= factor
        model[2].weight[:, :units] *= out
    learn(model, x, y, optimizer=torch.optim.SGD(model.parameters(), 0.05))


def constant_weights(is_sick: bool) -> None:
    x, y, _ = rows()
    model = perceptron()
    if is_sick:
        for linear in model[::2]:
            nn.init.constant_(linear.weight, 0.02)
            nn.init.zeros_(linear.bias)
    learn(model, x, y)


def always_on(bias: float) -> None:
    x, y, _ = rows()
    model = perceptron()
    with torch.no_grad():
        for linear in model[:-1:2]:
            linear.bias += bias
    learn(model, x, y, lr=0.001)


def autoencoder(bias: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 12, generator=generator) @ torch.randn(12, 24, generator=generator)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 8), nn.ReLU(),
                          nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 24))  # fmt: skip
    with torch.no_grad():
        model[2].bias[:5] += bias
    learn(model, x, x, F.mse_loss, lr=0.002)


def slopes(start: float) -> None:
    x, y, _ = rows()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 64), nn.PReLU(64, start), nn.Linear(64, 3))
    learn(model, x, y, lr=0.001)


def deep(activation: type[nn.Module]) -> None:
    x, y, _ = rows()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 32), activation())
    for _ in range(9):
        model.extend([nn.Linear(32, 32), activation()])
    model.append(nn.Linear(32, 3))
    for linear in model[:-1:2]:
        nn.init.kaiming_normal_(linear.weight)
    learn(model, x, y, optimizer=torch.optim.SGD(model.parameters(), 0.05))


def exploding(lr: float) -> None:
    x, _, amount = rows()
    model = perceptron(1)
    optimizer = torch.optim.SGD(model.parameters(), lr)
    learn(model, x, amount[:, None], F.mse_loss, optimizer=optimizer, steps=60)


def logarithm(is_sick: bool) -> None:
    """Large scores: the logarithm of a softmax by hand, and the one that holds."""
    x, y, _ = rows()

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        z = 300 * z
        logs = z.softmax(1).log() if is_sick else z.log_softmax(1)
        return -logs[torch.arange(len(y)), y].mean()

    learn(perceptron(), x, y, loss_of, lr=0.003)


class Gated(nn.Module):
    """A network of which one branch is multiplied by a number."""

    def __init__(self, gate: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate = gate
        self.plain, self.branch = nn.Linear(FEATURES, 64), nn.Linear(FEATURES, 64)
        self.last = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.plain(x)) + self.gate * F.relu(self.branch(x)))


def gated(gate: float) -> None:
    x, y, _ = rows()
    model = Gated(gate)
    learn(model, x, y, optimizer=torch.optim.SGD(model.parameters(), 0.1))


def group_rates(trunk: float) -> None:
    x, y, _ = rows()
    model = perceptron()
    groups = [{"params": model[:-1].parameters(), "lr": trunk}, {"params": model[-1].parameters()}]
    learn(model, x, y, optimizer=torch.optim.Adam(groups, 0.003))


def normed(momentum: float = 0.1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.BatchNorm1d(64, momentum=momentum), nn.ReLU(),
                         nn.Linear(64, 3))  # fmt: skip


def slow_statistics(momentum: float) -> None:
    x, y, _ = rows()
    x_held, y_held, _ = rows(1)
    model = normed(momentum)
    shift = 4.0 + torch.arange(FEATURES)
    learn(model, x + shift, y, steps=240, after_epoch=scored(model, x_held + shift, y_held))


def tiny_batches(batch: int) -> None:
    x, y, _ = rows()
    learn(normed(), x, y, batch=batch, steps=128)


def sorted_rows(is_sorted: bool) -> None:
    """Rows come from four sources, one after the other."""
    x, y, _ = rows()
    model = normed()
    x = x + 4.0 * torch.arange(4).repeat_interleave(ROWS // 4)[:, None]
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    for _ in range(10):
        order = torch.arange(ROWS) if is_sorted else torch.randperm(ROWS)
        for chosen in order.split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
        scored(model, x, y)()


class Reader(nn.Module):
    """A recurrent layer, a hidden layer with ReLU, and scores."""

    def __init__(self, nonlinearity: str, factor: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.RNN(4, 32, batch_first=True, nonlinearity=nonlinearity)
        self.hidden, self.last = nn.Linear(32, 32), nn.Linear(32, 2)
        with torch.no_grad():
            self.rnn.weight_hh_l0 *= factor

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.rnn(x)
        return self.last(F.relu(self.hidden(state[-1])))


def recurrent(nonlinearity: str = "relu", factor: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 20, 4, generator=generator)
    y = (x[:, -3:, 0].sum(1) > 0).long()
    model = Reader(nonlinearity, factor)
    learn(model, x, y, optimizer=torch.optim.Adam(model.parameters(), 0.003), steps=96)


def output(*more: nn.Module) -> None:
    x, y, _ = rows()
    learn(perceptron(3, *more), x, y)


SICK: dict[Code, Callable[[], None]] = {
    Code.DEAD_UNITS: lambda: dead_units(40),
    Code.DYING_UNITS: lambda: dying_units(0.3),
    Code.DEAD_AT_START: lambda: dead_at_start(-20.0),
    Code.DEAD_LAYER: lambda: dead_units(64),
    Code.DORMANT_UNITS: lambda: scaled(nn.GELU(), 1e-4, 30, out=1e-4),
    Code.SATURATED_UNITS: lambda: scaled(nn.Tanh(), 60.0),
    Code.IDENTICAL_UNITS: lambda: constant_weights(True),
    Code.ALWAYS_ON: lambda: always_on(30.0),
    Code.DEAD_LATENTS: lambda: autoencoder(-50.0),
    Code.NEGATIVE_SLOPES: lambda: slopes(-1.0),
    Code.VANISHING_GRADIENT: lambda: deep(nn.Sigmoid),
    Code.EXPLODING_GRADIENT: lambda: exploding(2.0),
    Code.NONFINITE_GRADIENT: lambda: logarithm(True),
    Code.STARVED_LAYER: lambda: gated(1e-6),
    Code.UPDATE_RATIO: lambda: group_rates(3e-8),
    Code.TRAIN_EVAL_GAP: lambda: slow_statistics(0.001),
    Code.TINY_BATCHES: lambda: tiny_batches(3),
    Code.CHANNEL_DRIFT: lambda: sorted_rows(True),
    Code.RECURRENT_GROWTH: lambda: recurrent("relu", 8.0),
    Code.DEFAULT_TANH: lambda: recurrent("tanh"),
    Code.RELU_ON_OUTPUT: lambda: output(nn.ReLU()),
}

HEALTHY: dict[Code, Callable[[], None]] = {
    Code.DEAD_UNITS: lambda: dead_units(0),
    Code.DYING_UNITS: lambda: dying_units(0.0),
    Code.DEAD_AT_START: lambda: dead_at_start(0.0),
    Code.DEAD_LAYER: lambda: dead_units(0),
    Code.DORMANT_UNITS: lambda: scaled(nn.GELU(), 1.0),
    Code.SATURATED_UNITS: lambda: scaled(nn.Tanh(), 1.0),
    Code.IDENTICAL_UNITS: lambda: constant_weights(False),
    Code.ALWAYS_ON: lambda: always_on(0.0),
    Code.DEAD_LATENTS: lambda: autoencoder(0.0),
    Code.NEGATIVE_SLOPES: lambda: slopes(0.25),
    Code.VANISHING_GRADIENT: lambda: deep(nn.ReLU),
    Code.EXPLODING_GRADIENT: lambda: exploding(0.05),
    Code.NONFINITE_GRADIENT: lambda: logarithm(False),
    Code.STARVED_LAYER: lambda: gated(1.0),
    Code.UPDATE_RATIO: lambda: group_rates(3e-3),
    Code.TRAIN_EVAL_GAP: lambda: slow_statistics(0.1),
    Code.TINY_BATCHES: lambda: tiny_batches(32),
    Code.CHANNEL_DRIFT: lambda: sorted_rows(False),
    Code.RECURRENT_GROWTH: lambda: recurrent("relu"),
    Code.DEFAULT_TANH: lambda: recurrent("relu"),
    Code.RELU_ON_OUTPUT: output,
}
