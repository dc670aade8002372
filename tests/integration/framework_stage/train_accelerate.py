"""A loop of Accelerate's."""

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def train(adapter, on_batch):
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, log_with=adapter)
    data = TensorDataset(torch.randn(64, 6), torch.randint(0, 3, (64,)))
    model = nn.Sequential()
    model.add_module("layers", nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model, optimizer, loader = accelerator.prepare(
        model, optimizer, DataLoader(data, 8, shuffle=True)
    )
    accelerator.init_trackers("project", config={"lr": 0.01})
    for _ in range(2):
        for x, y in loader:
            on_batch()
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            accelerator.backward(loss)
            optimizer.step()
        accelerator.log({"train_loss": loss.item(), "stage": "late"})
    accelerator.end_training()
    return [value.numpy() for value in accelerator.unwrap_model(model).state_dict().values()]
