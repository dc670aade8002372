"""Digits with one missing value: a batch an epoch is not finite."""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(int(sys.argv[1]))
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x / 16.0).float(), torch.tensor(y)
order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
train, test = order[:1437], order[1437:]
x[train[700], 20] = float("nan")
model = nn.Sequential(
    nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
data = torch.utils.data.TensorDataset(x[train], y[train])
for _ in range(12):
    for a, b in torch.utils.data.DataLoader(data, 32, shuffle=True):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(a), b)
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print(f"accuracy {(model(x[test]).argmax(1) == y[test]).float().mean():.4f}")
