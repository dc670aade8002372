"""A Siamese network: one branch for both images, and a contrastive loss with a clamp."""

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from torch import nn


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.norm = nn.GroupNorm(2, 6)
        self.fc = nn.Linear(6 * 9, 8)

    def forward(self, x):
        x = self.norm(self.conv(x)).relu()  # sees relu(conv) 6
        return self.fc(F.max_pool2d(x, 2).flatten(1))


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, one, two, label):
        distance = F.pairwise_distance(one, two)
        return torch.mean(
            (1 - label) * distance.pow(2)
            + label * torch.clamp(self.margin - distance, min=0.0).pow(2)
        )


torch.manual_seed(11)
X, labels = torch.rand(80, 1, 8, 8), torch.randint(0, 2, (80,))
X[labels == 1] *= 0.3
branch, criterion = Branch(), ContrastiveLoss()
optimizer = torch.optim.SGD(branch.parameters(), lr=0.05)
for step in range(10):
    i, j = torch.randint(0, 80, (2, 24))
    loss = criterion(branch(X[i]), branch(X[j]), (labels[i] != labels[j]).float())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()  # steps 10
    print(step, f"{loss.item():.6f}")
print_fingerprint(branch)
