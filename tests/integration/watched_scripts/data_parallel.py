"""Two ranks train one model by DistributedDataParallel over gloo, as torchrun starts them."""

import os

import torch
import torch.distributed as dist
from fingerprint import print_fingerprint
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 12)
        self.act = nn.ReLU()
        self.out = nn.Linear(12, 2)

    def forward(self, x):
        return self.out(self.act(self.hidden(x)))  # sees act 12


def main():
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(0)
    x = torch.randn(128, 6)
    data = TensorDataset(x, (x.sum(1) > 0).long())
    sampler = DistributedSampler(data, shuffle=True, seed=4)
    loader = DataLoader(data, batch_size=16, sampler=sampler)
    model = DistributedDataParallel(Net())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for features, target in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(features), target)
            loss.backward()
            optimizer.step()  # steps 8
    torch.manual_seed(rank)
    if rank == 0:
        print("world", os.environ["WORLD_SIZE"], f"{loss.item():.6f}")
        print_fingerprint(model.module)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
