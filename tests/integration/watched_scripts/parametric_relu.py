"""A net of parametric ReLUs: one slope for all channels, one for each, and a functional one."""

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.act1 = nn.PReLU()
        self.fc1 = nn.Linear(96, 10)
        self.act2 = nn.PReLU(10, init=0.1)
        self.fc2 = nn.Linear(10, 8)
        self.slope = nn.Parameter(torch.full((1,), 0.05))
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        x = self.act1(self.conv(x))  # sees act1 6
        x = self.act2(self.fc1(x.flatten(1)))  # sees act2 10
        x = F.prelu(self.fc2(x), self.slope)  # sees prelu(fc2) 8
        return self.out(x)


torch.manual_seed(0)
X, y = torch.randn(64, 1, 6, 6), torch.randint(0, 3, (64,))
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for step in range(12):
    batch = torch.randint(0, 64, (16,))
    loss = F.cross_entropy(model(X[batch]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()  # steps 12
    print(step, f"{loss.item():.6f}")
print("slopes", model.act1.weight.item(), model.act2.weight.tolist(), model.slope.item())
print_fingerprint(model)
