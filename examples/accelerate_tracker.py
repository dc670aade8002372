"""Accelerate: a tracker watches the loop, and records what accelerator.log is given."""

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from relume.integrations.accelerate import WatchTracker


def main():
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, log_with=WatchTracker(out="watched"))
    x = torch.randn(512, 10)
    loader = DataLoader(TensorDataset(x, x[:, :3].argmax(1)), batch_size=32, shuffle=True)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    accelerator.init_trackers("digits")
    for _ in range(5):
        for inputs, target in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), target)
            accelerator.backward(loss)
            optimizer.step()
        accelerator.log({"train_loss": loss.item()})
    accelerator.end_training()


if __name__ == "__main__":
    main()
