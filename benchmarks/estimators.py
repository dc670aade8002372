"""The estimators with their defaults on scikit-learn's tables, beside its perceptrons and linear.

    python -m benchmarks.estimators

Five folds, fold seeds 0 to 4, which no default was chosen on; the mean over seeds of the mean over
folds, and its standard deviation.
"""

import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.measure import keep
from relume import ReLUClassifier, ReLURegressor

TABLES = {
    "wine": load_wine, "breast_cancer": load_breast_cancer, "digits": load_digits,
    "diabetes": load_diabetes,
}  # fmt: skip


def scores(model: Any, x: Any, y: Any, *, classes: bool) -> list[float]:
    kind = StratifiedKFold if classes else KFold
    folds = (kind(5, shuffle=True, random_state=seed) for seed in range(5))
    return [float(cross_val_score(model, x, y, cv=each).mean()) for each in folds]


def main() -> None:
    warnings.simplefilter("ignore")
    found = {}
    for name, load in TABLES.items():
        x, y = load(return_X_y=True)
        classes = name != "diabetes"
        models = {
            "relume": (ReLUClassifier if classes else ReLURegressor)(random_state=0),
            "MLP scaled": make_pipeline(
                StandardScaler(), (MLPClassifier if classes else MLPRegressor)(random_state=0)
            ),
            "linear": make_pipeline(
                StandardScaler(),
                LogisticRegression(max_iter=500) if classes else RidgeCV(np.logspace(-3, 4, 15)),
            ),
        }
        found[name] = {}
        for label, model in models.items():
            by_seed = np.array(scores(model, x, y, classes=classes))
            found[name][label] = {
                "mean": round(float(by_seed.mean()), 4),
                "deviation": round(float(by_seed.std(ddof=1)), 4),
            }
            print(name, label, found[name][label], flush=True)
    keep("estimators", found)


if __name__ == "__main__":
    main()
