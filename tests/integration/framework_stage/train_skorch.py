"""A fit of skorch's net."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn


class Model(nn.Module):
    def __init__(self, on_batch=None):
        super().__init__()
        self.on_batch = on_batch
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        if self.training:
            self.on_batch()
        return self.layers(x)


def train(adapter, on_batch):
    torch.manual_seed(0)
    numbers = np.random.default_rng(0)
    net = NeuralNetClassifier(
        Model,
        module__on_batch=on_batch,
        criterion=nn.CrossEntropyLoss,
        max_epochs=2,
        batch_size=8,
        lr=0.1,
        verbose=0,
        train_split=None,
        callbacks=[("watch", adapter)] if adapter else [],
    )
    net.fit(numbers.normal(size=(64, 6)).astype(np.float32), numbers.integers(0, 3, 64))
    return [value.numpy() for value in net.module_.state_dict().values()]
