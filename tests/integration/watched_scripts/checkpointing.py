"""Activation checkpointing, reentrant or not: the blocks run a second time in the backward pass."""

import sys

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from torch import nn
from torch.utils.checkpoint import checkpoint

is_reentrant = sys.argv[1] == "reentrant"


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return x + self.drop(F.relu(self.fc(x)))  # sees relu(blocks.0.fc) 16 · relu(blocks.1.fc) 16


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(6, 16)
        self.blocks = nn.ModuleList([Block(16), Block(16)])
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        x = F.relu(self.stem(x))  # sees relu(stem) 16
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=is_reentrant)
        return self.head(x)


torch.manual_seed(0)
X, y = torch.randn(64, 6), torch.randint(0, 2, (64,))
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(12):
    batch = torch.randint(0, 64, (16,))
    loss = F.cross_entropy(model(X[batch]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()  # steps 12
    print(step, f"{loss.item():.6f}")
print_fingerprint(model)
