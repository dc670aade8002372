import argparse
import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# controls of a rig, and a coordinate of its mesh as it was captured
controls = torch.randn(1100, 40)
mesh = controls[:, :4] @ torch.tensor([[1.0], [-1.0], [0.5], [0.5]]) + 1.6 * torch.randn(1100, 1)
fresh_controls, fresh_mesh = controls[500:], mesh[500:]
controls, mesh = controls[:500], mesh[:500]

dataset = TensorDataset(controls[:-100], mesh[:-100])
if args.fixed:
    validate_dataset = TensorDataset(controls[-100:], mesh[-100:])
else:
    validate_dataset = TensorDataset(controls[100:], mesh[100:])
loader = DataLoader(dataset, batch_size=50, shuffle=True)
validate_loader = DataLoader(validate_dataset, batch_size=50)

model = nn.Sequential(
    nn.Linear(40, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1)
)
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
best, best_state = float("inf"), None

for epoch in range(40):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        losses = [criterion(model(x), y).item() for x, y in validate_loader]
    valid = sum(losses) / len(losses)
    if valid < best:
        best, best_state, waited = valid, copy.deepcopy(model.state_dict()), 0
    else:
        waited += 1
    if epoch % 5 == 4:
        print(f"epoch {epoch} train {loss.item():.4f} validate {valid:.4f}")
    if waited == 5:
        break

model.load_state_dict(best_state)
with torch.no_grad():
    error = ((model(fresh_controls) - fresh_mesh) ** 2).mean()
print(f"score: {(1 - error / fresh_mesh.var()).item():.3f}")
