"""Wine with raw columns, one of them up to 1,680: units die in the first steps."""

import sys

import torch
from sklearn.datasets import load_wine
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(int(sys.argv[1]))
x, y = load_wine(return_X_y=True)
x, y = torch.tensor(x).float(), torch.tensor(y)
order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
train, test = order[:130], order[130:]
model = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(1000):
    rows = train[torch.randint(130, (32,))]
    loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    print(f"accuracy {(model(x[test]).argmax(1) == y[test]).float().mean():.4f}")
