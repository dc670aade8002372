"""A regression fitted by LBFGS, whose closure runs many passes within one update."""

import torch
from fingerprint import print_fingerprint
from torch import nn


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(1, 20)
        self.outer = nn.Linear(20, 1)

    def forward(self, x):
        return self.outer(self.inner(x).clamp(min=0))  # sees relu(inner) 20


torch.manual_seed(0)
x = torch.linspace(-2, 2, 80).unsqueeze(1)
y = torch.sin(2 * x)
model = Regressor().double()
x, y = x.double(), y.double()
optimizer = torch.optim.LBFGS(model.parameters(), max_iter=6, line_search_fn="strong_wolfe")
calls = 0


def closure():
    global calls
    calls += 1
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    return loss


for epoch in range(6):
    loss = optimizer.step(closure)  # steps 6
    print(epoch, calls, f"{loss.item():.9f}")
print_fingerprint(model)
