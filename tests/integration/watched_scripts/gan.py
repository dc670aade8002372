"""A generator and a discriminator, each with its own optimizer."""

import torch
from fingerprint import print_fingerprint
from torch import nn


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(True), nn.Linear(16, 16), nn.ReLU(True), nn.Linear(16, 2)
        )

    def forward(self, z):
        return self.main(z)  # sees main.1 16 · main.3 16


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(2, 24), nn.LeakyReLU(0.2, inplace=True), nn.Linear(24, 1), nn.Sigmoid()
        )

    def forward(self, x):
        return self.main(x).squeeze(1)  # sees Discriminator.main.1 24 · Discriminator.main.3 1


torch.manual_seed(5)
G, D = Generator(), Discriminator()
criterion = nn.BCELoss()
optimizerD = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.999))
optimizerG = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.999))
for step in range(10):
    angle = 6.283 * torch.rand(64)
    real = torch.stack([angle.cos(), angle.sin()], 1)
    D.zero_grad()
    noise = torch.randn(64, 8)
    fake = G(noise)
    errD_real = criterion(D(real), torch.ones(64))
    errD_real.backward()
    errD_fake = criterion(D(fake.detach()), torch.zeros(64))
    errD_fake.backward()
    optimizerD.step()
    G.zero_grad()
    errG = criterion(D(fake), torch.ones(64))
    errG.backward()
    optimizerG.step()  # steps 10
    print(step, f"{(errD_real + errD_fake).item():.6f} {errG.item():.6f}")
print_fingerprint(G, D)
