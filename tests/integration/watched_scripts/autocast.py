"""Mixed precision on the CPU: autocast to the type given, with a gradient scaler."""

import sys

import torch
from fingerprint import print_fingerprint
from torch import nn

kind = getattr(torch, sys.argv[1])
torch.manual_seed(0)
X, y = torch.randn(128, 1, 10, 10), torch.randint(0, 4, (128,))
model = nn.Sequential(
    nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(512, 24), nn.ReLU(), nn.Linear(24, 4)
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30, enabled=kind is torch.float16)
for step in range(24):
    batch = torch.randint(0, 128, (16,))
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=kind):
        out = model(X[batch])  # sees 1 8 · 4 24
        loss = nn.functional.cross_entropy(out, y[batch])
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    print(step, out.dtype, f"{loss.item():.6f} {norm.item():.6f} {scaler.get_scale()}")
print_fingerprint(model)
