"""One minimal sick training a rule on data, head, loss, curve and generalisation, and its twin.

Each function trains a small network as a script would; the healthy one differs in the fault alone.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from relume.diagnosis.codes import Code

ROWS, FEATURES = 512, 10


def rows(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Standard-normal rows, three classes that a small network learns, and an amount."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, FEATURES, generator=generator)
    amount = x[:, 0] + x[:, 1] * x[:, 2]
    classes = torch.bucketize(amount, torch.tensor([-0.5, 0.5]))
    return x, classes, amount


def perceptron(outputs: int = 3, *more: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs),
        *more,
    )  # fmt: skip


def learn(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor] | None = None,
    *,
    lr: float = 0.01,
    steps: int = 160,
    batch: int = 32,
    optimizer: torch.optim.Optimizer | None = None,
    zero: bool = True,
    after_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Train in batches drawn in turn, an epoch being one pass over the rows."""
    loss_of = loss_of or F.cross_entropy
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=lr)
    order = torch.Generator().manual_seed(1)
    for step in range(steps):
        if step % (ROWS // batch) == 0:
            permutation = torch.randperm(len(x), generator=order)
            if step:
                after_epoch()
        start = step * batch % len(x)
        chosen = permutation[start : start + batch]
        if zero:
            optimizer.zero_grad()
        loss_of(model(x[chosen]), y[chosen]).backward()
        optimizer.step()
    after_epoch()


def scored(model: nn.Module, x: Tensor, y: Tensor, *, is_in_training_mode: bool = False):
    """Return what scores a model after an epoch, as scripts do."""

    def score() -> None:
        if not is_in_training_mode:
            model.eval()
        with torch.no_grad():
            for start in range(0, len(x), 64):
                F.cross_entropy(model(x[start : start + 64]), y[start : start + 64])
        model.train()

    return score


def unscaled_input(factor: float) -> None:
    x, y, _ = rows()
    learn(perceptron(), x * factor + factor, y, lr=0.05, steps=96)


def input_with(value: float) -> None:
    x, y, _ = rows()
    x[5, 3] = value
    learn(perceptron(), x, y)


def constant_input(is_constant: bool) -> None:
    x, y, _ = rows()
    learn(perceptron(), torch.ones_like(x) if is_constant else x, y)


def constant_target(is_constant: bool) -> None:
    x, y, _ = rows()
    learn(perceptron(), x, torch.zeros_like(y) if is_constant else y)


def missing_target(value: float) -> None:
    x, _, amount = rows()
    amount[7] = value
    learn(perceptron(1), x, amount[:, None], F.mse_loss)


def imbalance(rare: int) -> None:
    x, _, amount = rows()
    y = (amount > amount.sort().values[-rare - 1]).long()
    learn(perceptron(2), x, y)


def unscaled_target(factor: float) -> None:
    x, _, amount = rows()
    learn(perceptron(1), x, (amount * factor + 3 * factor)[:, None], F.mse_loss)


def one_output(is_sick: bool) -> None:
    x, y, _ = rows()
    y = (y > 1).long()
    if is_sick:
        learn(perceptron(1), x, torch.zeros_like(y))
    else:
        learn(perceptron(1), x, y.float()[:, None], F.binary_cross_entropy_with_logits)


def head(loss_of: Callable[[Tensor, Tensor], Tensor], *more: nn.Module) -> None:
    x, y, _ = rows()
    learn(perceptron(3, *more), x, y, loss_of)


def binary_head(loss_of: Callable[[Tensor, Tensor], Tensor], *more: nn.Module) -> None:
    x, _, amount = rows()
    learn(perceptron(1, *more), x, (amount > 0).float()[:, None], loss_of)


def amount_head(*more: nn.Module) -> None:
    x, _, amount = rows()
    learn(perceptron(1, *more), x, amount[:, None], F.mse_loss)


def by_hand(is_sick: bool) -> None:
    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        p = z.abs() + 1e-3 if is_sick else z.softmax(1)
        return -p.log()[torch.arange(len(y)), y].mean()

    head(loss_of)


def squared_error_on_classes(is_sick: bool) -> None:
    x, y, _ = rows()
    if is_sick:
        learn(perceptron(1), x, y[:, None].float(), F.mse_loss)
    else:
        learn(perceptron(), x, y)


def broadcast_loss(is_sick: bool) -> None:
    x, _, amount = rows()

    def by_hand_loss(z: Tensor, y: Tensor) -> Tensor:
        return ((z - y) ** 2).mean()

    learn(perceptron(1), x, amount if is_sick else amount[:, None], by_hand_loss)


def first_loss(scale: float) -> None:
    x, y, _ = rows()
    model = perceptron()
    with torch.no_grad():
        model[-1].weight.mul_(scale)
    learn(model, x, y, lr=1e-3)


def linear_stack(is_sick: bool) -> None:
    x, y, _ = rows()
    torch.manual_seed(0)
    between = nn.Dropout(0.1) if is_sick else nn.ReLU()
    model = nn.Sequential(nn.Linear(FEATURES, 64), between, nn.Linear(64, 64), nn.ReLU(),
                          nn.Linear(64, 3))  # fmt: skip
    learn(model, x, y)


def not_optimised(is_sick: bool) -> None:
    x, y, _ = rows()
    model = perceptron()
    held = model[-1].parameters() if is_sick else model.parameters()
    learn(model, x, y, optimizer=torch.optim.Adam(held, lr=0.01))


class Cut(nn.Module):
    """A network whose graph may be cut in the middle."""

    def __init__(self, is_cut: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.is_cut = is_cut
        self.first, self.second = nn.Linear(FEATURES, 64), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        return self.second(h.detach() if self.is_cut else h)


def no_gradient(is_sick: bool) -> None:
    x, y, _ = rows()
    learn(Cut(is_sick), x, y)


def gradients_kept(is_sick: bool) -> None:
    x, y, _ = rows()
    learn(perceptron(), x, y, zero=not is_sick)


def eval_while_training(is_sick: bool) -> None:
    x, y, _ = rows()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 3))
    model.train(not is_sick)
    learn(model, x, y)


def decayed_slopes(decay: float) -> None:
    x, y, _ = rows()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 64), nn.PReLU(64), nn.Linear(64, 3))
    learn(model, x, y, optimizer=torch.optim.AdamW(model.parameters(), 0.01, weight_decay=decay))


def selu_setup(is_sick: bool) -> None:
    x, y, _ = rows()
    torch.manual_seed(0)
    drop = nn.Dropout(0.1) if is_sick else nn.AlphaDropout(0.1)
    model = nn.Sequential(nn.Linear(FEATURES, 64), nn.SELU(), drop, nn.Linear(64, 3))
    nn.init.kaiming_normal_(model[0].weight, nonlinearity="linear")
    learn(model, x, y)


def batch_of_one(batch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 1, 6, 6, generator=generator)
    y = (x.mean((1, 2, 3)) > 0).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                          nn.Linear(128, 2))  # fmt: skip
    learn(model, x, y, batch=batch, steps=120)


def leaked_rows(is_sick: bool) -> None:
    x, y, _ = rows()
    x_held, y_held, _ = rows(1)
    model = perceptron()
    held = (x[:128], y[:128]) if is_sick else (x_held[:128], y_held[:128])
    learn(model, x, y, after_epoch=scored(model, *held))


def rate(lr: float, *, sgd: bool = True, steps: int = 160) -> None:
    x, y, _ = rows()
    model = perceptron()
    kind = torch.optim.SGD if sgd else torch.optim.Adam
    learn(model, x, y, optimizer=kind(model.parameters(), lr), steps=steps)


def noise_targets(is_sick: bool) -> None:
    x, y, _ = rows()
    if is_sick:
        y = torch.randint(0, 3, y.shape, generator=torch.Generator().manual_seed(5))
    model = perceptron()
    learn(model, x, y, optimizer=torch.optim.SGD(model.parameters(), 0.02))


def jumping(lr: float) -> None:
    x, _, amount = rows()
    model = perceptron(1)
    optimizer = torch.optim.SGD(model.parameters(), lr)
    learn(model, x, amount[:, None], F.mse_loss, optimizer=optimizer, steps=240)


def plateau(is_sick: bool) -> None:
    """The first rate is nothing: the share of a class is learned, and then no more."""
    x, _, amount = rows()
    model = perceptron(1)
    if is_sick:
        x = x[:, torch.randperm(FEATURES)] * 0 + torch.randn(x.shape)
    y = amount[:, None] + 2
    learn(model, x, y, F.mse_loss, steps=240, optimizer=torch.optim.SGD(model.parameters(), 0.02))


def cut_short(is_sick: bool) -> None:
    """A noisy amount; the sick training ends while it still learns."""
    x, _, _ = rows()
    noise = torch.randn(ROWS, generator=torch.Generator().manual_seed(7))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, 1))
    y = (x[:, 0] + 0.3 * noise)[:, None]
    optimizer = torch.optim.SGD(model.parameters(), 0.003 if is_sick else 0.02)
    learn(model, x, y, F.mse_loss, optimizer=optimizer, steps=300 if is_sick else 1500)


def few_rows(is_sick: bool, *, shuffled: bool = False, steps: int = 400) -> None:
    x, y, _ = rows()
    x_held, y_held, _ = rows(1)
    if shuffled:
        y = torch.randint(0, 3, y.shape, generator=torch.Generator().manual_seed(5))
    if is_sick:
        x, y = x[:64], y[:64]
    model = perceptron()
    learn(model, x, y, steps=steps, after_epoch=scored(model, x_held, y_held))


def never_predicted(is_sick: bool) -> None:
    x, y, _ = rows()
    x_held, y_held, _ = rows(1)
    model = perceptron()
    if is_sick:
        x, y = x[y != 1], y[y != 1]
    learn(model, x, y, steps=160, after_epoch=scored(model, x_held, y_held))


SICK: dict[Code, Callable[[], None]] = {
    Code.UNSCALED_INPUT: lambda: unscaled_input(300.0),
    Code.NONFINITE_INPUT: lambda: input_with(math.nan),
    Code.CONSTANT_INPUT: lambda: constant_input(True),
    Code.CONSTANT_TARGET: lambda: constant_target(True),
    Code.MISSING_TARGET: lambda: missing_target(math.nan),
    Code.IMBALANCE: lambda: imbalance(20),
    Code.UNSCALED_TARGET: lambda: unscaled_target(200.0),
    Code.ONE_OUTPUT: lambda: one_output(True),
    Code.SOFTMAX_TWICE: lambda: head(F.cross_entropy, nn.Softmax(1)),
    Code.SIGMOID_TWICE: lambda: binary_head(F.binary_cross_entropy_with_logits, nn.Sigmoid()),
    Code.LOGITS_AS_PROBABILITIES: lambda: by_hand(True),
    Code.NLL_WITHOUT_LOG: lambda: head(F.nll_loss),
    Code.BOUNDED_LOGITS: lambda: head(F.cross_entropy, nn.ReLU()),
    Code.BOUNDED_REGRESSION: lambda: amount_head(nn.Sigmoid()),
    Code.SQUARED_ERROR_ON_CLASSES: lambda: squared_error_on_classes(True),
    Code.BROADCAST_LOSS: lambda: broadcast_loss(True),
    Code.FIRST_LOSS: lambda: first_loss(300.0),
    Code.LINEAR_STACK: lambda: linear_stack(True),
    Code.NOT_OPTIMISED: lambda: not_optimised(True),
    Code.NO_GRADIENT: lambda: no_gradient(True),
    Code.GRADIENTS_KEPT: lambda: gradients_kept(True),
    Code.EVAL_WHILE_TRAINING: lambda: eval_while_training(True),
    Code.DECAYED_SLOPES: lambda: decayed_slopes(0.1),
    Code.SELU_SETUP: lambda: selu_setup(True),
    Code.BATCH_OF_ONE: lambda: batch_of_one(1),
    Code.LEAKED_ROWS: lambda: leaked_rows(True),
    Code.DIVERGING: lambda: unscaled_target(1e18),
    Code.NOT_DECREASING: lambda: noise_targets(True),
    Code.OSCILLATING: lambda: jumping(0.5),
    Code.RATE_TOO_HIGH: lambda: rate(20.0),
    Code.RATE_TOO_LOW: lambda: rate(1e-5),
    Code.PLATEAU: lambda: plateau(True),
    Code.STILL_IMPROVING: lambda: cut_short(True),
    Code.OVER_FITTING: lambda: few_rows(True),
    Code.OVER_TRAINING: lambda: few_rows(True),
    Code.MEMORISING: lambda: few_rows(True, shuffled=True),
    Code.CLASS_NEVER_PREDICTED: lambda: never_predicted(True),
}

HEALTHY: dict[Code, Callable[[], None]] = {
    Code.UNSCALED_INPUT: lambda: unscaled_input(1.0),
    Code.NONFINITE_INPUT: lambda: input_with(0.0),
    Code.CONSTANT_INPUT: lambda: constant_input(False),
    Code.CONSTANT_TARGET: lambda: constant_target(False),
    Code.MISSING_TARGET: lambda: missing_target(0.0),
    Code.IMBALANCE: lambda: imbalance(200),
    Code.UNSCALED_TARGET: lambda: unscaled_target(1.0),
    Code.ONE_OUTPUT: lambda: one_output(False),
    Code.SOFTMAX_TWICE: lambda: head(F.cross_entropy),
    Code.SIGMOID_TWICE: lambda: binary_head(F.binary_cross_entropy_with_logits),
    Code.LOGITS_AS_PROBABILITIES: lambda: by_hand(False),
    Code.NLL_WITHOUT_LOG: lambda: head(F.nll_loss, nn.LogSoftmax(1)),
    Code.BOUNDED_LOGITS: lambda: head(F.cross_entropy),
    Code.BOUNDED_REGRESSION: amount_head,
    Code.SQUARED_ERROR_ON_CLASSES: lambda: squared_error_on_classes(False),
    Code.BROADCAST_LOSS: lambda: broadcast_loss(False),
    Code.FIRST_LOSS: lambda: first_loss(1.0),
    Code.LINEAR_STACK: lambda: linear_stack(False),
    Code.NOT_OPTIMISED: lambda: not_optimised(False),
    Code.NO_GRADIENT: lambda: no_gradient(False),
    Code.GRADIENTS_KEPT: lambda: gradients_kept(False),
    Code.EVAL_WHILE_TRAINING: lambda: eval_while_training(False),
    Code.DECAYED_SLOPES: lambda: decayed_slopes(0.0),
    Code.SELU_SETUP: lambda: selu_setup(False),
    Code.BATCH_OF_ONE: lambda: batch_of_one(32),
    Code.LEAKED_ROWS: lambda: leaked_rows(False),
    Code.DIVERGING: lambda: unscaled_target(1.0),
    Code.NOT_DECREASING: lambda: noise_targets(False),
    Code.OSCILLATING: lambda: jumping(0.05),
    Code.RATE_TOO_HIGH: lambda: rate(0.1),
    Code.RATE_TOO_LOW: lambda: rate(0.1),
    Code.PLATEAU: lambda: plateau(False),
    Code.STILL_IMPROVING: lambda: cut_short(False),
    Code.OVER_FITTING: lambda: few_rows(False),
    Code.OVER_TRAINING: lambda: few_rows(False, steps=128),
    Code.MEMORISING: lambda: few_rows(False),
    Code.CLASS_NEVER_PREDICTED: lambda: never_predicted(False),
}
