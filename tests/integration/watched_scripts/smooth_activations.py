"""One layer of each activation that is no ReLU, with large weights, so that many units lie low."""

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from torch import nn

KINDS = {
    "gelu": nn.GELU(),
    "tanh_gelu": nn.GELU(approximate="tanh"),
    "silu": nn.SiLU(inplace=True),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "mish": nn.Mish(),
    "softplus": nn.Softplus(),
    "hardswish": nn.Hardswish(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(8, 8), act) for name, act in KINDS.items()}
        )
        self.last = nn.Linear(8, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        for name in KINDS:
            x = self.layers[name](x)
            # sees layers.gelu.1 8 · layers.tanh_gelu.1 8 · layers.silu.1 8 · layers.elu.1 8
            # sees layers.selu.1 8 · layers.mish.1 8 · layers.softplus.1 8 · layers.hardswish.1 8
            # sees layers.tanh.1 8 · layers.sigmoid.1 8
        x = F.gelu(self.last(x))  # sees gelu(last) 8
        return self.out(x)


torch.manual_seed(0)
X, y = torch.randn(64, 8), torch.randint(0, 2, (64,))
model = Net()
with torch.no_grad():
    for name in KINDS:
        model.layers[name][0].bias[:3] = -30.0
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(10):
    loss = F.cross_entropy(model(X), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()  # steps 10
    print(step, f"{loss.item():.6f}")
print_fingerprint(model)
