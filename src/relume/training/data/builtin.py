"""The data sets that come with scikit-learn, as tables: nothing is downloaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl


@dataclass(frozen=True, slots=True)
class Builtin:
    """One built-in data set.

    ``loader`` is the name of the function in :mod:`sklearn.datasets`. ``shape`` is
    (channels, height, width) where the features are the pixels of an image, row by row.
    """

    name: str
    loader: str
    target: str
    shape: tuple[int, int, int] | None = None


BUILTINS = (
    Builtin("digits", "load_digits", "digit", shape=(1, 8, 8)),
    Builtin("wine", "load_wine", "class"),
    Builtin("breast_cancer", "load_breast_cancer", "diagnosis"),
    Builtin("iris", "load_iris", "species"),
    Builtin("diabetes", "load_diabetes", "progression"),
)


def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in data sets.

    Example:
        >>> builtin_names()
        ('digits', 'wine', 'breast_cancer', 'iris', 'diabetes')
    """
    return tuple(builtin.name for builtin in BUILTINS)


def find_builtin(data: object) -> Builtin | None:
    """Return the built-in data set of that exact name, or None.

    Example:
        >>> find_builtin("iris").target, find_builtin("iris.csv")
        ('species', None)
    """
    if not isinstance(data, str | Path):
        return None
    return next((builtin for builtin in BUILTINS if builtin.name == str(data)), None)


def load_builtin(builtin: Builtin) -> pl.DataFrame:
    """Return a built-in data set as a table: its features, then its target.

    Example:
        >>> load_builtin(find_builtin("iris")).columns[-2:]
        ['petal width (cm)', 'species']
    """
    from sklearn import datasets

    bunch = getattr(datasets, builtin.loader)()
    features = dict(zip(map(str, bunch.feature_names), bunch.data.T, strict=True))
    return pl.DataFrame({**features, builtin.target: _labels(bunch)})


def _labels(bunch: Any) -> pl.Series:
    names = bunch.get("target_names")
    if names is None or not np.issubdtype(np.asarray(names).dtype, np.str_):
        return pl.Series(bunch.target)
    return pl.Series([str(names[code]) for code in bunch.target])
