"""skorch on the digits: a net as a scikit-learn estimator, in a pipeline."""

import numpy as np
import torch
from fingerprint import print_fingerprint
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from skorch import NeuralNetClassifier
from torch import nn


class MLP(nn.Module):
    def __init__(self, units=24, nonlinearity=torch.relu):
        super().__init__()
        self.dense0 = nn.Linear(64, units)
        self.nonlinearity = nonlinearity
        self.dropout = nn.Dropout(0.3)
        self.dense1 = nn.Linear(units, 12)
        self.output = nn.Linear(12, 10)

    def forward(self, X):
        X = self.nonlinearity(self.dense0(X))  # sees relu(dense0) 24
        X = self.dropout(X)
        X = self.nonlinearity(self.dense1(X))  # sees relu(dense1) 12
        return self.output(X)


torch.manual_seed(0)
np.random.seed(0)  # noqa: NPY002
X, y = load_digits(return_X_y=True)
X, y = X[:600].astype(np.float32), y[:600].astype(np.int64)
net = NeuralNetClassifier(
    MLP, criterion=nn.CrossEntropyLoss, max_epochs=3, lr=0.1, batch_size=64, verbose=0
)
model = make_pipeline(MinMaxScaler(), net)
model.fit(X, y)  # steps 24
for row in net.history:
    print(row["epoch"], f"{row['train_loss']:.6f} {row['valid_loss']:.6f} {row['valid_acc']:.4f}")
print(model.predict(X[:20]))
print_fingerprint(net.module_)
