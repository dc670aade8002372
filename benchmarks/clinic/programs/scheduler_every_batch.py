import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# sharp pictures of discs, and the same at half the size
COUNT, SIZE = 500, 16
center, radius = 4 + 8 * torch.rand(COUNT, 2, 1, 1), 2 + 3 * torch.rand(COUNT, 1, 1)
grid = torch.arange(SIZE).float()
far = (grid[:, None] - center[:, 0]) ** 2 + (grid - center[:, 1]) ** 2
sharp = (far < radius**2).float()[:, None]
coarse = F.avg_pool2d(sharp, 2)
loader = DataLoader(TensorDataset(coarse[:400], sharp[:400]), batch_size=16, shuffle=True)


class Generator(nn.Module):
    def __init__(self, channels=16):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1)
        self.block = nn.Conv2d(channels, channels, 3, padding=1)
        self.up = nn.Sequential(nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2))
        self.conv2 = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x):
        out = F.relu(self.conv1(x))
        out = out + F.relu(self.block(out))
        return self.conv2(F.relu(self.up(out)))


EPOCHS = 8
model = Generator()
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=EPOCHS // 2, gamma=0.1)

for epoch in range(EPOCHS):
    total = 0.0
    for low, high in loader:
        optimizer.zero_grad()
        loss = criterion(model(low), high)
        loss.backward()
        optimizer.step()
        total += loss.item()
        if not args.fixed:
            scheduler.step()
    if args.fixed:
        scheduler.step()
    print(f"epoch {epoch} loss {total / len(loader):.4f}")

with torch.no_grad():
    error = ((model(coarse[400:]) - sharp[400:]) ** 2).mean()
print(f"score: {(1 - error / sharp[400:].var()).item():.3f}")
