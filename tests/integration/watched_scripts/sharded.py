"""Two ranks train two models whose weights are sharded (FSDP) over gloo, by torchrun."""

import os

import torch
import torch.distributed as dist
from fingerprint import print_fingerprint
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn import functional
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 12)
        self.act = nn.ReLU()
        self.inner = nn.Linear(12, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        x = self.inner(self.act(self.hidden(x)))
        return self.out(functional.gelu(x))


def sharded(kind):
    model = Net()
    if kind == "flat":
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    fully_shard(model.hidden, mesh=mesh)  # its weights are given back between two uses
    return fully_shard(model, mesh=mesh)


def local(parameter):
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter


def train(model):
    torch.manual_seed(0)
    x = torch.randn(128, 6)
    data = TensorDataset(x, (x.sum(1) > 0).long())
    sampler = DistributedSampler(data, shuffle=True, seed=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for features, target in DataLoader(data, batch_size=8, sampler=sampler):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(features), target)
        loss.backward()
        optimizer.step()
    return loss.item()


def main():
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    for kind in ("by parameter", "flat"):
        torch.manual_seed(1)
        model = sharded(kind)
        loss = train(model)
        torch.manual_seed(rank)
        if rank == 0:
            print("world", os.environ["WORLD_SIZE"], f"{loss:.6f}")
            print_fingerprint({name: local(each) for name, each in model.named_parameters()})
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
