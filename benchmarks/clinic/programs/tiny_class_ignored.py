import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# three classes of pixels: a large background, a square, and in one picture of four a dot
COUNT, SIZE = 500, 16
masks = torch.zeros(COUNT, SIZE, SIZE, dtype=torch.long)
for mask in masks:
    top, left = torch.randint(2, SIZE - 8, (2,)).tolist()
    mask[top : top + 6, left : left + 6] = 1
    if torch.rand(()) < 0.25:
        mask[torch.randint(1, SIZE - 1, ()), torch.randint(1, SIZE - 1, ())] = 2
shades = torch.tensor([0.0, 1.0, 0.6])
pictures = (shades[masks] + 0.15 * torch.randn(COUNT, SIZE, SIZE))[:, None]
loader = DataLoader(TensorDataset(pictures[:400], masks[:400]), batch_size=16, shuffle=True)

model = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(12, 12, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(12, 3, 1),
)
weight = torch.tensor([1.0, 5.0, 200.0]) if args.fixed else None
criterion = nn.CrossEntropyLoss(weight=weight)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(10):
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} loss {total / len(loader):.4f}")

with torch.no_grad():
    predicted = model(pictures[400:]).argmax(1)
truth = masks[400:]
recall = [(predicted[truth == k] == k).float().mean() for k in range(3)]
print("recall", [round(r.item(), 3) for r in recall])
print(f"score: {torch.stack(recall).mean().item():.3f}")
