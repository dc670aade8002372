import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# the four corners, and noisy copies of them
corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
exclusive = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
X = corners.repeat(150, 1) + 0.1 * torch.randn(600, 2)
Y = exclusive.repeat(150, 1)
loader = DataLoader(TensorDataset(X[:400], Y[:400]), batch_size=10, shuffle=True)

input_dim, hidden_dim, output_dim = 2, 8, 1
layers = [nn.Linear(input_dim, hidden_dim), nn.Linear(hidden_dim, output_dim), nn.Sigmoid()]
if args.fixed:
    layers.insert(1, nn.ReLU())
model = nn.Sequential(*layers)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.3)

for epoch in range(60):
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    if epoch % 10 == 9:
        print(f"epoch {epoch} loss {total / len(loader):.4f}")

with torch.no_grad():
    accuracy = ((model(X[400:]) > 0.5).float() == Y[400:]).float().mean().item()
print(f"score: {accuracy:.3f}")
