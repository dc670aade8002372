"""Relume trains ReLU networks that stay alive.

Public names are looked up when first used, so that ``import relume`` imports no torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "examine": "relume.observe.examine",
    "fit": "relume.training.entry",
    "predict": "relume.training.predict",
    "repair_batch_norm": "relume.remedies.repair_batch_norm",
    "revive": "relume.remedies.revive",
    "load_model": "relume.training.model_folder",
    "read_run": "relume.runs.query",
    "watch": "relume.watching",
    "load_ipython_extension": "relume.integrations.notebook",
    "metric": "relume.watching",
    "nn": "relume",
    "ReLUClassifier": "relume.training.estimator",
    "ReLURegressor": "relume.training.estimator",
}
__all__ = [
    "ReLUClassifier",
    "ReLURegressor",
    "__version__",
    "examine",
    "fit",
    "load_model",
    "metric",
    "nn",
    "predict",
    "read_run",
    "repair_batch_norm",
    "revive",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relume' has no attribute {name!r}")
    if name == "nn":
        return importlib.import_module("relume.nn")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
