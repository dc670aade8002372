import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# monthly series with a season and a slope; a few months are missing in the first four years
INPUT, HORIZON, MONTHS = 24, 6, 120
month = torch.arange(MONTHS).float()
phase, slope = 6.28 * torch.rand(40, 1), 0.01 * torch.randn(40, 1)
series = torch.sin(6.28 * month / 12 + phase) + slope * month + 0.1 * torch.randn(40, MONTHS)
missing = torch.rand(40, MONTHS) < 0.01
missing[:, 48:] = False
series[missing] = float("nan")

windows = series.unfold(1, INPUT + HORIZON, 3)
past, last = windows[:, :-10].reshape(-1, INPUT + HORIZON), windows[:, -1]
if args.fixed:
    past = past[~past.isnan().any(1)]
loader = DataLoader(TensorDataset(past[:, :INPUT], past[:, INPUT:]), batch_size=32, shuffle=True)


class MLP(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(INPUT, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.out = nn.Linear(hidden, HORIZON)

    def forward(self, insample_y):
        return self.out(self.layers(insample_y))


model = MLP()
criterion = nn.L1Loss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(20):
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} train_loss {total / len(loader):.4f}")

with torch.no_grad():
    error = ((model(last[:, :INPUT]) - last[:, INPUT:]) ** 2).mean()
print(f"score: {(1 - error / last[:, INPUT:].var()).item():.3f}")
