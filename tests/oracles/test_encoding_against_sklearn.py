"""Fitted columns give what scikit-learn's transformers give."""

import csv
import io

import numpy as np
import polars as pl
import pytest
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from relume.training.data.encoding import (
    MOST_LEVELS,
    CategoryColumn,
    NumberColumn,
    least_rows,
)
from relume.training.data.prepare import DataOptions, prepare
from relume.training.data.split import split_rows


def encoded(column, cells):
    out = np.zeros((len(cells), len(column.features)), np.float32)
    column.encode(cells, out)
    return out


def column_of_numbers(seed):
    rng = np.random.default_rng(seed)
    values = [
        rng.normal(0, 1, 500),
        rng.lognormal(3, 2, 500),
        rng.integers(0, 9, 500).astype(float),
        rng.normal(1.7e9, 1e5, 500),
        rng.normal(0, 1e-12, 500),
        rng.normal(0, 1e200, 500),
        np.full(500, 3.25),
    ][seed % 7]
    if seed >= 7:
        values[rng.random(500) < 0.2] = np.nan
    return values


@pytest.mark.parametrize("seed", range(14))
def test_numbers_against_imputer_scaler_and_indicator(seed):
    values = column_of_numbers(seed)
    train, test = values[:300, None], values[300:, None]
    column = NumberColumn.fit(pl.Series("x", train[:, 0]).fill_nan(None))
    factor = 1e-190 if np.nanmax(np.abs(values)) > 1e100 else 1.0  # scikit-learn squares
    reference = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    expected = reference.fit(train * factor).transform(test * factor)
    if np.isnan(train).any():
        missing = MissingIndicator(features="all").fit(train).transform(test)
        expected = np.hstack([expected, missing])
    actual = encoded(column, pl.Series("x", test[:, 0]).fill_nan(None))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("levels", "rows"), [(5, 200), (64, 9000), (65, 9000), (40, 30), (300, 20_000)]
)
def test_categories_against_the_one_hot_encoder(levels, rows):
    rng = np.random.default_rng(levels)
    # Level i is drawn with weight 1 / (i + 1): frequent, rare and single ones. Two levels next to
    # the bound are made different: a tie there may be broken either way.
    weights = 1 / np.arange(1, levels + 1)
    names = np.array([f"level {i:03}" for i in range(levels)])
    train = rng.choice(names, rows, p=weights / weights.sum())
    ordered = pl.Series("x", train).value_counts(sort=True)
    if levels > MOST_LEVELS:
        train = np.append(train, ordered["x"][:MOST_LEVELS].to_numpy())
    test = np.append(rng.choice(names, 500), "never seen")
    column = CategoryColumn.fit(pl.Series("x", train))

    reference = OneHotEncoder(
        min_frequency=least_rows(rows),
        max_categories=MOST_LEVELS + 1,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    )
    expected = reference.fit(train[:, None]).transform(test[:, None])
    actual = encoded(column, pl.Series("x", test))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", ["wine", "breast_cancer", "diabetes"])
def test_prepared_data_against_the_standard_scaler(name):
    from sklearn import datasets

    raw = getattr(datasets, f"load_{name}")().data
    prepared = prepare(name, DataOptions())
    scaler = StandardScaler().fit(raw[prepared.train.rows])
    for part in (prepared.train, prepared.validation, prepared.test):
        np.testing.assert_allclose(part.x, scaler.transform(raw[part.rows]), rtol=1e-5, atol=1e-6)


def test_stratification_is_as_even_as_scikit_learns():
    groups = np.random.default_rng(0).choice(6, 1000, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
    reference = StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    ((_, theirs),) = reference.split(groups[:, None], groups)
    ours = split_rows(groups, (0.8, 0.2), seed=0)[1]
    difference = np.bincount(groups[ours]) - np.bincount(groups[theirs])
    assert abs(difference).max() <= 1
    assert abs(len(ours) - len(theirs)) <= 1


def test_a_quoted_file_against_the_csv_module(tmp_path):
    rng = np.random.default_rng(0)
    pieces = ["a", "b c", ",", '"', "\n", ";", "é", "'", "1", " x"]
    rows = [["".join(rng.choice(pieces, 3)) + "z" for _ in range(4)] for _ in range(300)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["p", "q", "r", "s"], *rows])
    path = tmp_path / "a.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    from relume.training.data.table import read_table

    table = read_table(path)
    assert table.frame.rows() == [tuple(row) for row in rows]
    starts = 2 + np.cumsum([0] + [1 + "".join(row).count("\n") for row in rows[:-1]])
    np.testing.assert_array_equal(table.lines, starts)
