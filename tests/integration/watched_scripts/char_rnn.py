"""A language model of characters: a ReLU cell from bare tensors, and gradient descent by hand."""

import torch
from fingerprint import print_fingerprint

torch.manual_seed(3)
text = "the quick brown fox jumps over the lazy dog and runs away " * 8
vocabulary = sorted(set(text))
codes = torch.tensor([vocabulary.index(c) for c in text])
size, hidden, rate = len(vocabulary), 24, 0.1

Wxh = (torch.randn(size, hidden) * 0.1).requires_grad_()
Whh = torch.eye(hidden).mul(0.9).requires_grad_()
bh = torch.zeros(hidden, requires_grad=True)
Why = (torch.randn(hidden, size) * 0.1).requires_grad_()
by = torch.zeros(size, requires_grad=True)
params = [Wxh, Whh, bh, Why, by]


def cell(x, h):
    return torch.relu(x @ Wxh + h @ Whh + bh)  # sees relu in {place} 24


h = torch.zeros(4, hidden)
for step in range(12):
    starts = torch.randint(0, len(codes) - 17, (4,))
    batch = torch.stack([codes[s : s + 17] for s in starts])
    loss = torch.zeros(())
    h = h.detach()
    for t in range(16):
        h = cell(torch.nn.functional.one_hot(batch[:, t], size).float(), h)
        loss = loss + torch.nn.functional.cross_entropy(h @ Why + by, batch[:, t + 1]) / 16
    loss.backward()
    with torch.no_grad():
        for p in params:  # steps 12
            p -= rate * p.grad.clamp(-1, 1)
            p.grad = None
    print(step, f"{loss.item():.6f}")

with torch.no_grad():  # a sample
    h, code, out = torch.zeros(1, hidden), 0, []
    for _ in range(20):
        h = cell(torch.nn.functional.one_hot(torch.tensor([code]), size).float(), h)
        code = torch.multinomial(torch.softmax((h @ Why + by)[0], 0), 1).item()
        out.append(vocabulary[code])
print(repr("".join(out)))
print_fingerprint({str(i): p for i, p in enumerate(params)})
