from datetime import date, datetime, time, timedelta

import polars as pl
import pytest

from relume.errors import DataError
from relume.training.data.cells import Kind, Reading, is_unreadable
from relume.training.data.columns import find_readings
from relume.training.data.table import Table


def reading(values, missing=(), categorical=()):
    table = Table("t", pl.DataFrame({"x": values}))
    (found,) = find_readings(table, ["x"], missing, categorical)
    return found


@pytest.mark.parametrize(
    ("values", "kind", "form"),
    [
        ([1, 2], Kind.NUMBER, None),
        ([1.5, None], Kind.NUMBER, None),
        ([timedelta(1)], Kind.NUMBER, None),
        (["1", " 2.5", "NA", "-3e4"], Kind.NUMBER, None),
        ([True, False], Kind.CATEGORY, None),
        (["red", "1"], Kind.CATEGORY, None),
        (["true", "false"], Kind.CATEGORY, None),
        (pl.Series(["1", "2"], dtype=pl.Enum(["1", "2"])), Kind.CATEGORY, None),
        (pl.Series(["2024-01-01"], dtype=pl.Categorical), Kind.CATEGORY, None),
        ([date(2024, 1, 1)], Kind.DATE, None),
        ([datetime(2024, 1, 1)], Kind.DATETIME, None),
        ([time(1)], Kind.TIME, None),
        (["2024-12-31", "?", "2024-01-01"], Kind.DATE, "%Y-%m-%d"),
        (["01/02/2024", "13/02/2024"], Kind.DATE, "%d/%m/%Y"),
        (["01/02/2024", "02/13/2024"], Kind.DATE, "%m/%d/%Y"),
        (["1 Jan 2024", "31 Dec 2024"], Kind.DATE, "%d %b %Y"),
        (["2024-01-01T10:00:00Z"], Kind.DATETIME, "%Y-%m-%dT%H:%M:%S%.f%#z"),
        (["1.2.2024 10:00"], Kind.DATETIME, "%d.%m.%Y %H:%M"),
        (["10:00", "9:30"], Kind.TIME, "%H:%M"),
        (["2024-01-01", "01.01.2024"], Kind.CATEGORY, None),
    ],
)
def test_kinds(values, kind, form):
    assert reading(values) == Reading("x", kind, form)


def test_a_person_can_say_that_codes_and_dates_are_categories():
    for values in ([1, 2], ["1", "2", "x"], ["2024-01-01"], ["1"] * 99 + ["x"]):
        assert reading(values, categorical=["x"]) == Reading("x", Kind.CATEGORY)


def test_a_person_can_say_what_is_missing():
    assert reading(["1", "2", "unknown"], missing=["unknown"]).kind is Kind.NUMBER


@pytest.mark.parametrize(
    ("values", "found", "text"),
    [
        (
            ["1"] * 16 + ["abc"] + ["2"] * 9,
            "'abc' in row 17, but 25 of its 26 values are numbers",
            "abc",
        ),
        (
            ["", "so soon"] + ["2024-01-01"] * 9,
            "'so soon' in row 2, but 9 of its 10 values are dates or times written alike",
            "'so soon'",
        ),
    ],
)
def test_a_column_that_is_almost_something_is_refused(values, found, text):
    with pytest.raises(DataError) as caught:
        reading(values)
    advice = f"correct it, or give --missing {text} or --categorical x"
    assert str(caught.value) == f"t: column 'x' holds {found}; {advice}"


@pytest.mark.parametrize("values", [["", None], [None, float("nan")], [None]])
def test_a_column_without_any_value_is_refused(values):
    with pytest.raises(DataError) as caught:
        reading(values)
    assert str(caught.value) == "t: column 'x' holds no value; leave out with --drop x"


def test_every_empty_column_is_named_once():
    table = Table("t", pl.DataFrame({"a b": [None], "c": [""], "d": [1]}))
    with pytest.raises(DataError, match="columns 'a b', 'c' hold no value") as caught:
        find_readings(table, ["a b", "c", "d"], (), ())
    assert str(caught.value).endswith("--drop 'a b' --drop c")


def test_a_text_in_one_of_ten_is_refused_and_in_two_of_ten_makes_categories():
    with pytest.raises(DataError):
        reading(["1"] * 9 + ["x"])
    assert reading(["1"] * 8 + ["x", "y"]).kind is Kind.CATEGORY


@pytest.mark.parametrize(
    "dtype", [pl.List(pl.Int64), pl.Struct({"a": pl.Int64}), pl.Binary, pl.Object]
)
def test_unreadable_types(dtype):
    assert is_unreadable(pl.Series([], dtype=dtype).dtype)
