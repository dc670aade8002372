"""skorch: a callback watches the fit of a net, and its parameters can be set like others."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn

from relume.integrations.skorch import WatchCallback


def main():
    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    net = NeuralNetClassifier(
        nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
        criterion=nn.CrossEntropyLoss,
        max_epochs=5,
        lr=0.1,
        callbacks=[("watch", WatchCallback(out="watched"))],
    )
    net.set_params(callbacks__watch__every=2)
    net.fit((x / 16).astype(np.float32), y)


if __name__ == "__main__":
    main()
