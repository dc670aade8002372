from datetime import date

import numpy as np
import polars as pl
import pytest

from relume.errors import DataError
from relume.training.data.table import Table
from relume.training.data.target import (
    Target,
    choose_target,
    find_classes,
    find_task,
    fit_target,
    target_cells,
)
from relume.training.data.task import Task


def table(values, name="y"):
    return Table("t", pl.DataFrame({name: values}, strict=False))


def task(values, given=None, missing=()):
    return find_task(table(values), "y", given, missing)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"], Task.CLASSIFICATION),
        ([True, False, None], Task.CLASSIFICATION),
        ([1.5, 2.0], Task.REGRESSION),
        (["1.5", "2", "NA"], Task.REGRESSION),
        ([0, 1] * 3, Task.CLASSIFICATION),
        ([0.0, 1.0, float("nan")], Task.CLASSIFICATION),
        (["0", "1"], Task.CLASSIFICATION),
        (list(range(20)) * 10, Task.CLASSIFICATION),
        (list(range(20)) * 9 + list(range(19)), Task.REGRESSION),
        (list(range(21)) * 10, Task.REGRESSION),
        (["1", "2", "x"], Task.CLASSIFICATION),
    ],
)
def test_the_task_is_found_out_and_can_be_overridden(values, expected):
    found, note = task(values)
    assert found is expected
    numeric = values[0] not in {"a", True} and "x" not in values
    assert bool(note) is numeric
    if numeric:
        other = Task.REGRESSION if expected is Task.CLASSIFICATION else Task.CLASSIFICATION
        assert f"--task {other}" in note
        assert task(values, other) == (other, "")
        assert task(values, expected) == (expected, "")


def test_a_column_stored_as_categories_holds_classes():
    stored = pl.Series(["1.5", "2.5"], dtype=pl.Enum(["1.5", "2.5"]))
    assert task(stored) == (Task.CLASSIFICATION, "")
    assert task(stored, Task.REGRESSION) == (Task.REGRESSION, "")


def test_a_truth_value_can_be_an_amount():
    assert task([True, False], Task.REGRESSION) == (Task.REGRESSION, "")


@pytest.mark.parametrize(
    ("values", "given", "message"),
    [
        (["", None], None, "target 'y' is missing in every row"),
        ([None, None], None, "target 'y' is missing in every row"),
        ([float("nan")], None, "target 'y' is missing in every row"),
        (["1"] * 9 + ["many"], None, "column 'y' holds 'many' in row 10"),
        (["1"] * 9 + ["many"], None, "or give --missing many or --task classification"),
        (["a", "b"], Task.REGRESSION, "target 'y' holds 'a' in row 1: --task regression needs"),
        ([1.0, float("inf")], None, "holds an infinite number in row 2"),
        ([1.0, float("inf")], Task.CLASSIFICATION, "holds an infinite number in row 2"),
        ([date(2024, 1, 1)], None, "holds dates or times, which cannot be predicted"),
        ([date(2024, 1, 1)], Task.REGRESSION, "holds dates or times, which cannot be predicted"),
        ([[1], [2]], None, "target 'y' holds lists, structs or bytes"),
        ([[1], [2]], Task.REGRESSION, "target 'y' holds lists, structs or bytes"),
    ],
)
def test_a_target_that_cannot_be_predicted(values, given, message):
    with pytest.raises(DataError) as caught:
        task(values, given)
    assert message in str(caught.value)


def test_labels_may_be_texts_among_numbers_and_dates():
    assert task(["1"] * 9 + ["many"], Task.CLASSIFICATION)[0] is Task.CLASSIFICATION
    assert task([date(2024, 1, 1)], Task.CLASSIFICATION)[0] is Task.CLASSIFICATION


def test_classes_are_in_order_and_indexed():
    labels = target_cells(table(["10", "9", "9", "b", "10", "b"]), "y", Task.CLASSIFICATION, ())
    classes, codes = find_classes("t", labels, 2)
    assert classes == ("9", "10", "b")
    assert codes.tolist() == [1, 0, 0, 2, 1, 2]
    assert codes.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 5, "t: target 'y' is 'a' in every row; there must be at least two classes"),
        (["a"] * 5 + ["b"] * 2, "t: class 'b' of target 'y' has 2 rows; each needs at least 3"),
        (["a"] * 5 + ["b", "c", "d"], "class 'b' of target 'y' has 1 row (and 2 more classes"),
    ],
)
def test_too_few_classes_or_rows(labels, message):
    with pytest.raises(DataError) as caught:
        find_classes("t", pl.Series("y", labels), 3)
    assert message in str(caught.value)


def test_encoding_a_target_of_classes():
    target = Target("y", ("a", "b"))
    assert target.task is Task.CLASSIFICATION
    codes = target.encode(table(["b", "a"]), ())
    assert codes.tolist() == [1, 0]
    assert codes.dtype == np.int64
    with pytest.raises(DataError, match=r"holds the class 'c' in row 2; known are 'a', 'b'"):
        target.encode(table(["a", "c"]), ())
    with pytest.raises(DataError, match=r"target 'y' is empty in row 2"):
        target.encode(table(["a", "NA"]), ())


def test_a_boolean_target_is_the_same_from_texts():
    target = Target("y", ("false", "true"))
    for values in (["True", "FALSE"], [True, False], ["true", "false"]):
        assert target.encode(table(values), ()).tolist() == [1, 0]


def test_an_amount_keeps_its_unit_and_its_scale_is_of_the_training_part():
    y = np.array([10.0, 20.0, 60.0], np.float32)
    target = fit_target("y", None, y)
    assert (target.task, target.mean) == (Task.REGRESSION, 30.0)
    assert target.scale == pytest.approx(np.std([10, 20, 60]))
    encoded = target.encode(table([1, 2]), ())
    assert encoded.tolist() == [1.0, 2.0]
    assert encoded.dtype == np.float32
    assert fit_target("y", None, y[:1]).scale == 1.0
    with pytest.raises(DataError, match="target 'y' is 1e[+]300 in row 1, beyond what a float32"):
        target.encode(table([1e300]), ())


@pytest.mark.parametrize("name", ["target", "Label", "CLASS", "y"])
def test_a_usual_name_is_taken_and_said(name):
    frame = pl.DataFrame({"a": [1], name: [2]})
    found, note = choose_target(Table("t", frame), None, None)
    assert found == name
    assert f"predicting column '{name}'" in note


def test_which_target():
    both = Table("t", pl.DataFrame({"y": [1], "target": [2], "price": [3]}))
    with pytest.raises(DataError, match=r"Name it with --target; the columns are 'y', 'target',"):
        choose_target(both, None, None)
    assert choose_target(both, "price", None) == ("price", "")
    assert choose_target(both, None, "price") == ("price", "")
    with pytest.raises(
        DataError, match="--target: there is no column 'prize'; did you mean 'price'"
    ):
        choose_target(both, "prize", None)
