"""A Sequential, trained by a loop at module level; it ends with an exit code of its own."""

import sys

import torch
from fingerprint import print_fingerprint
from torch import nn

torch.manual_seed(0)
X = torch.randn(256, 20)
y = (X[:, 0] * X[:, 1] > 0).long()

model = nn.Sequential(
    nn.Linear(20, 32),
    nn.BatchNorm1d(32),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(32, 16),
    nn.ReLU(inplace=True),
    nn.Linear(16, 2),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
criterion = nn.CrossEntropyLoss()
for epoch in range(3):
    for batch in torch.randperm(256).split(64):
        optimizer.zero_grad()
        loss = criterion(model(X[batch]), y[batch])  # sees 2 32 · 5 16
        loss.backward()
        optimizer.step()  # steps 12
    print(f"epoch {epoch}: {loss.item():.6f}")
print_fingerprint(model)
sys.exit(3)
