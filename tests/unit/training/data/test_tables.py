import datetime as dt
import decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import datasets

from relume.errors import DataError
from relume.training.data.builtin import BUILTINS, load_builtin
from relume.training.data.table import frame_digest, read_data, read_table


@pytest.mark.parametrize("builtin", BUILTINS, ids=lambda builtin: builtin.name)
def test_builtin_data_are_those_of_scikit_learn(builtin):
    frame = load_builtin(builtin)
    bunch = getattr(datasets, builtin.loader)()
    np.testing.assert_array_equal(frame.drop(builtin.target).to_numpy(), bunch.data)
    assert frame.columns[:-1] == [str(name) for name in bunch.feature_names]
    assert frame.columns[-1] == builtin.target
    if frame[builtin.target].dtype == pl.String:
        codes = [list(bunch.target_names).index(label) for label in frame[builtin.target]]
        np.testing.assert_array_equal(codes, bunch.target)
    else:
        np.testing.assert_array_equal(frame[builtin.target], bunch.target)


def test_the_shape_of_an_image_has_as_many_pixels_as_there_are_features():
    for builtin in BUILTINS:
        if builtin.shape is not None:
            assert np.prod(builtin.shape) == load_builtin(builtin).width - 1


def test_a_file_named_like_builtin_data_is_reached_by_its_ending(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris.csv").write_text("a,b\n1,2\n")
    assert read_data("iris.csv").shape == (1, 2)
    assert read_data("iris").shape == (150, 5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("wnie", "there is no file 'wnie' and no built-in data of that name; did you mean wine?"),
        ("trian.csv", "there is no file 'trian.csv'; did you mean 'train.csv'?"),
        ("nowhere/a.csv", "the folder 'nowhere' does not exist"),
        ("zzzz.csv", "give a CSV or Parquet file, or built-in data: digits, wine"),
        (".", "is a folder; give one CSV or Parquet file"),
        ("notes.txt", "cannot tell its format; files may end in .csv"),
        ("x" * 5000 + ".csv", "cannot be opened: File name too long"),
        ("a\0b.csv", "there is no file"),
    ],
)
def test_a_path_that_leads_nowhere_is_said_in_one_line(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("a,b\n1,2\n")
    (tmp_path / "notes.txt").write_text("a,b\n1,2\n")
    with pytest.raises(DataError) as caught:
        read_data(given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"a\.csv' cannot be read: Permission denied"):
        read_data(tmp_path / "a.csv")


def test_a_file_name_cannot_break_a_message_into_two_lines(tmp_path):
    path = tmp_path / "two\nlines.csv"
    path.write_text("a,a\n1,2\n")
    with pytest.raises(DataError) as caught:
        read_data(path)
    assert "\n" not in str(caught.value)


def test_rows_without_a_file_have_no_lines(tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").place(1233) == "row 1,234"


def test_the_digest_of_a_file_follows_its_bytes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    first = read_table(path).digest
    assert read_table(path).digest == first
    path.write_text("a,b\n1,3\n")
    assert read_table(path).digest != first


COLUMNS = {
    "int": [1, 2],
    "float": [0.5, None],
    "text": ["a", ""],
    "gap": ["a", None],
    "date": [dt.date(2020, 1, 1), dt.date(2021, 1, 1)],
    "duration": [dt.timedelta(1), None],
    "decimal": [decimal.Decimal("1.50"), None],
    "category": pl.Series(["x", "y"], dtype=pl.Categorical),
    "enum": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x"])),
    "list": [[1], [2, 3]],
    "bytes": [b"1", b"2"],
    "null": [None, None],
}


def test_the_digest_of_a_frame_follows_names_types_and_cells():
    frames = [pl.DataFrame({"x": column}) for column in COLUMNS.values()]
    frames += [frame.reverse() for frame in frames[:-1]]
    frames += [pl.DataFrame({"y": [1, 2]}), pl.DataFrame({"x": [1.0, 2.0]})]
    digests = [frame_digest(frame) for frame in frames]
    assert len(set(digests)) == len(digests)
    assert digests == [frame_digest(frame.clone()) for frame in frames]
