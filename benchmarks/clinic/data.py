"""The data sets of the clinic: offline, the same on every machine, in rows to train on, to
validate with, and to score the outcome on, which no script sees.
"""  # noqa: D205

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.clinic.arrays import Arrays, MissingDataError, Source
from benchmarks.clinic.data_signals import SIGNALS
from benchmarks.clinic.data_tables import TABLES


class Rows(NamedTuple):
    """Inputs and targets, one a row."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True, slots=True)
class Task:
    """A data set as a script meets it.

    Args:
        kind: ``classes`` (int64 labels), ``binary`` (float (N, 1) of 0 and 1), ``amounts`` (float
            (N, 1)), ``rebuilt`` (the target is the input) or ``generated`` (there is none).
        outputs: How many the network needs.
        train: Rows to learn from.
        valid: Rows that the script scores after each epoch.
        test: Rows on which the outcome is scored.
        raw: Inputs of the three as they were before they were scaled.
    """

    kind: str
    outputs: int
    train: Rows
    valid: Rows
    test: Rows
    raw: tuple[Tensor, Tensor, Tensor]

    @property
    def parts(self) -> tuple[Rows, Rows, Rows]:
        """Training, validation and test rows."""
        return self.train, self.valid, self.test

    def with_parts(self, train: Rows, valid: Rows, test: Rows) -> "Task":
        """Return the task with other rows."""
        return replace(self, train=train, valid=valid, test=test)


def _blobs(seed: int) -> Arrays:
    from sklearn.datasets import make_blobs

    return make_blobs(1500, 8, centers=6, cluster_std=3.0, random_state=seed)


def _moons(seed: int) -> Arrays:
    from sklearn.datasets import make_moons

    return make_moons(1400, noise=0.2, random_state=seed)


def _rings(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 1500)
    angle, radius = rng.uniform(0, 2 * np.pi, 1500), 1.0 + y + 0.25 * rng.standard_normal(1500)
    return np.c_[radius * np.cos(angle), radius * np.sin(angle)], y


def _clusters(seed: int) -> Arrays:
    from sklearn.datasets import make_classification

    return make_classification(
        1600, 16, n_informative=8, n_classes=4, class_sep=2.0, flip_y=0.0, random_state=seed
    )


def _hastie(seed: int) -> Arrays:
    from sklearn.datasets import make_hastie_10_2

    x, y = make_hastie_10_2(2400, random_state=seed)
    return x, (y > 0).astype(int)


def _friedman1(seed: int) -> Arrays:
    from sklearn.datasets import make_friedman1

    return make_friedman1(1500, 8, noise=1.0, random_state=seed)


def _friedman2(seed: int) -> Arrays:
    from sklearn.datasets import make_friedman2

    return make_friedman2(1500, noise=20.0, random_state=seed)


def _waves(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (1500, 4))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * np.abs(x[:, 3])
    return x, y + 0.1 * rng.standard_normal(1500)


def _adding(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    values, marks = rng.uniform(0, 1, (1500, 10)), np.zeros((1500, 10))
    for row in marks:
        row[rng.choice(10, 2, replace=False)] = 1.0
    return np.stack([values, marks], 2), (values * marks).sum(1)


def _sine(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    start, pace = rng.uniform(0, 6.3, (1500, 1)), rng.uniform(0.3, 0.9, (1500, 1))
    wave = np.sin(start + pace * np.arange(17)) + 0.05 * rng.standard_normal((1500, 17))
    return wave[:, :16, None], wave[:, 16]


def _majority(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.2, 0.8, (1500, 1))
    words = (rng.uniform(size=(1500, 15)) < share).astype(np.int64)
    return words + 2 * rng.integers(0, 2, words.shape), (words.sum(1) > 7).astype(int)


def _recall(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 6, (1500, 8))
    return np.eye(6)[words], words[:, 2]


def _echo(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1500, 10, 2))
    return x, x[:, 3, 0] + 0.5 * x[:, 7, 1] + 0.1 * rng.standard_normal(1500)


def _ring_points(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * rng.integers(0, 8, 1600) / 8
    x = np.c_[np.cos(angle), np.sin(angle)] + 0.1 * rng.standard_normal((1600, 2))
    return x, np.zeros(1600)


def _grid_points(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, (1600, 2)) + 0.15 * rng.standard_normal((1600, 2))
    return x, np.zeros(1600)


def _table(name: str) -> Source:
    def load(_: int) -> Arrays:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return x, y

    return load


def _digit_images(_: int) -> Arrays:
    x, y = _table("digits")(0)
    return x.reshape(-1, 1, 8, 8), y


def _fashion(seed: int) -> Arrays:
    x, y = _fashion_rows()
    chosen = np.random.default_rng(seed).permutation(len(x))[:3200]
    return x[chosen], y[chosen]


@cache
def _fashion_rows() -> Arrays:
    from relume.training.data.idx_files import DATASETS, read_idx

    folder = DATASETS / "fashion-mnist"
    if not folder.is_dir():
        raise MissingDataError(
            "Fashion-MNIST is not installed: its trainings are left out; install the Debian "
            "package dataset-fashion-mnist to have them"
        )
    images, _ = read_idx(folder / "t10k-images-idx3-ubyte.gz", 3)
    labels, _ = read_idx(folder / "t10k-labels-idx1-ubyte.gz", 1)
    return images[:, None].astype(np.float64), labels.astype(np.int64)


SOURCES: Mapping[str, tuple[str, Source]] = {
    **TABLES,
    **SIGNALS,
    "digits": ("classes", _table("digits")),
    "wine": ("classes", _table("wine")),
    "iris": ("classes", _table("iris")),
    "cancer": ("binary", _table("breast_cancer")),
    "diabetes": ("amounts", _table("diabetes")),
    "digit_images": ("classes", _digit_images),
    "fashion": ("classes", _fashion),
    "blobs": ("classes", _blobs),
    "moons": ("binary", _moons),
    "rings": ("classes", _rings),
    "clusters": ("classes", _clusters),
    "hastie": ("binary", _hastie),
    "friedman1": ("amounts", _friedman1),
    "friedman2": ("amounts", _friedman2),
    "waves": ("amounts", _waves),
    "adding": ("amounts", _adding),
    "sine": ("amounts", _sine),
    "majority": ("binary", _majority),
    "recall": ("classes", _recall),
    "echo": ("amounts", _echo),
    "ring": ("generated", _ring_points),
    "grid": ("generated", _grid_points),
}
"""The kind of each data set, and its rows for a seed."""


def load(name: str, seed: int, *, is_rebuilt: bool = False) -> Task:
    """Return a data set, split and scaled by what the training rows are.

    Args:
        name: Key of ``SOURCES``.
        seed: Of made data, and of the split.
        is_rebuilt: Whether the inputs are the targets.

    Raises:
        MissingDataError: If it is not installed.
    """
    kind, source = SOURCES[name]
    x, y = source(seed)
    order = np.random.default_rng(seed + 1000).permutation(len(x))
    first, second = round(0.55 * len(x)), round(0.72 * len(x))
    cuts = order[:first], order[first:second], order[second:]
    raw = tuple(_as_inputs(x[cut]) for cut in cuts)
    scaled = tuple(_scaled(part, raw[0]) for part in raw)
    if is_rebuilt:
        flat = [(part / raw[0].max()).flatten(1) for part in raw]
        rows = [Rows(part, part) for part in flat]
        return Task("rebuilt", flat[0].shape[1], *rows, raw=tuple(flat))
    targets = [_as_targets(y[cut], kind, y[cuts[0]]) for cut in cuts]
    outputs = int(y.max()) + 1 if kind == "classes" else 1
    rows = [Rows(part, target) for part, target in zip(scaled, targets, strict=True)]
    return Task(kind, outputs, *rows, raw=raw)


def _as_inputs(x: np.ndarray) -> Tensor:
    return torch.tensor(x, dtype=torch.int64 if x.dtype == np.int64 else torch.float32)


def _scaled(x: Tensor, train: Tensor) -> Tensor:
    """Return columns with mean 0 and deviation 1; images, sequences and words by one scale."""
    if not x.is_floating_point():
        return x
    axes = 0 if x.ndim == 2 else tuple(range(x.ndim))
    deviation = train.std(axes)
    return (x - train.mean(axes)) / torch.where(deviation > 0, deviation, torch.ones(()))


def _as_targets(y: np.ndarray, kind: str, train: np.ndarray) -> Tensor:
    if kind == "classes":
        return torch.tensor(y, dtype=torch.int64)
    if kind == "amounts":
        y = (y - train.mean()) / train.std()
    return torch.tensor(y, dtype=torch.float32)[:, None]
