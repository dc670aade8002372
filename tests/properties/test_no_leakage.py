"""Nothing is learnt from rows that are not trained on, whatever stands in them.

Each test prepares a table, replaces every feature cell (and amounts to predict) of its validation
and test rows by something else of the same type, and prepares it again: what was learnt and the
encoded training part must be bitwise the same.
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.training.data import prepare as door
from relume.training.data.prepare import DataOptions, prepare

SETTINGS = settings(deadline=None, derandomize=True)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))
WORDS = ["the", "house", "garden", "don't", "3", "ß", "lively", "wonderful"]
CELLS = {
    "number": (pl.Float64, st.one_of(FLOATS, st.sampled_from([0.0, 1.0, 2.5]))),
    "whole": (pl.Int64, st.one_of(st.integers(-3, 3), st.integers(-(2**60), 2**60))),
    "text": (pl.String, st.one_of(st.sampled_from(["red", "blue"]), st.text("abcß", min_size=1))),
    "truth": (pl.Boolean, st.booleans()),
    "day": (pl.Date, DAYS),
    "written": (pl.String, DAYS.map(str)),
    "prose": (
        pl.String,
        st.lists(st.sampled_from(WORDS), min_size=9, max_size=12).map(" ".join),
    ),
}


@st.composite
def twins(draw, task):
    """Two tables of the same types and labels, and otherwise of different cells."""
    rows = draw(st.integers(20, 60))
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = rng.permutation(np.resize(["a", "b", "c"], rows))
    pair = []
    for _ in range(2):
        columns = {"base": rng.normal(size=rows), "y": rng.normal(size=rows)}
        if task == "classification":
            columns["y"] = labels
        if task == "both":
            columns["label"] = labels
        for at, kind in enumerate(kinds):
            dtype, present = CELLS[kind]
            pool = draw(st.lists(present, min_size=2, max_size=5)) + [None] * draw(
                st.integers(0, 1)
            )
            # The first row has a value: a column without any is refused.
            cells = [pool[0], *(pool[choice] for choice in rng.integers(0, len(pool), rows - 1))]
            columns[f"{kind} {at}"] = pl.Series(cells, dtype=dtype)
        pair.append(pl.DataFrame(columns))
    return pair


def poisoned(frame, other, rows):
    """The rows of ``frame``, those outside ``rows`` replaced by those of ``other``."""
    kept = np.zeros(frame.height, bool)
    kept[rows] = True
    return frame.select(
        pl.when(pl.Series(kept)).then(frame[name]).otherwise(other[name]).alias(name)
        for name in frame.columns
    )


def learns_from_training_rows_only(frame, other, options):
    clean = prepare(frame, options)
    again = prepare(poisoned(frame, other, clean.train.rows), options)
    np.testing.assert_array_equal(again.train.rows, clean.train.rows)
    return (
        again.preprocessing == clean.preprocessing
        and again.preprocessing.to_json() == clean.preprocessing.to_json()
        and again.train.x.tobytes() == clean.train.x.tobytes()
        and again.train.y.tobytes() == clean.train.y.tobytes()
    )


@pytest.mark.parametrize("task", ["classification", "regression", "both", "none"])
def test_random_tables(task):
    chosen = {"both": {"target": "label,y"}, "none": {"unsupervised": True}}
    options = DataOptions(**chosen.get(task, {"target": "y"}))

    @settings(SETTINGS, max_examples=50)
    @given(pair=twins(task), seed=st.integers(0, 1000))
    def check(pair, seed):
        assert learns_from_training_rows_only(*pair, replace(options, seed=seed))

    check()


def planted():
    """A table, and another whose every statistic differs."""
    rows = 120
    rng = np.random.default_rng(0)
    base = pl.DataFrame(
        {
            "number": rng.normal(size=rows),
            "gaps": [None if i % 9 == 0 else float(i % 7) for i in range(rows)],
            "whole": rng.integers(0, 5, rows),
            "code": rng.permutation(rows) * 3,
            "text": rng.choice(["a", "b", "c"], rows),
            "day": [date(2024, 1, 1) + timedelta(int(day)) for day in rng.integers(0, 300, rows)],
            "constant": ["same"] * rows,
            "prose": [" ".join(rng.choice(WORDS, 9)) + f", number {i}" for i in range(rows)],
            "y": rng.normal(size=rows),
        }
    )
    other = base.with_columns(
        pl.col("number") * 1e300,
        pl.lit(None, pl.Float64).alias("gaps"),
        pl.col("whole") - 10**9,
        pl.lit(3).alias("code"),
        pl.lit("only elsewhere").alias("text"),
        pl.lit(date(1950, 5, 5)).alias("day"),
        pl.lit("other").alias("constant"),
        pl.lit("words which only stand elsewhere, " * 3).alias("prose"),
        pl.col("y") * 1e30,
    )
    return base, other


@pytest.mark.parametrize("image", [False, True])
def test_planted_leaks(image, monkeypatch):
    base, other = planted()
    if image:
        base, other = (f.select("number", "whole", "y") for f in (base, other))
        opened = door._open
        monkeypatch.setattr(door, "_open", lambda *given: replace(opened(*given), shape=(1, 1, 2)))
    options = DataOptions(target="y", categorical=() if image else ("whole",))
    assert learns_from_training_rows_only(base, other, options)


@pytest.mark.parametrize("column", planted()[0].columns[:-1])
def test_a_leak_in_any_column_would_be_seen(column, monkeypatch):
    """The test above can fail: with all rows handed to the fit, each column gives it away."""
    beside = "text" if column == "number" else "number"
    base, other = (frame.select(column, beside, "y") for frame in planted())
    other = other.with_columns(base[beside], base["y"])  # only the one column may tell
    fit = door._fit

    def leaky(source, readings, cells, labelled, split, options):
        return fit(source, readings, cells, labelled, np.arange(len(labelled.rows)), options)

    monkeypatch.setattr(door, "_fit", leaky)
    assert not learns_from_training_rows_only(base, other, DataOptions(target="y"))


def test_words_of_other_rows_are_never_learnt():
    base, other = (frame.select("prose", "y") for frame in planted())
    for options in (DataOptions(target="y"), DataOptions(target="y", text=("prose",))):
        train = prepare(base, options).train.rows
        (column,) = prepare(poisoned(base, other, train), options).preprocessing.texts
        assert set(column.words) <= {*WORDS, "number"}
        assert set(WORDS) <= set(column.words)


def test_an_own_test_file_teaches_nothing(tmp_path):
    base, other = planted()
    options = DataOptions(target="y", test=tmp_path / "test.csv")
    learnt = []
    for frame in (base.with_columns(pl.col("number") + 1), other):
        frame.write_csv(tmp_path / "test.csv")
        learnt.append(prepare(base, options))
    assert learnt[0].preprocessing == learnt[1].preprocessing
    assert learnt[0].train.x.tobytes() == learnt[1].train.x.tobytes()
    assert learnt[0].test.x.tobytes() != learnt[1].test.x.tobytes()
