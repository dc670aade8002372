"""A model under torch.compile; its activations are applied inside the compiled region."""

import sys

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(12, 24)
        self.fc2 = nn.Linear(24, 24)
        self.fc3 = nn.Linear(24, 3)

    def forward(self, x):
        x = F.relu(self.fc1(x))  # sees relu(fc1) 24
        x = torch.relu(self.fc2(x))  # sees relu(fc2) 24
        return self.fc3(x)


torch.manual_seed(0)
X, y = torch.randn(96, 12), torch.randint(0, 3, (96,))
model = Net()
compiled = torch.compile(model, backend=sys.argv[1], fullgraph=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(12):
    batch = torch.randint(0, 96, (32,))
    loss = F.cross_entropy(compiled(X[batch]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()  # steps 12
    print(step, f"{loss.item():.6f}")
print("graphs", torch._dynamo.utils.counters["stats"]["unique_graphs"])
print_fingerprint(model)
