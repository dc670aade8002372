"""Everything that a person can get wrong: one line that says what, where and what to do."""

import numpy as np
import polars as pl
import pytest

from relume.errors import DataError
from relume.training.data.prepare import DataOptions, Task, prepare

RNG = np.random.default_rng(0)


def lines(count=40, change=None):
    """A small good table, with some rows' cells changed."""
    rows = [[f"{RNG.normal():.3f}", ["red", "blue"][i % 2], "ab"[i % 2]] for i in range(count)]
    for (row, column), text in (change or {}).items():
        rows[row][column] = text
    return "age,colour,target\n" + "".join(",".join(row) + "\n" for row in rows)


GOOD = lines()
RARE = lines(change={(0, 2): "c", (1, 2): "c"})

CASES = [
    ("one column", "a\n1\n2\n", {}, "has only 1 column: nothing to learn from"),
    ("no target", "a,b\n1,2\n", {}, "which column is to be predicted? Name it with --target"),
    (
        "unknown target",
        GOOD,
        {"target": "targte"},
        "--target: there is no column 'targte'; did you",
    ),
    ("few rows", lines(3), {}, "data.csv has 3 rows; at least 10 are needed"),
    (
        "few rows with target",
        lines(12, {(i, 2): "" for i in range(5)}),
        {},
        "data.csv has 7 rows with a target; at least 10 are needed",
    ),
    ("one class", lines(change={(i, 2): "a" for i in range(40)}), {}, "is 'a' in every row"),
    ("rare class", RARE, {}, "class 'c' of target 'target' has 2 rows; each needs at least 3"),
    (
        "constant amount",
        "a,y\n" + "".join(f"{i * i},5\n" for i in range(20)),
        {"task": Task.REGRESSION},
        "target 'y' is 5 in every row; there is nothing to predict",
    ),
    (
        "no target cell",
        lines(change={(i, 2): "" for i in range(40)}),
        {},
        "is missing in every row",
    ),
    (
        "empty column",
        lines(change={(i, 0): "" for i in range(40)}),
        {},
        "leave out with --drop age",
    ),
    (
        "infinite feature",
        lines(change={(16, 0): "inf"}),
        {},
        "data.csv: column 'age' holds an infinite number in row 17 (line 18 of the file)",
    ),
    (
        "infinite target",
        "a,y\n" + "".join(f"{i * i},{i + 0.5 if i != 4 else '-inf'}\n" for i in range(20)),
        {},
        "column 'y' holds an infinite number in row 5 (line 6 of the file)",
    ),
    (
        "huge target",
        "a,y\n" + "".join(f"{i * i},{i + 0.5 if i != 4 else '1e39'}\n" for i in range(20)),
        {},
        "target 'y' is 1e+39 in row 5 (line 6 of the file), beyond what a float32 holds",
    ),
    (
        "text among numbers",
        lines(change={(16, 0): "abc"}),
        {},
        "holds 'abc' in row 17 (line 18 of the file), but 39 of its 40 values are numbers",
    ),
    ("regression of texts", GOOD, {"task": Task.REGRESSION}, "--task regression needs numbers"),
    (
        "all dropped",
        GOOD,
        {"drop": ("age", "colour")},
        "beside the target 'target' no column is left",
    ),
    (
        "all useless",
        "id,same,y\n" + "".join(f"{i},1,{'ab'[i % 2]}\n" for i in range(20)),
        {},
        "no column is left to learn from: dropped id column 'id'; dropped constant column 'same'",
    ),
    (
        "unknown drop",
        GOOD,
        {"drop": ("color",)},
        "--drop: there is no column 'color'; did you mean",
    ),
    (
        "unknown category",
        GOOD,
        {"categorical": ("Agee",)},
        "--categorical: there is no column 'Agee'",
    ),
    ("dropped target", GOOD, {"drop": ("target",)}, "--drop 'target': this is the target"),
    ("target category", GOOD, {"categorical": ("target",)}, "--task classification is meant"),
    (
        "dropped category",
        GOOD,
        {"drop": ("age",), "categorical": ("age",)},
        "--categorical 'age': this column is dropped; leave the option out",
    ),
    (
        "no validation",
        GOOD,
        {"validation_fraction": 0.0},
        "the validation fraction must be above 0",
    ),
    (
        "all test",
        GOOD,
        {"test_fraction": 1.0},
        "the test fraction must be above 0 and below 1, not 1",
    ),
    ("no number", GOOD, {"test_fraction": float("nan")}, "the test fraction must be above 0"),
    (
        "nothing to train on",
        GOOD,
        {"validation_fraction": 0.5, "test_fraction": 0.5},
        "validation and test fraction add up to 1; below 1 there is something left",
    ),
]


@pytest.mark.parametrize(
    ("content", "options", "message"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_bad_data(tmp_path, content, options, message):
    path = tmp_path / "data.csv"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        prepare(path, DataOptions(**options))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


TEST_CASES = [
    ("same file", None, "holds the very data to learn from; leave --test out"),
    (
        "new class",
        "age,colour,target\n1,red,a\n2,red,c\n",
        "holds the class 'c' in row 2 (line 3 of",
    ),
    (
        "no column",
        "Age,colour,target\n1,red,a\n",
        "test.csv: there is no column 'age'; did you mean",
    ),
    (
        "no target",
        "age,colour,Target\n1,red,a\n",
        "there is no column 'target'; did you mean 'Target'",
    ),
    ("no target cell", "age,colour,target\n1,red,\n", "target 'target' is missing in every row"),
    (
        "text",
        "age,colour,target\n1,red,a\nold,red,a\n",
        "holds 'old' in row 2 (line 3 of the file)",
    ),
    ("no rows", "age,colour,target\n", "test.csv has a header line but no rows"),
]


@pytest.mark.parametrize(
    ("content", "message"), [c[1:] for c in TEST_CASES], ids=[c[0] for c in TEST_CASES]
)
def test_bad_test_files(tmp_path, content, message):
    (tmp_path / "data.csv").write_text(GOOD)
    (tmp_path / "test.csv").write_text(GOOD if content is None else content)
    with pytest.raises(DataError) as caught:
        prepare(tmp_path / "data.csv", DataOptions(test=tmp_path / "test.csv"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_with_an_own_test_file_two_rows_a_class_are_enough(tmp_path):
    (tmp_path / "data.csv").write_text(RARE)
    (tmp_path / "test.csv").write_text(GOOD)
    prepared = prepare(tmp_path / "data.csv", DataOptions(test=tmp_path / "test.csv"))
    assert prepared.preprocessing.classes == ("a", "b", "c")
    assert 2 in prepared.train.y
    assert 2 in prepared.validation.y


def test_a_frame_without_rows_or_columns():
    for frame in (pl.DataFrame(), pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [], "y": []})):
        with pytest.raises(DataError, match=r"^table"):
            prepare(frame, DataOptions())


def test_the_advice_of_a_message_works(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(lines(change={(16, 0): "two words"}))
    with pytest.raises(DataError, match="--missing 'two words' or --categorical age"):
        prepare(path, DataOptions())
    assert (
        "age is missing"
        in prepare(path, DataOptions(missing=("two words",), seed=1)).preprocessing.features
    )
    dropped = prepare(path, DataOptions(categorical=("age",))).preprocessing.dropped
    assert [one.name for one in dropped] == ["age"]
