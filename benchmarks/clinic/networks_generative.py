"""Networks that rebuild their inputs, or make new ones."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """A rectified code between two layers."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.encode, self.latent = nn.Linear(inputs, 48), nn.Linear(48, 16)
        self.decode, self.out = nn.Linear(16, 48), nn.Linear(48, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        code = F.relu(self.latent(F.relu(self.encode(x))))
        return self.out(F.relu(self.decode(code)))


class Tied(nn.Module):
    """The decoder is the encoder transposed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.latent = nn.Linear(inputs, 48)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows."""
        return F.linear(torch.relu(self.latent(x)), self.latent.weight.T, self.bias)


class Vae(nn.Module):
    """A variational autoencoder (Kingma & Welling 2013): returns rows, means, log variances."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.encode = nn.Linear(inputs, 48)
        self.mean, self.log_variance = nn.Linear(48, 8), nn.Linear(48, 8)
        self.decode, self.out = nn.Linear(8, 48), nn.Linear(48, outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of rows."""
        h = F.relu(self.encode(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        code = mean
        if self.training:
            code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.out(F.relu(self.decode(code))), mean, log_variance


class DeepVae(nn.Module):
    """The same with two layers each way."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(inputs, 64), nn.LeakyReLU(), nn.Linear(64, 48), nn.LeakyReLU()
        )
        self.to_mean, self.to_log_variance = nn.Linear(48, 10), nn.Linear(48, 10)
        self.decoder = nn.Sequential(
            nn.Linear(10, 48), nn.LeakyReLU(), nn.Linear(48, 64), nn.LeakyReLU()
        )
        self.out = nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of rows."""
        h = self.encoder(x)
        mean, log_variance = self.to_mean(h), self.to_log_variance(h)
        noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        code = mean + torch.exp(0.5 * log_variance) * noise
        return self.out(self.decoder(code)), mean, log_variance


class Gan(nn.Module):
    """A generator and a discriminator of points."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 32) -> None:
        super().__init__()
        del outputs
        self.noise = 8
        self.generator = nn.Sequential(
            nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, inputs),
        )  # fmt: skip
        self.discriminator = nn.Sequential(
            nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, width),
            nn.LeakyReLU(0.2), nn.Linear(width, 1),
        )  # fmt: skip


class SmallGan(nn.Module):
    """The same, smaller, with less noise to start from."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        del outputs
        self.noise = 4
        self.generator = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, inputs))
        self.discriminator = nn.Sequential(
            nn.Linear(inputs, 48), nn.LeakyReLU(0.1), nn.Linear(48, 24), nn.LeakyReLU(0.1),
            nn.Linear(24, 1),
        )  # fmt: skip
