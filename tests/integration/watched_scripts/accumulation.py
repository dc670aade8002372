"""Gradients of four small batches are accumulated for one update."""

import torch
from fingerprint import print_fingerprint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
X = torch.randn(256, 8)
loader = DataLoader(TensorDataset(X, X.abs().sum(1)), batch_size=16, shuffle=True)
net = nn.Sequential()
net.add_module("in", nn.Linear(8, 32))
net.add_module("act", nn.ReLU6())
net.add_module("out", nn.Linear(32, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
updates = 0
for epoch in range(2):
    for i, (x, target) in enumerate(loader):
        loss = ((net(x).squeeze(1) - target) ** 2).mean() / 4  # sees act 32
        loss.backward()
        if (i + 1) % 4 == 0:
            optimizer.step()  # steps 8
            optimizer.zero_grad()
            updates += 1
    print(epoch, updates, f"{loss.item():.6f}")
print_fingerprint(net)
