"""A DataLoader with two workers, which apply activations of their own to the data."""

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Noisy(Dataset):
    def __len__(self):
        return 96

    def __getitem__(self, index):
        x = F.relu(torch.randn(10) + index % 3)
        return x, index % 3


def main():
    torch.manual_seed(0)
    loader = DataLoader(Noisy(), batch_size=16, shuffle=True, num_workers=2)
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)  # sees 1 16
            loss.backward()
            optimizer.step()  # steps 12
        print(epoch, f"{loss.item():.6f}")
    print_fingerprint(model)


if __name__ == "__main__":
    main()
