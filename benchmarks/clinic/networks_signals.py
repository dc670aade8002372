"""Networks of the third group for images and sequences, and those that rebuild or make rows."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.clinic.networks_dense import HEADS

MOST_CHANNELS = 16
"""Width of a convolution, however wide a fault or control asks the network to be."""


class LeNet(nn.Module):
    """Convolutions without norm, then two dense layers (after LeCun et al. 1998)."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 8, head: str = "none") -> None:
        super().__init__()
        width, side = min(width, MOST_CHANNELS), math.isqrt(inputs) // 4
        self.c1 = nn.Conv2d(1, width, 5, padding=2)
        self.c2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fc = nn.Linear(2 * width * side * side, 48)
        self.out = nn.Linear(48, outputs)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        x = F.avg_pool2d(self.c1(x).relu(), 2)
        x = F.max_pool2d(self.c2(x).relu(), 2)
        return HEADS[self.head](self.out(self.fc(x.flatten(1)).relu()))


class ResidualCnn(nn.Module):
    """A stem and one residual block with batch norm (He et al. 2016), averaged at the end."""

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 10, head: str = "none",
        norm_momentum: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        del inputs
        width = min(width, MOST_CHANNELS)
        self.stem = nn.Conv2d(1, width, 3, stride=2, padding=1)
        self.stem_norm = nn.BatchNorm2d(width, momentum=norm_momentum)
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width, momentum=norm_momentum),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width, momentum=norm_momentum),
        )
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.out = nn.Linear(9 * width, outputs)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        x = F.relu(self.stem_norm(self.stem(x)))
        x = F.relu(x + self.block(x))
        return HEADS[self.head](self.out(self.pool(x).flatten(1)))


class TimeCnn(nn.Module):
    """Convolutions along time with batch norm, the greatest of each channel read."""

    def __init__(
        self, inputs: int, outputs: int, *, head: str = "none", norm_momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(inputs, 24, 3, padding=1),
            nn.BatchNorm1d(24, momentum=norm_momentum),
            nn.ReLU(),
            nn.Conv1d(24, 32, 5, padding=2),
            nn.BatchNorm1d(32, momentum=norm_momentum),
            nn.ReLU(),
        )
        self.out = nn.Linear(32, outputs)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        return HEADS[self.head](self.out(self.layers(x.transpose(1, 2)).amax(2)))


class StackedRnn(nn.Module):
    """Two recurrent layers of ReLU units that start by remembering (Le, Jaitly & Hinton 2015)."""

    def __init__(self, inputs: int, outputs: int, *, nonlinearity: str = "relu") -> None:
        super().__init__()
        self.rnn = nn.RNN(inputs, 28, num_layers=2, nonlinearity=nonlinearity, batch_first=True)
        self.between, self.out = nn.Linear(28, 20), nn.Linear(20, outputs)
        for weight in (self.rnn.weight_hh_l0, self.rnn.weight_hh_l1):
            nn.init.eye_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        states, _ = self.rnn(x)
        return self.out(F.relu(self.between(states[:, -1])))


class CellRnn(nn.Module):
    """A cell of ReLU units in a loop over time."""

    def __init__(self, inputs: int, outputs: int, *, nonlinearity: str = "relu") -> None:
        super().__init__()
        self.read = nn.Linear(inputs, 16)
        self.cell = nn.RNNCell(16, 36, nonlinearity=nonlinearity)
        self.out = nn.Linear(36, outputs)
        nn.init.eye_(self.cell.weight_hh)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        state = x.new_zeros(len(x), 36)
        for step in torch.relu(self.read(x)).unbind(1):
            state = self.cell(step, state)
        return self.out(state)


class TwoLstms(nn.Module):
    """Two LSTM layers, the last state read."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, 20, num_layers=2, batch_first=True)
        self.out = nn.Linear(20, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        _, (last, _) = self.lstm(x)
        return self.out(last[-1])


class BothWays(nn.Module):
    """Letters, embedded, read from both ends by a GRU; mean and maximum over time."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        del inputs
        self.letters = nn.Embedding(10, 14)
        self.gru = nn.GRU(14, 16, batch_first=True, bidirectional=True)
        self.out = nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        states, _ = self.gru(self.letters(x))
        return self.out(torch.cat([states.mean(1), states.amax(1)], 1))


class AttentionBlock(nn.Module):
    """Norm, then attention; norm, then GELU; both added (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows, each place as wide as before."""
        rows, places, width = x.shape
        qkv = self.to_qkv(self.norm1(x)).view(rows, places, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = x + self.dropout(self.project(seen))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))


class Attention(nn.Module):
    """Two such blocks over places that are told apart by sines (Vaswani et al. 2017)."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 24, places: int = 16) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        rates = torch.exp(-math.log(1e4) * torch.arange(0, width, 2) / width)
        angles = torch.arange(places)[:, None] * rates
        self.register_buffer("places", torch.cat([angles.sin(), angles.cos()], 1))
        self.blocks = nn.Sequential(AttentionBlock(width, 3), AttentionBlock(width, 3))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        return self.out(self.norm(self.blocks(self.embed(x) + self.places)).mean(1))


class DeepAutoencoder(nn.Module):
    """Two layers to a rectified code and two back."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, 64), nn.ReLU())
        self.latent = nn.Linear(64, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 64), nn.ReLU())
        self.out = nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        return self.out(self.decoder(self.latent(self.encoder(x)).relu()))


class WideVae(nn.Module):
    """A variational autoencoder with ELU: returns rows, means, log variances."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, 96)
        self.fc_mu, self.fc_logvar = nn.Linear(96, 12), nn.Linear(96, 12)
        self.fc2, self.out = nn.Linear(12, 96), nn.Linear(96, outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of rows."""
        h = F.elu(self.fc1(x))
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        code = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return self.out(F.elu(self.fc2(code))), mu, logvar


class LeakyGan(nn.Module):
    """A leaky generator and a wider discriminator."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        del outputs
        self.noise = 6
        self.generator = nn.Sequential(
            nn.Linear(6, 40), nn.LeakyReLU(0.2), nn.Linear(40, 40), nn.LeakyReLU(0.2),
            nn.Linear(40, inputs),
        )  # fmt: skip
        self.discriminator = nn.Sequential(
            nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
        )
