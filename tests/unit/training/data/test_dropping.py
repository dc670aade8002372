import uuid

import numpy as np
import polars as pl
import pytest

from relume.training.data.cells import read_cells
from relume.training.data.columns import find_readings
from relume.training.data.dropping import Reason, find_dropped, looks_like_key
from relume.training.data.table import Table

RNG = np.random.default_rng(0)
N = 40
ROWS = np.sort(RNG.permutation(100)[:N])  # the training rows among a hundred


def reason(values, name="x", categorical=()):
    frame = pl.DataFrame({name: values, "other": RNG.normal(size=100)})
    table = Table("t", frame)
    readings = find_readings(table, frame.columns, (), categorical)
    cells = read_cells(table, readings, ())[ROWS]
    dropped = {one.name: one.reason for one in find_dropped(cells, readings, ROWS, categorical)}
    assert "other" not in dropped
    return dropped.get(name)


UNIQUE = RNG.permutation(100) * 7
FEW = RNG.integers(0, 5, 100)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("anything", np.arange(100), Reason.KEY),
        ("anything", np.arange(1, 101), Reason.KEY),
        ("anything", np.arange(1, 101).astype(float), Reason.KEY),
        ("anything", np.arange(2, 102), None),
        ("anything", UNIQUE, None),
        ("rownames", UNIQUE, Reason.KEY),
        ("PassengerId", UNIQUE, Reason.KEY),
        ("customer_id", UNIQUE, Reason.KEY),
        ("ID", UNIQUE, Reason.KEY),
        ("id", FEW, None),
        ("id", UNIQUE + 0.5, None),
        ("humid", UNIQUE, None),
        ("anything", RNG.normal(size=100), None),
        ("id", RNG.normal(size=100), None),
        ("anything", np.linspace(0, 1, 100), None),
    ],
)
def test_keys_of_numbers(name, values, expected):
    assert reason(values, name) is expected


def test_a_count_with_a_gap_is_no_key():
    assert reason([None if i == ROWS[3] else i for i in range(100)]) is None


def words(count):
    return " ".join(RNG.choice(["the", "quick", "brown", "fox"], count))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([str(uuid.UUID(int=i * 12345)) for i in range(100)], Reason.KEY),
        ([f"{words(9)} {i}" for i in range(100)], Reason.TEXT),
        ([f"the same long words again and again {i % 60}" for i in range(100)], Reason.TEXT),
        ([f"code {i % 60}" for i in range(100)], None),
        ([f"{i % 10} {'x' * 40}" for i in range(100)], None),
        (["red", "blue"] * 50, None),
        ([None, "red"] * 50, None),
        ([True, None] * 50, None),
    ],
)
def test_texts(values, expected):
    assert reason(values) is expected


def test_a_code_of_which_no_value_comes_twice_but_some_are_missing():
    values = ["a" if i == 5 else f"c{i}" for i in range(100)]
    first, second = int(ROWS[0]), int(ROWS[1])
    values[first] = values[second] = "twice"
    assert reason(values) is None
    values[second] = "once"
    assert reason(values) is Reason.KEY


@pytest.mark.parametrize(("value", "other"), [(1, 5), (2.5, 7.5), ("red", "blue"), (True, False)])
def test_constants(value, other):
    assert reason([value] * 100) is Reason.CONSTANT
    elsewhere = next(row for row in range(100) if row not in ROWS)
    values = [other if row == elsewhere else value for row in range(100)]
    assert reason(values) is Reason.CONSTANT, "only training rows count"


def test_nothing_in_the_training_rows():
    elsewhere = next(row for row in range(100) if row not in ROWS)
    assert reason([1.5 if row == elsewhere else None for row in range(100)]) is Reason.EMPTY


def test_a_person_can_keep_a_key_as_categories():
    assert reason(np.arange(100) // 2, "id", ["id"]) is None
    assert reason([f"k{i // 3} and more" for i in range(100)], "x", ["x"]) is None
    assert reason(np.arange(100), "id", ["id"]) is Reason.RARE


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Unnamed: 0", True),
        ("Row Names", True),
        ("user id", True),
        ("grid", False),
        ("idea", False),
    ],
)
def test_names_of_keys(name, expected):
    assert looks_like_key(name) is expected
