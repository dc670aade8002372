import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

images, digits = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)
labels = torch.tensor(digits >= 5, dtype=torch.float32).view(-1, 1)
order = torch.randperm(len(images))
train, test = order[:1400], order[1400:]
loader = DataLoader(TensorDataset(images[train], labels[train]), batch_size=32, shuffle=True)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.fc_last_1 = nn.Linear(256, 64)
        self.fc_last_2 = nn.Linear(64, 1)

    def forward(self, x):
        out = F.relu(self.conv2(F.relu(self.conv1(x))))
        out = F.relu(self.fc_last_1(out.flatten(1)))
        out = self.fc_last_2(out)
        return out if args.fixed else F.relu(out)


model = Net()
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(12):
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        output = torch.sigmoid(model(x))
        loss = criterion(output, y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} loss {total / len(loader):.4f}")

model.eval()
with torch.no_grad():
    predicted = torch.sigmoid(model(images[test])) >= 0.5
accuracy = (predicted.float() == labels[test]).float().mean().item()
print(f"score: {accuracy:.3f}")
