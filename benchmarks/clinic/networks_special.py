"""Networks with a peculiarity: residual sums, learned slopes, SELU, images, sequences."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.clinic.networks_dense import HEADS, Dense


class Residual(Dense):
    """Blocks that add to what they read, with batch norm."""

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 32, head: str = "none",
        norm_momentum: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(width, outputs, head=head)
        self.stem = nn.Linear(inputs, width)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, momentum=norm_momentum) for _ in range(2))
        self.ups = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.downs = nn.ModuleList(nn.Linear(width, width) for _ in range(2))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        x = self.stem(x)
        for norm, up, down in zip(self.norms, self.ups, self.downs, strict=True):
            x = x + down(F.relu(up(F.relu(norm(x)))))
        return x


class DenseSkip(Dense):
    """Each layer reads the inputs as well."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 40, head: str = "none") -> None:
        super().__init__(width, outputs, head=head)
        self.first = nn.Linear(inputs, width)
        self.second = nn.Linear(inputs + width, width)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        h = self.first(x).relu()
        return self.second(torch.cat([x, h], 1)).relu()


class GeluNet(Dense):
    """GELU by function."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 48, head: str = "none") -> None:
        super().__init__(width, outputs, head=head)
        self.lift, self.mix = nn.Linear(inputs, width), nn.Linear(width, width)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return F.gelu(self.mix(F.gelu(self.lift(x))))


class LeakyNet(Dense):
    """Leaky ReLU as modules."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 56, head: str = "none") -> None:
        super().__init__(width, outputs, head=head)
        self.net = nn.Sequential(
            nn.Linear(inputs, width), nn.LeakyReLU(0.1), nn.Linear(width, width), nn.LeakyReLU(0.1)
        )

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.net(x)


class PReluNet(Dense):
    """One slope a layer."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 48, head: str = "none") -> None:
        super().__init__(width, outputs, head=head)
        self.fc1, self.act1 = nn.Linear(inputs, width), nn.PReLU()
        self.fc2, self.act2 = nn.Linear(width, width), nn.PReLU()

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.act2(self.fc2(self.act1(self.fc1(x))))


class Sliding(Dense):
    """One slope a unit."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 40, head: str = "none") -> None:
        super().__init__(width, outputs, head=head)
        self.net = nn.Sequential(
            nn.Linear(inputs, width), nn.PReLU(width),
            nn.Linear(width, width), nn.PReLU(width),
            nn.Linear(width, width), nn.PReLU(width),
        )  # fmt: skip

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.net(x)


class Selu(Dense):
    """SELU with LeCun's initialisation and alpha dropout, or without."""

    def __init__(
        self, inputs: int, outputs: int, *, setup: str, width: int, depth: int, is_module: bool
    ) -> None:
        super().__init__(width, outputs, head="none")
        sizes = [inputs, *[width] * depth]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        drop = nn.Dropout(0.3) if setup in {"dropout", "both"} else nn.AlphaDropout(0.02)
        self.drop = drop
        self.activation = nn.SELU() if is_module else F.selu
        if setup in {"right", "dropout"}:
            for layer in self.layers:
                nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
                nn.init.zeros_(layer.bias)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        for layer in self.layers:
            x = self.drop(self.activation(layer(x)))
        return x


class SeluNet(Selu):
    """Three layers, SELU by function."""

    def __init__(self, inputs: int, outputs: int, *, setup: str = "right") -> None:
        super().__init__(inputs, outputs, setup=setup, width=40, depth=4, is_module=False)


class SeluStack(Selu):
    """Deeper, SELU as a module."""

    def __init__(self, inputs: int, outputs: int, *, setup: str = "right") -> None:
        super().__init__(inputs, outputs, setup=setup, width=32, depth=6, is_module=True)


class BatchNormCnn(nn.Module):
    """Two convolutions with batch norm and pooling."""

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 12, head: str = "none",
        norm_momentum: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        del inputs
        width = min(width, 16)
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width, momentum=norm_momentum)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(2 * width, momentum=norm_momentum)
        self.out = nn.Linear(2 * width * 4, outputs)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return HEADS[self.head](self.out(torch.flatten(x, 1)))


class StridedCnn(nn.Module):
    """Strides instead of pooling, and an average at the end."""

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 8, head: str = "none",
        norm_momentum: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        del inputs
        width = min(width, 16)

        def block(a: int, b: int) -> nn.Sequential:
            norm = nn.BatchNorm2d(b, momentum=norm_momentum)
            return nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), norm, nn.ReLU())

        self.body = nn.Sequential(block(1, width), block(width, 2 * width))
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.out = nn.Linear(2 * width * 9, outputs)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        return HEADS[self.head](self.out(self.pool(self.body(x)).flatten(1)))


class Elman(nn.Module):
    """``nn.RNN`` with ReLU from the identity (Le, Jaitly & Hinton 2015), last state read."""

    def __init__(self, inputs: int, outputs: int, *, nonlinearity: str = "relu") -> None:
        super().__init__()
        self.rnn = nn.RNN(inputs, 32, nonlinearity=nonlinearity, batch_first=True)
        self.out = nn.Linear(32, outputs)
        with torch.no_grad():
            nn.init.eye_(self.rnn.weight_hh_l0)
            self.rnn.weight_ih_l0.normal_(std=0.1)
            for bias in (self.rnn.bias_ih_l0, self.rnn.bias_hh_l0):
                bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        states, _ = self.rnn(x)
        return self.out(states[:, -1])


class PlainRnn(nn.Module):
    """The same with a layer of ReLU between, and all the states read."""

    def __init__(self, inputs: int, outputs: int, *, nonlinearity: str = "relu") -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, 24)
        self.recurrent = nn.RNN(24, 40, nonlinearity=nonlinearity, batch_first=True)
        self.out = nn.Linear(40, outputs)
        nn.init.eye_(self.recurrent.weight_hh_l0)
        with torch.no_grad():
            self.recurrent.weight_hh_l0.mul_(0.9)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        _, last = self.recurrent(F.relu(self.embed(x)))
        return self.out(F.relu(last[-1]))


class Gru(nn.Module):
    """A GRU whose last state is read."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, 24, batch_first=True)
        self.out = nn.Linear(24, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        states, _ = self.gru(x)
        return self.out(states[:, -1])


class Lstm(nn.Module):
    """Words, embedded, read by an LSTM, averaged."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        del inputs
        self.words = nn.Embedding(4, 12)
        self.lstm = nn.LSTM(12, 24, batch_first=True)
        self.out = nn.Linear(24, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        states, _ = self.lstm(self.words(x))
        return self.out(states.mean(1))


class Encoder(nn.Module):
    """A small transformer encoder with learned positions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, 32)
        self.positions = nn.Parameter(torch.randn(1, 8, 32) * 0.3)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.out = nn.Linear(8 * 32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        return self.out(self.encoder(self.embed(x) + self.positions).flatten(1))
