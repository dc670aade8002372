import polars as pl
import pytest

from relume.errors import DataError
from relume.training.data.table import read_data

FRAME = pl.DataFrame({"a": [1.5, None, 3.0], "b": ["x", "y", None], "c": [True, False, True]})


@pytest.mark.parametrize("name", ["t.parquet", "t.pq", "T.PARQUET"])
def test_what_was_written_is_read(tmp_path, name):
    FRAME.write_parquet(tmp_path / name)
    assert read_data(tmp_path / name).equals(FRAME)


def bytes_of(tmp_path, frame=FRAME):
    frame.write_parquet(tmp_path / "whole.parquet")
    return (tmp_path / "whole.parquet").read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[: len(raw) // 2], "is cut off"),
        (lambda raw: raw[:3], "is not a Parquet file"),
        (lambda raw: b"a,b\n1,2\n", "is not a Parquet file; a CSV file must end in .csv"),
        (lambda raw: b"PAR1" + raw[-8:], "is a damaged Parquet file"),
        (lambda raw: raw[:8] + b"\xff" * (len(raw) - 16) + raw[-8:], "is a damaged Parquet file"),
        (lambda raw: b"", "is empty"),
    ],
)
def test_damage_is_said_in_one_line(tmp_path, damage, message):
    path = tmp_path / "t.parquet"
    path.write_bytes(damage(bytes_of(tmp_path)))
    with pytest.raises(DataError) as caught:
        read_data(path)
    assert message in str(caught.value)
    assert "t.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_rows(tmp_path):
    FRAME.clear().write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet has no rows"):
        read_data(tmp_path / "t.parquet")
