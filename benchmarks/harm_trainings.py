"""Healthy trainings with repair and without: of ``fit``, of own steps, of the estimators."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from relume.remedies.story import NOTHING
from relume.training.data.prepare import read_data
from relume.training.entry import fit
from relume.training.estimator import ReLUClassifier, ReLURegressor

SEEDS = tuple(range(8))


@dataclass(frozen=True, slots=True)
class Pair:
    """One training with repair and without.

    Args:
        kind: What trained it.
        name: Which training.
        seed: Of it.
        tried: What was tried about it, in steps.
        kept: Of that, what stayed.
        off: Score without repair; higher is better.
        on: Score with it.
        is_healthy: Whether the score without repair is that of a healthy training.
        noise: By how much its score may fall before it counts, where that was measured on other
            seeds; None: it is told from the other pairs of the same training.
    """

    kind: str
    name: str
    seed: int
    tried: int
    kept: int
    off: float
    on: float
    is_healthy: bool = True
    noise: float | None = None
    again: Sequence[tuple[int, int, float, float]] = ()

    @property
    def key(self) -> tuple[str, str, int]:
        """Which pair it is."""
        return self.kind, self.name, self.seed


Arrays = tuple[Any, Any]
Job = Callable[[], Pair]


def _classes(seed: int, rows: int = 600, **options: Any) -> Arrays:
    shape = {"n_samples": rows, "n_features": 12, "n_informative": 6}
    return datasets.make_classification(**shape | options, random_state=seed)


def _waves(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (500, 4))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.2 * rng.standard_normal(500)


def _noise(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((300, 8)), rng.integers(0, 2, 300)


def _iris(_: int) -> Arrays:
    frame = read_data("iris")
    return frame.drop("species").to_numpy(), frame["species"].to_numpy()


CLASSES: Mapping[str, Callable[[int], Arrays]] = {
    "iris": _iris,
    "informative": _classes,
    "three classes": lambda seed: _classes(seed, n_classes=3),
    "rare class": lambda seed: _classes(seed, rows=800, weights=(0.93,)),
    "wrong labels": lambda seed: _classes(seed, flip_y=0.2),
    "wide": lambda seed: _classes(seed, rows=200, n_features=120),
    "moons": lambda seed: datasets.make_moons(400, noise=0.25, random_state=seed),
    "rings": lambda seed: datasets.make_gaussian_quantiles(
        n_samples=500, n_features=5, n_classes=3, random_state=seed
    ),
    "coin": _noise,
}
AMOUNTS: Mapping[str, Callable[[int], Arrays]] = {
    "friedman 1": lambda seed: datasets.make_friedman1(400, noise=1.0, random_state=seed),
    "friedman 2": lambda seed: datasets.make_friedman2(400, noise=50.0, random_state=seed),
    "friedman 3": lambda seed: datasets.make_friedman3(400, noise=0.1, random_state=seed),
    "linear": lambda seed: datasets.make_regression(
        300, 10, n_informative=5, noise=30.0, random_state=seed
    ),
    "waves": _waves,
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "usual": {},
    "plain, deep, few epochs": {
        "hidden": (64, 64, 64, 64), "dropout": 0.0, "bins": 0, "averaging": 0.0, "epochs": 24,
    },
    "narrow, ten times the rate": {"hidden": (24, 12), "lr": 0.02, "epochs": 40},
}  # fmt: skip


def fit_jobs() -> Iterator[tuple[tuple[str, str, int], Job]]:
    """Yield trainings of ``relume fit``."""
    for seed in SEEDS:
        for data, make in (CLASSES | AMOUNTS).items():
            for said, options in SETTINGS.items():
                name = f"{data}, {said}"
                yield ("fit", name, seed), _fit_job(name, make, options, seed)


def _fit_job(
    name: str, make: Callable[[int], Arrays], options: Mapping[str, Any], seed: int
) -> Job:
    def job() -> Pair:
        x, y = make(1000 + seed)
        frame = pl.DataFrame(x).with_columns(pl.Series("target", [str(v) for v in y.tolist()]))
        if y.dtype.kind == "f":
            frame = frame.with_columns(pl.Series("target", y))
        scores, remedies = [], ()
        for repair in (False, True):
            with TemporaryDirectory() as folder:
                given = {"target": "target", "seed": seed, "repair": repair} | options
                result = fit(frame, out=Path(folder) / "out", **given)
                scores.append(result.verdict.score.value)
                assert result.status == "finished"  # not stopped by a signal
                remedies = result.run.remedies
        return pair_of(("fit", name, seed), scores, remedies)

    return job


ESTIMATORS: Mapping[str, Mapping[str, Any]] = {
    "usual": {},
    "ten times the rate": {"learning_rate_init": 0.02},
    "plain SGD": {"solver": "sgd", "learning_rate": "constant", "learning_rate_init": 0.02},
}


def estimator_jobs() -> Iterator[tuple[tuple[str, str, int], Job]]:
    """Yield fits of the estimators."""
    for seed in SEEDS:
        for data, make in (CLASSES | AMOUNTS).items():
            kind = ReLUClassifier if data in CLASSES else ReLURegressor
            for said, options in ESTIMATORS.items():
                key = ("estimators", f"{data}, {said}", seed)
                yield key, _estimator_job(key, make, kind, options)


def _estimator_job(
    key: tuple[str, str, int],
    make: Callable[[int], Arrays],
    kind: type[Any],
    options: Mapping[str, Any],
) -> Job:
    def job() -> Pair:
        parts = train_test_split(*make(1000 + key[2]), random_state=key[2])
        scores, stories = [], []
        for repair in (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = kind(random_state=key[2], repair=repair, **options).fit(*parts[::2])
            scores.append(model.score(*parts[1::2]))
            stories = model.repairs_
        kept = sum(not story[2].startswith(f"kept: {NOTHING}") for story in stories)
        return Pair(*key, tried=len(stories), kept=kept, off=scores[0], on=scores[1])

    return job


OPTIMIZERS: Mapping[str, Callable[[Any], Any]] = {
    "AdamW of ours": lambda _: None,
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
}


def own_jobs() -> Iterator[tuple[tuple[str, str, int], Job]]:
    """Yield trainings with a step of one's own."""
    for seed in SEEDS:
        for data, make in (CLASSES | AMOUNTS).items():
            for said, optimizer in OPTIMIZERS.items():
                key = ("own", f"{data}, {said}", seed)
                yield key, _own_job(key, make, optimizer, is_classes=data in CLASSES)


def _own_job(
    key: tuple[str, str, int],
    make: Callable[[int], Arrays],
    optimizer: Callable[[Any], Any],
    *,
    is_classes: bool,
) -> Job:
    loss_of = nn.functional.cross_entropy if is_classes else nn.functional.mse_loss

    def step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return loss_of(model(batch[0]), batch[1])

    def job() -> Pair:
        x, y, outputs = _tensors(*make(1000 + key[2]), is_classes=is_classes)
        learned, held_out, test = np.split(
            np.random.default_rng(key[2]).permutation(len(x)), [3 * len(x) // 5, 4 * len(x) // 5]
        )
        scores, remedies = [], ()
        for repair in (False, True):
            torch.manual_seed(key[2])
            widths = (x.shape[1], 64, 32, outputs)
            layers = [nn.Linear(*pair) for pair in pairwise(widths)]
            model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
            with TemporaryDirectory() as folder:
                result = fit(
                    model, (x[learned], y[learned]), step=step, repair=repair, epochs=30,
                    batch_size=16, validation=(x[held_out], y[held_out]), seed=key[2],
                    optimizer=optimizer(model.parameters()), out=Path(folder) / "out",
                )  # fmt: skip
                assert result.status == "finished"  # not stopped by a signal
                remedies = result.run.remedies
            with torch.no_grad():
                output = model(x[test])
            hits = (output.argmax(1) == y[test]).float().mean() if is_classes else None
            scores.append(-loss_of(output, y[test]).item() if hits is None else hits.item())
        return pair_of(key, scores, remedies)

    return job


def _tensors(x: Any, y: Any, *, is_classes: bool) -> tuple[Tensor, Tensor, int]:
    """Return standardised inputs, classes or standardised values, and the number of outputs."""
    inputs = torch.from_numpy((x - x.mean(0)) / x.std(0)).float()
    if is_classes:
        names, classes = np.unique(y, return_inverse=True)
        return inputs, torch.from_numpy(classes).long(), len(names)
    return inputs, torch.from_numpy((y - y.mean()) / y.std()).float()[:, None], 1


def pair_of(
    key: tuple[str, str, int], scores: Sequence[float], remedies: Sequence[Any], **more: Any
) -> Pair:
    kind, name, seed = key
    kept = sum(bool(each.is_kept) for each in remedies)
    off, on = scores
    return Pair(
        kind=kind, name=name, seed=seed, tried=len(remedies), kept=kept, off=off, on=on, **more
    )
