"""Dense networks as people write them. ``features`` ends before the last layer, ``out``."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "leaky": F.leaky_relu,
    "elu": F.elu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "none": lambda z: z,
}

MODULES: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "leaky": nn.LeakyReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "none": nn.Identity,
}

HEADS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "none": lambda z: z,
    "softmax": lambda z: F.softmax(z, dim=1),
    "log_softmax": lambda z: F.log_softmax(z, dim=1),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "softplus": F.softplus,
}
"""What the last line of ``forward`` does to the output of the last layer."""


class Dense(nn.Module):
    """What the dense networks share: features, perhaps mistreated, and a head."""

    def __init__(
        self, width: int, outputs: int, *, head: str, detach: bool = False, gate: float = 1.0
    ) -> None:
        super().__init__()
        self.head, self.detach, self.gate = head, detach, gate
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return one row of outputs for each row of inputs."""
        h = self.features(x.flatten(1))
        if self.detach:
            h = h.detach()
        if self.gate != 1.0:
            h = h * self.gate
        return HEADS[self.head](self.out(h))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        raise NotImplementedError


class Functional(Dense):
    """Layers with names, activations as functions."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 48,
        depth: int = 2,
        activation: str = "relu",
        head: str = "none",
        **rest: float,
    ) -> None:
        super().__init__(width, outputs, head=head, **rest)
        self.depth, self.activation = depth, FUNCTIONS[activation]
        for i in range(depth):
            setattr(self, f"fc{i + 1}", nn.Linear(inputs if i == 0 else width, width))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        for i in range(self.depth):
            x = self.activation(getattr(self, f"fc{i + 1}")(x))
        return x


class TanhNet(Functional):
    """The same with tanh."""

    def __init__(
        self, inputs: int, outputs: int, *, activation: str = "tanh", **rest: float
    ) -> None:
        super().__init__(inputs, outputs, activation=activation, **rest)


class Tower(Dense):
    """One ``nn.Sequential``, with dropout."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 40,
        depth: int = 2,
        activation: str = "relu",
        head: str = "none",
        dropout: float = 0.1,
        **rest: float,
    ) -> None:
        super().__init__(width, outputs, head=head, **rest)
        layers: list[nn.Module] = []
        for i in range(depth):
            linear = nn.Linear(inputs if i == 0 else width, width)
            layers += [linear, MODULES[activation](), nn.Dropout(dropout)]
        self.body = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.body(x)


class BatchNormTower(Dense):
    """One ``nn.Sequential`` with a norm before each activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 48,
        depth: int = 2,
        activation: str = "relu",
        head: str = "none",
        norm: str = "batch",
        norm_momentum: float = 0.1,
        **rest: float,
    ) -> None:
        super().__init__(width, outputs, head=head, **rest)
        layers: list[nn.Module] = []
        for i in range(depth):
            linear = nn.Linear(inputs if i == 0 else width, width)
            layers += [linear, norm_of(norm, width, norm_momentum), MODULES[activation]()]
        self.body = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.body(x)


def norm_of(kind: str, width: int, momentum: float) -> nn.Module:
    """Return a batch or a layer norm."""
    if kind == "layer":
        return nn.LayerNorm(width)
    return nn.BatchNorm1d(width, momentum=momentum)


class Listed(Dense):
    """A ``ModuleList``, and ``torch.relu`` in a loop."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 56,
        depth: int = 3,
        activation: str = "relu",
        head: str = "none",
        **rest: float,
    ) -> None:
        super().__init__(width, outputs, head=head, **rest)
        sizes = [inputs, *[width] * depth]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activation = torch.relu if activation == "relu" else FUNCTIONS[activation]

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        for layer in self.layers:
            x = self.activation(layer(x))
        return x


class Squashed(Listed):
    """The same with tanh, and wide."""

    def __init__(
        self, inputs: int, outputs: int, *, activation: str = "tanh", **rest: float
    ) -> None:
        super().__init__(inputs, outputs, activation=activation, **({"depth": 2} | rest))


class Dropped(Dense):
    """A ``ModuleList`` with ``F.dropout`` that asks ``self.training``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 72,
        depth: int = 2,
        activation: str = "relu",
        head: str = "none",
        dropout: float = 0.2,
        **rest: float,
    ) -> None:
        super().__init__(width, outputs, head=head, **rest)
        self.first = nn.Linear(inputs, width)
        self.more = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.activation, self.dropout = FUNCTIONS[activation], dropout

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        x = self.activation(self.first(x))
        for layer in self.more:
            x = F.dropout(x, self.dropout, training=self.training)
            x = self.activation(layer(x))
        return F.dropout(x, self.dropout, training=self.training)


class Block(nn.Module):
    """A layer, its norm and its activation."""

    def __init__(self, inputs: int, width: int, activation: str, norm: nn.Module) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(inputs, width), norm
        self.activation = MODULES[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        return self.activation(self.norm(self.linear(x)))


class Blocked(Dense):
    """Blocks of linear, norm and activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 64,
        depth: int = 3,
        activation: str = "relu",
        head: str = "none",
        norm: str = "batch",
        norm_momentum: float = 0.1,
        **rest: float,
    ) -> None:
        super().__init__(width, outputs, head=head, **rest)
        self.blocks = nn.ModuleList(
            Block(width if i else inputs, width, activation, norm_of(norm, width, norm_momentum))
            for i in range(depth)
        )

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        for block in self.blocks:
            x = block(x)
        return x
