"""Gradients of single samples by torch.func, clipped one by one; the weights move by hand."""

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from torch import nn
from torch.func import functional_call, grad, vmap


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(5, 12)
        self.fc2 = nn.Linear(12, 2)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))  # misses relu of torch.func


torch.manual_seed(0)
X, y = torch.randn(64, 5), torch.randint(0, 2, (64,))
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)


def loss_of(parameters, x, target):
    logits = functional_call(model, parameters, (x.unsqueeze(0),))
    return F.cross_entropy(logits, target.unsqueeze(0))  # misses cross_entropy of torch.func


for step in range(10):
    batch = torch.randint(0, 64, (16,))
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    each = vmap(grad(loss_of), in_dims=(None, 0, 0))(parameters, X[batch], y[batch])
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in each.values()]).norm(dim=0)
    factors = (1 / norms).clamp(max=1.0)
    for name, p in model.named_parameters():
        p.grad = torch.einsum("n,n...->...", factors, each[name]) / 16
    optimizer.step()  # steps 10
    print(step, f"{norms.mean().item():.6f}")
print_fingerprint(model)
