"""Curves of several solvers, early stopping, and a training that goes on in parts."""

# ruff: noqa: T201
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)
X, y = X[:600] / 16, y[:600]

SETTINGS = {
    "constant": {"solver": "sgd", "learning_rate": "constant", "momentum": 0.9},
    "plain": {"solver": "sgd", "learning_rate": "constant", "momentum": 0},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "momentum": 0.9},
    "adam": {"solver": "adam", "learning_rate_init": 0.01, "beta_1": 0.9, "epsilon": 1e-8},
}
for name, settings in SETTINGS.items():
    mlp = MLPClassifier(**{"learning_rate_init": 0.2, "max_iter": 8, "random_state": 0} | settings)
    mlp.fit(X, y)
    assert len(mlp.loss_curve_) == mlp.n_iter_ == 8
    assert mlp.loss_ == mlp.loss_curve_[-1] < mlp.loss_curve_[0]
    assert mlp.best_loss_ == min(mlp.loss_curve_)
    print("curve of", name, mlp.t_)

stopped = MLPClassifier(early_stopping=True, n_iter_no_change=3, random_state=0, max_iter=100)
stopped.fit(X, y)
assert stopped.best_validation_score_ == max(stopped.validation_scores_)
assert stopped.best_loss_ is None
print("early stopping", stopped.n_iter_ < 100)

parts = MLPClassifier((30,), "tanh", random_state=0, learning_rate_init=0.01)
for _ in range(8):
    for rows in np.array_split(np.arange(len(X)), 4):
        parts.partial_fit(X[rows], y[rows], classes=np.arange(10))
print("parts", parts.t_, len(parts.loss_curve_))
print("accuracy", parts.score(X, y))
