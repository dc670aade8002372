import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

USERS, ITEMS = 150, 80
taste, kind = torch.randn(USERS, 2), torch.randn(ITEMS, 2)
pair = torch.randperm(USERS * ITEMS)
user, item = pair // ITEMS, pair % ITEMS
liked = ((taste[user] * kind[item]).sum(1) > 0).float()
train = TensorDataset(user[:10000], item[:10000], liked[:10000])
loader = DataLoader(train, batch_size=128, shuffle=True)


class NeuralRecommender(nn.Module):
    def __init__(self, factors=16):
        super().__init__()
        self.embed_user = nn.Embedding(USERS, factors)
        self.embed_item = nn.Embedding(ITEMS, factors)
        self.mlp = nn.Sequential(
            nn.Linear(3 * factors, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU()
        )
        self.predict_layer = nn.Linear(16, 1)

    def forward(self, user, item):
        u, i = self.embed_user(user), self.embed_item(item)
        scores = self.predict_layer(self.mlp(torch.cat([u, i, u * i], dim=-1))).view(-1)
        return scores if args.fixed else torch.sigmoid(scores)


model = NeuralRecommender()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(15):
    total = 0.0
    for u, i, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(u, i), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} loss {total / len(loader):.4f}")

model.eval()
with torch.no_grad():
    chance = torch.sigmoid(model(user[10000:], item[10000:]))
accuracy = ((chance > 0.5).float() == liked[10000:]).float().mean().item()
print(f"score: {accuracy:.3f}")
