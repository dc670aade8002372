import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# molecules of 12 atoms with 8 features around 1; what is measured depends on their sum
molecules = 1 + 0.05 * torch.randn(500, 12, 8)
measured = molecules.sum(1) @ torch.randn(8, 1) + 0.1 * torch.randn(500, 1)
measured = (measured - measured.mean()) / measured.std()
loader = DataLoader(TensorDataset(molecules[:300], measured[:300]), batch_size=60, shuffle=True)


class MPNN(nn.Module):
    def __init__(self, hidden=1000):
        super().__init__()
        self.message_passing = nn.Sequential(nn.Linear(8, hidden), nn.ReLU())
        self.bn = nn.BatchNorm1d(hidden, track_running_stats=not args.fixed)
        self.predictor = nn.Sequential(nn.Linear(hidden, 100), nn.ReLU(), nn.Linear(100, 1))

    def forward(self, atoms):
        return self.predictor(self.bn(self.message_passing(atoms).sum(1)))


model = MPNN()
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(6):
    model.train()
    train_loss = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        train_loss += loss.item() / len(loader)
    model.eval()
    with torch.no_grad():
        val_loss = criterion(model(molecules[300:]), measured[300:]).item()
    print(f"epoch {epoch} train_loss {train_loss:.3f} val_loss {val_loss:.3f}")

print(f"score: {1 - val_loss / measured[300:].var().item():.3f}")
