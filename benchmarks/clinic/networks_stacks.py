"""Dense networks of the third group. ``features`` ends before the last layer, ``out``."""

from collections import OrderedDict
from itertools import pairwise

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.clinic.networks_dense import MODULES, Dense, norm_of


class Funnel(Dense):
    """Each layer has half the units of the one before; layers with names in a row."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 96,
        depth: int = 3,
        activation: str = "relu",
        head: str = "none",
        **rest: float,
    ) -> None:
        widths = [max(min(width, 16), width >> i) for i in range(depth)]
        super().__init__(widths[-1], outputs, head=head, **rest)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (a, b) in enumerate(pairwise([inputs, *widths]), 1):
            layers[f"linear{i}"], layers[f"activation{i}"] = nn.Linear(a, b), MODULES[activation]()
        self.backbone = nn.Sequential(layers)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.backbone(x)


class InPlace(Dense):
    """Four layers, with ReLU in place."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 64,
        depth: int = 4,
        activation: str = "relu",
        head: str = "none",
        **rest: float,
    ) -> None:
        super().__init__(width, outputs, head=head, **rest)
        layers: list[nn.Module] = []
        for i in range(depth):
            layers.append(nn.Linear(width if i else inputs, width))
            layers.append(nn.ReLU(inplace=True) if activation == "relu" else MODULES[activation]())
        self.model = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.model(x)


class Logistic(InPlace):
    """Two layers of sigmoid units."""

    def __init__(
        self, inputs: int, outputs: int, *, activation: str = "sigmoid", **rest: float
    ) -> None:
        given = {"width": 32, "depth": 2} | rest
        super().__init__(inputs, outputs, activation=activation, **given)


class Shared(Dense):
    """A dictionary of layers; one activation and one dropout serve them all."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 88,
        depth: int = 2,
        activation: str = "relu",
        head: str = "none",
        dropout: float = 0.15,
        **rest: float,
    ) -> None:
        super().__init__(width, outputs, head=head, **rest)
        self.layers = nn.ModuleDict(
            {f"hidden{i}": nn.Linear(width if i else inputs, width) for i in range(depth)}
        )
        self.act, self.drop = MODULES[activation](), nn.Dropout(dropout)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        for layer in self.layers.values():
            x = self.drop(self.act(layer(x)))
        return x


class AfterNorm(Dense):
    """The norm comes after the activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 44,
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
            linear = nn.Linear(width if i else inputs, width)
            layers += [linear, MODULES[activation](), norm_of(norm, width, norm_momentum)]
        self.stages = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.stages(x)


class Swish(Dense):
    """SiLU in two residual steps with layer norm."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 36, head: str = "none") -> None:
        super().__init__(width, outputs, head=head)
        self.project = nn.Linear(inputs, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mixes = nn.ModuleList(nn.Linear(width, width) for _ in range(2))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        x = F.silu(self.project(x))
        for norm, mix in zip(self.norms, self.mixes, strict=True):
            x = x + F.silu(mix(norm(x)))
        return x


class Sloped(Dense):
    """Three layers, the first with a slope for each unit, which start at a tenth."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 52, head: str = "none") -> None:
        super().__init__(width, outputs, head=head)
        self.first, self.slopes = nn.Linear(inputs, width), nn.PReLU(width, init=0.1)
        self.second, self.slope = nn.Linear(width, width), nn.PReLU(init=0.1)
        self.third, self.last_slope = nn.Linear(width, width), nn.PReLU(init=0.1)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        x = self.slopes(self.first(x))
        return self.last_slope(self.third(self.slope(self.second(x))))


class SeluTaper(Dense):
    """SELU, narrower from layer to layer, set up as it is meant to be, or not."""

    def __init__(self, inputs: int, outputs: int, *, setup: str = "right") -> None:
        super().__init__(24, outputs, head="none")
        layers: list[nn.Module] = []
        for a, b in pairwise([inputs, 64, 48, 36, 24]):
            linear = nn.Linear(a, b)
            if setup in {"right", "dropout"}:  # LeCun's normal initialisation
                nn.init.kaiming_normal_(linear.weight, nonlinearity="linear")
                nn.init.zeros_(linear.bias)
            drop = nn.Dropout(0.25) if setup in {"dropout", "both"} else nn.AlphaDropout(0.03)
            layers += [linear, nn.SELU(), drop]
        self.taper = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads."""
        return self.taper(x)
