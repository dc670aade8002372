import json

import numpy as np
import polars as pl
import pytest

from relume.errors import DataError, ModelFormatError
from relume.training.data.prepare import DataOptions, Preprocessing, Table, prepare

RNG = np.random.default_rng(0)
N = 60
FRAME = pl.DataFrame(
    {
        "rownames": np.arange(1, N + 1),
        "age": [None if i % 9 == 0 else float(i) for i in range(N)],
        "colour": [["red", "blue", None][i % 3] for i in range(N)],
        "when": [f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in range(N)],
        "price": RNG.normal(100, 20, N),
    }
)


@pytest.fixture(scope="module")
def preprocessing():
    return prepare(FRAME, DataOptions(target="price", missing=("gone",))).preprocessing


def test_features_are_named(preprocessing):
    assert preprocessing.features == (
        "age", "age is missing", "colour=blue", "colour=red", "colour is missing",
        "when year", "when month", "when day of week", "when day of year", "when elapsed days",
    )  # fmt: skip
    assert preprocessing.target.name == "price"
    assert preprocessing.classes is None
    assert preprocessing.transform(FRAME).shape == (N, 10)
    assert preprocessing.transform(FRAME).dtype == np.float32


def test_a_row_gives_the_same_features_alone_in_any_type_and_order(preprocessing):
    whole = preprocessing.transform(FRAME)
    texts = FRAME.select(pl.all().cast(pl.String)).select(reversed(FRAME.columns))
    np.testing.assert_array_equal(preprocessing.transform(texts), whole)
    dates = FRAME.with_columns(pl.col("when").str.to_date(), extra=pl.lit("more"))
    np.testing.assert_array_equal(preprocessing.transform(dates), whole)
    for row in range(N):
        np.testing.assert_array_equal(preprocessing.transform(FRAME[row]), whole[row : row + 1])
    assert preprocessing.transform(FRAME.clear()).shape == (0, 10)


def test_own_texts_for_missing_are_remembered(preprocessing):
    gone = FRAME[:1].with_columns(age=pl.lit("gone"), colour=pl.lit("gone"), when=pl.lit("gone"))
    empty = FRAME[:1].with_columns(age=None, colour=None, when=None)
    np.testing.assert_array_equal(preprocessing.transform(gone), preprocessing.transform(empty))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.rename({"age": "Age"}),
            "new.csv: there is no column 'age'; did you mean 'Age'",
        ),
        (lambda f: f.drop("when"), "new.csv: there is no column 'when'"),
        (
            lambda f: f.with_columns(age=pl.Series(["7"] * 2 + ["old"] + ["9"] * 57)),
            "new.csv: column 'age' holds 'old' in row 3 (line 4 of the file), where a number is",
        ),
        (
            lambda f: f.with_columns(age=pl.lit(float("inf"))),
            "new.csv: column 'age' holds an infinite number in row 1 (line 2 of the file)",
        ),
        (
            lambda f: f.with_columns(when=pl.lit("soon")),
            "new.csv: column 'when' holds 'soon' in row 1 (line 2 of the file), where a date like",
        ),
        (
            lambda f: f.with_columns(age=pl.lit([1])),
            "column 'age' must hold numbers, not type List",
        ),
    ],
)
def test_what_cannot_be_encoded_is_named(preprocessing, change, message):
    with pytest.raises(DataError) as caught:
        preprocessing.transform(Table("new.csv", change(FRAME), np.arange(2, N + 2)))
    assert message in str(caught.value)


def test_the_target_is_encoded_from_a_column_or_a_table(preprocessing):
    expected = FRAME["price"].to_numpy().astype(np.float32)
    np.testing.assert_array_equal(preprocessing.encode_target(FRAME["price"]), expected)
    np.testing.assert_array_equal(preprocessing.encode_target(Table("t", FRAME)), expected)
    named = FRAME["price"].alias("another name")
    np.testing.assert_array_equal(preprocessing.encode_target(named), expected)
    with pytest.raises(DataError, match="there is no column 'price'"):
        preprocessing.encode_target(Table("t", FRAME.drop("price")))


def test_json_is_plain_and_gives_the_same_back(preprocessing):
    data = preprocessing.to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert Preprocessing.from_json(data) == preprocessing


def changed(data, path, value):
    data = json.loads(json.dumps(data))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return data


MUTATIONS = [
    (["version"], 2, "'version' must be 1, not '2'"),
    (["version"], True, "'version' must be 1"),
    (["surprise"], 1, "field 'surprise' is not known"),
    (["columns"], [], "'columns' must have at least 1 items"),
    (["columns"], {}, "'columns' must be a list"),
    (["columns", 0, "type"], "pickle", "'columns'[0] is no column of a known type"),
    (["columns", 0, "type"], ["number"], "'columns'[0] is no column of a known type"),
    (["columns", 0], 5, "'columns'[0] is no column of a known type"),
    (["columns", 0, "name"], None, "'name' must be a text"),
    (["columns", 0, "name"], "\ud800", "is no valid text"),
    (["columns", 0, "name"], "colour", "share a name"),
    (["columns", 0, "indicator"], 1, "'indicator' must be true or false"),
    (["columns", 0, "scaling", "mean"], "1", "'mean' must be a finite number"),
    (["columns", 0, "scaling", "mean"], True, "'mean' must be a finite number"),
    (["columns", 0, "scaling", "mean"], float("nan"), "'mean' must be a finite number"),
    (["columns", 0, "scaling", "mean"], 10**400, "'mean' must be a finite number"),
    (["columns", 0, "scaling", "scale"], -1.0, "'scale' must not be negative"),
    (["columns", 0, "scaling", "more"], 1.0, "field 'more' is not known"),
    (["columns", 1, "levels"], ["red", "red"], "must not name anything twice"),
    (["columns", 1, "levels"], ["red", 1], "'levels'[1] must be a text"),
    (["columns", 2, "kind"], "number", "is 'number', which is not known"),
    (["columns", 2, "kind"], "time", "'format' is '%Y-%m-%d', which is not known"),
    (["columns", 2, "format"], "%n", "'format' is '%n', which is not known"),
    (["columns", 2, "scalings"], [], "a date has 5 scalings"),
    (["target", "name"], "age", "share a name"),
    (["target", "classes"], ["one"], "must have at least 2 items"),
    (["target", "scale"], 0, "'scale' must be above 0"),
    (["dropped", 0, "reason"], "mood", "'reason' is 'mood', which is not known"),
    (["missing"], [None], "'missing'[0] must be a text"),
]


@pytest.mark.parametrize(("path", "value", "message"), MUTATIONS)
def test_damaged_json_is_refused(preprocessing, path, value, message):
    with pytest.raises(ModelFormatError) as caught:
        Preprocessing.from_json(changed(preprocessing.to_json(), path, value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "text", 5, {}])
def test_what_is_no_preprocessing_is_refused(data):
    with pytest.raises(ModelFormatError):
        Preprocessing.from_json(data)


def test_whole_numbers_may_stand_for_floats(preprocessing):
    data = changed(preprocessing.to_json(), ["columns", 0, "scaling", "mean"], 3)
    assert Preprocessing.from_json(data).columns[0].scaling.mean == 3.0
