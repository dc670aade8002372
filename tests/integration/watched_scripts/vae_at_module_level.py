"""A variational autoencoder without any function of its own: all at module level."""

import torch
from fingerprint import print_fingerprint
from torch import nn
from torch.nn.functional import binary_cross_entropy, relu

torch.manual_seed(7)
X = (torch.rand(128, 36) > 0.6).float()
enc, mu_layer, logvar_layer = nn.Linear(36, 20), nn.Linear(20, 4), nn.Linear(20, 4)
dec1, dec2 = nn.Linear(4, 20), nn.Linear(20, 36)
layers = nn.ModuleList([enc, mu_layer, logvar_layer, dec1, dec2])
optimizer = torch.optim.Adam(layers.parameters(), lr=1e-2)
for step in range(12):
    x = X[torch.randint(0, 128, (32,))]
    h = relu(enc(x))  # sees relu(Linear) 20
    mu, logvar = mu_layer(h), logvar_layer(h)
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    h = relu(dec1(z))  # sees relu(Linear#4) 20
    x_hat = torch.sigmoid(dec2(h))  # sees sigmoid(Linear#5) 36
    bce = binary_cross_entropy(x_hat, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    optimizer.zero_grad()
    (bce + kld).backward()
    optimizer.step()  # steps 12
    print(step, f"{bce.item():.4f} {kld.item():.4f}")
print_fingerprint(layers)
