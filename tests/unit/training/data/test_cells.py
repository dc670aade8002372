from datetime import date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from relume.errors import DataError
from relume.training.data.cells import Kind, Reading, read_categories, read_cells, read_numbers
from relume.training.data.missing import MISSING_TEXTS
from relume.training.data.table import Table


def numbers(values, missing=(), dtype=None):
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype)})
    return read_numbers(Table("t", frame), ["x"], missing)["x"].to_list()


def levels(values, missing=(), dtype=None):
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype)})
    return read_categories(Table("t", frame), ["x"], missing)["x"].to_list()


def moments(values, reading, missing=()):
    frame = pl.DataFrame({"x": values})
    return read_cells(Table("t", frame), [reading], missing)["x"].to_list()


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, None, 3], pl.Int8, [1.0, None, 3.0]),
        ([2**70], pl.Int128, [2.0**70]),
        ([0.5, float("nan")], pl.Float32, [0.5, None]),
        ([Decimal("1.25"), None], None, [1.25, None]),
        ([True, False, None], None, [1.0, 0.0, None]),
        ([timedelta(minutes=1), None], None, [60.0, None]),
        (
            [" 1.5", "2 ", "1e3", ".5", "-7", "", "NaN", None],
            None,
            [1.5, 2, 1e3, 0.5, -7] + [None] * 3,
        ),
        (["1", "2"], pl.Enum(["2", "1"]), [1.0, 2.0]),
        ([None, None], pl.Null, [None, None]),
    ],
)
def test_numbers_of_every_type(values, dtype, expected):
    assert numbers(values, dtype=dtype) == expected


@pytest.mark.parametrize("text", [*MISSING_TEXTS, *(f" {text} " for text in MISSING_TEXTS)])
def test_usual_texts_for_missing(text):
    assert numbers(["1", text]) == [1.0, None]
    assert levels(["a", text]) == ["a", None]


def test_own_texts_for_missing_hold_in_every_type():
    for values in (["-999", "1"], [-999, 1], [-999.0, 1.0]):
        assert numbers(values, ["-999"]) == [None, 1.0]
        assert levels(values, ["-999"]) == [None, "1"]
    assert levels(["unknown", "01", "true"], ["unknown", "1", "TRUE"]) == [None] * 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["01", "1", "1.0", "+1", "1e0"], ["1"] * 5),
        (["True", "TRUE", "true"], ["true"] * 3),
        ([True, False], ["true", "false"]),
        ([1.0, 2.5, float("nan")], ["1", "2.5", None]),
        ([Decimal("1.50")], ["1.5"]),
        ([-0.0], ["0"]),
        (["-0"], ["0"]),
        ([12345678901234567890], ["12345678901234567890"]),
        (["12345678901234567890"], ["12345678901234567890"]),
        (["00345678901234567890"], ["00345678901234567890"]),
        ([" red ", "Red"], ["red", "Red"]),
        (["inf", "nano"], ["inf", "nano"]),
        ([date(2020, 1, 2)], ["2020-01-02"]),
        ([timedelta(seconds=90)], ["90"]),
    ],
)
def test_levels_do_not_depend_on_how_a_column_is_stored(values, expected):
    assert levels(values) == expected


def test_the_same_texts_mean_the_same_once_polars_found_numbers_in_them(tmp_path):
    texts = ["01", "1.50", "2e3", "-0", "7"]
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{text},x\n" for text in texts))
    from relume.training.data.table import read_table

    table = read_table(path)
    assert table.frame["a"].dtype == pl.Float64
    assert read_categories(table, ["a"], ())["a"].to_list() == levels(texts)


DATE = Reading("x", Kind.DATE, "%d.%m.%Y")
STORED_DATE = Reading("x", Kind.DATE)
STORED_STAMP = Reading("x", Kind.DATETIME)
STORED_TIME = Reading("x", Kind.TIME)
NEW_YEAR = datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("values", "reading", "expected"),
    [
        (["1.1.2024", " 01.01.2024", "?"], DATE, [NEW_YEAR, NEW_YEAR, None]),
        ([date(2024, 1, 1), None], DATE, [NEW_YEAR, None]),
        ([NEW_YEAR], STORED_DATE, [NEW_YEAR]),
        (["2024-01-01"], STORED_DATE, [NEW_YEAR]),
        (["2024-01-01 00:00:00"], STORED_STAMP, [NEW_YEAR]),
        (["2024-01-01T01:00:00.5+01:00"], STORED_STAMP, [NEW_YEAR + timedelta(seconds=0.5)]),
        ([time(7, 30)], STORED_TIME, [time(7, 30)]),
        (["2024-01-01"], STORED_STAMP, [NEW_YEAR]),
        (["07:30:00"], STORED_TIME, [time(7, 30)]),
        (["07:30"], STORED_TIME, [time(7, 30)]),
        ([None, None], STORED_TIME, [None, None]),
        ([None, None], STORED_DATE, [None, None]),
    ],
)
def test_moments_from_texts_and_from_stored_types(values, reading, expected):
    assert moments(values, reading) == expected


BAD = [
    (["1", "x"], Reading("x", Kind.NUMBER), "column 'x' holds 'x' in row 2, where a number is"),
    ([1.0, float("-inf")], Reading("x", Kind.NUMBER), "holds an infinite number in row 2"),
    (["1", "1e400"], Reading("x", Kind.NUMBER), "holds an infinite number in row 2"),
    ([date(2024, 1, 1)], Reading("x", Kind.NUMBER), "must hold numbers, not type Date"),
    ([[1]], Reading("x", Kind.NUMBER), "must hold numbers, not type List"),
    ([[1]], Reading("x", Kind.CATEGORY), "must hold single values, not type List"),
    ([b"1"], Reading("x", Kind.CATEGORY), "must hold single values, not type Binary"),
    (["soon"], DATE, "holds 'soon' in row 1, where a date like %d.%m.%Y is needed"),
    (["soon"], STORED_TIME, "holds 'soon' in row 1, where a time like %H:%M:%S%.f is needed"),
    ([5], DATE, "must hold dates, not type Int64"),
    ([time(1)], DATE, "must hold dates, not type Time"),
    ([date(2024, 1, 1)], STORED_TIME, "must hold times, not type Date"),
]


@pytest.mark.parametrize(("values", "reading", "message"), BAD)
def test_a_cell_that_cannot_be_read_is_named(values, reading, message):
    with pytest.raises(DataError) as caught:
        moments(values, reading)
    assert message in str(caught.value)
    assert str(caught.value).startswith("t: ")


def test_columns_come_in_the_order_asked_for():
    frame = pl.DataFrame({"a": ["x"], "b": [1], "c": [NEW_YEAR]})
    readings = [Reading("c", Kind.DATETIME), Reading("b", Kind.NUMBER), Reading("a", Kind.CATEGORY)]
    assert read_cells(Table("t", frame), readings, ()).columns == ["c", "b", "a"]
