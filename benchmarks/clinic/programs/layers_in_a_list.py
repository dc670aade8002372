import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# sentence pairs as vectors: the second entails the first, contradicts it, or is neutral
DIM, PAIRS = 16, 4000
premise = torch.randn(PAIRS, DIM)
label = torch.randint(3, (PAIRS,))
follows = torch.tensor([1.0, -1.0, 0.0])[label].view(-1, 1)
hypothesis = follows * premise + (1.2 - 0.6 * follows.abs()) * torch.randn(PAIRS, DIM)
pairs = torch.cat([premise, hypothesis], dim=1)
loader = DataLoader(TensorDataset(pairs[:3200], label[:3200]), batch_size=64, shuffle=True)


class SNLINet(nn.Module):
    def __init__(self, n_layers=3, n_hid=64, act="Tanh"):
        super().__init__()
        self.hids = []
        in_dim = 2 * DIM
        for _ in range(n_layers):
            self.hids.append([nn.Linear(in_dim, n_hid), getattr(nn, act)()])
            in_dim = n_hid
        if args.fixed:
            self.hids = nn.ModuleList([nn.ModuleList(pair) for pair in self.hids])
        self.classifier = nn.Linear(n_hid, 3)

    def forward(self, x):
        for linear, act in self.hids:
            x = act(linear(x))
        return self.classifier(x)


model = SNLINet()
print(model)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(15):
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} loss {total / len(loader):.4f}")

with torch.no_grad():
    accuracy = (model(pairs[3200:]).argmax(1) == label[3200:]).float().mean().item()
print(f"score: {accuracy:.3f}")
