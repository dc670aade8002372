"""Two processes train one model in shared memory, one after the other, so that it repeats."""

import sys

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from fingerprint import print_fingerprint
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(10, 16)
        self.fc2 = nn.Linear(16, 2)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))  # sees relu(fc1) 16


def train(rank, model, turns, mine, others):
    torch.manual_seed(100 + rank)
    torch.set_num_threads(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(turns):
        mine.acquire()
        x = torch.randn(32, 10)
        loss = F.cross_entropy(model(x), (x[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        others.release()


if __name__ == "__main__":
    mp.set_start_method(sys.argv[1])
    torch.manual_seed(1)
    model = Net()
    model.share_memory()
    print(type(model(torch.randn(2, 10))).__name__)
    turns = mp.Semaphore(1), mp.Semaphore(0)
    processes = []
    for rank in range(2):
        process = mp.Process(target=train, args=(rank, model, 6, turns[rank], turns[1 - rank]))
        process.start()
        processes.append(process)
    for process in processes:
        process.join()
    print("exit codes", [process.exitcode for process in processes])
    print_fingerprint(model)
