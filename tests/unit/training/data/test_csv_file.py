import gzip

import numpy as np
import polars as pl
import pytest

from relume.errors import DataError
from relume.training.data import csv_file
from relume.training.data.table import read_data, read_table

ROWS = [("1.5", "red", "a"), ("-2", "blue", "b"), ("3e2", "red, dark", "a")]


@pytest.fixture
def write(tmp_path):
    def to_file(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


def test_numbers_are_stored_as_numbers_and_texts_as_texts(write):
    frame = read_data(write("n,i,t,g\n1.5,7,red,1\n2.5,-3,7,NA\n"))
    assert frame.schema == {"n": pl.Float64, "i": pl.Int64, "t": pl.String, "g": pl.Int64}
    assert frame.rows() == [(1.5, 7, "red", 1), (2.5, -3, "7", None)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("prefix", ["", "\ufeff", "\n\n"])
def test_separator_line_ends_and_byte_order_mark_are_found(write, separator, newline, prefix):
    lines = [separator.join(("n", "t", "y")), *(separator.join(row) for row in ROWS[:2])]
    path = write(prefix + newline.join(lines) + newline)
    assert read_data(path).columns == ["n", "t", "y"]
    assert read_data(path).rows() == [(1.5, "red", "a"), (-2.0, "blue", "b")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_encodings(write, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path = write((mark + "größe,y\n1,é\n2,日本\n").encode(encoding))
    assert read_data(path).rows() == [(1, "é"), (2, "日本")]
    assert read_data(path).columns == ["größe", "y"]


@pytest.mark.parametrize("name", ["table.csv.gz", "table.csv", "TABLE.CSV.GZ"])
def test_gzip_is_recognised_by_its_content(write, name):
    assert read_data(write(gzip.compress(b"a,b\n1,2\n"), name)).rows() == [(1, 2)]


def test_tsv_is_split_at_tabs_even_if_commas_are_more(write):
    path = write("a,b,c\td\n1\t2\n", "table.tsv")
    assert read_data(path).columns == ["a,b,c", "d"]


def test_old_macintosh_line_ends(write):
    assert read_data(write("a,b\r1,2\r3,4\r")).rows() == [(1, 2), (3, 4)]


def test_decimal_commas_where_the_separator_is_none(write):
    frame = read_data(write("a;b;c\n1,5;x;-,25e2\n-2;1,x;3.5\n"))
    assert frame.rows() == [("1.5", "x", "-.25e2"), ("-2", "1,x", "3.5")]
    quoted = read_data(write('a,b\n"1,5",x\n'))
    assert quoted.rows() == [("1,5", "x")]


def test_quotes_with_separators_newlines_and_quotes_inside(write):
    path = write('a,b\n"x, y","1\n2"\n"say ""hi""",\n')
    assert read_data(path).rows() == [("x, y", "1\n2"), ('say "hi"', None)]


def test_a_quote_inside_an_unquoted_cell_is_a_letter(write):
    path = write('size,y\n5" disk,1\n3.5" disk,2\n')
    assert read_data(path).rows() == [('5" disk', 1), ('3.5" disk', 2)]


def test_lines_of_rows_are_known_across_blank_lines_and_quoted_newlines(write):
    table = read_table(write('\na,b\nr,"x\ny"\n\n   \ns,z\n\n'))
    assert table.frame.rows() == [("r", "x\ny"), ("s", "z")]
    assert table.lines.tolist() == [3, 7]
    assert table.place(1) == "row 2 (line 7 of the file)"


def test_lines_of_a_plain_file_count_from_two(write):
    table = read_table(write("a,b\n1,2\n3,4\n5,6"))
    np.testing.assert_array_equal(table.lines, [2, 3, 4])


def test_a_single_column_is_a_table_too(write):
    assert read_data(write("a\n1\n\n2\n\n")).rows() == [(1,), (2,)]


def test_header_names_are_tidied(write):
    assert read_data(write(' a ,"two\nlines",\n1,2,3\n')).columns == ["a", "two lines", "unnamed_3"]


def test_numbers_that_a_machine_integer_cannot_hold_do_not_stop_the_reading(write):
    digits = "1" * 45
    assert read_data(write(f"a,b\n1,2\n{digits},3\n"))["a"].cast(pl.Float64).to_list() == [
        1.0,
        float(digits),
    ]


BAD = [
    ("no bytes", b"", "is empty; give a table"),
    ("blank", b"\n \n", "is empty; give a table"),
    ("header only", b"a,b\n", "has a header line but no rows"),
    ("too few cells", b"a,b,c\n1,2,3\n1,2\n", "line 3 has 2 cells, the header has 3"),
    ("too many cells", b"a,b,c\n1,2,3\n1,2,3,4\n", "line 3 has 4 cells, the header has 3"),
    ("both", b"a,b\n1\n1,2,3\n", "line 2 has 1 cell, the header has 2"),
    ("after quoted newline", b'a,b\n"1\n2",3\n4\n', "line 4 has 1 cell"),
    ("open quote", b'a,b\n1,"2\n3,4\n', "line 2 cannot be read as CSV"),
    ("stray quote", b'a,b\n1,"2"3\n', "line 2 cannot be read as CSV"),
    ("latin-1", "a,b\n1,2\nné,1\n".encode("latin-1"), "byte 0xE9 in line 3; save it as UTF-8"),
    ("zeros", b"a,b\n1,\x00\n", "is not text (byte 6 is zero)"),
    ("half of utf-16", b"\xff\xfea", "is damaged UTF-16"),
    ("parquet", b"PAR1 and so on", "is not CSV but a Parquet file"),
    ("excel", b"PK\x03\x04 and so on", "is not CSV but a zip archive or an Excel workbook"),
    ("cut gzip", gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "damaged or cut off gzip"),
    ("not gzip", b"\x1f\x8bnothing", "damaged or cut off gzip"),
    ("one name twice", b"a,b,a,b\n1,2,3,4\n", "several columns called 'a', 'b'; rename them"),
]


def test_what_polars_cannot_read_at_all_is_said(write, monkeypatch):
    monkeypatch.setattr(csv_file, "_parse", lambda *_: None)
    with pytest.raises(DataError, match=r"table\.csv cannot be read as CSV; save it again"):
        read_data(write("a,b\n1,2\n"))


@pytest.mark.parametrize(("content", "message"), [bad[1:] for bad in BAD], ids=[b[0] for b in BAD])
def test_what_cannot_be_read_is_said_in_one_line(write, content, message):
    with pytest.raises(DataError) as caught:
        read_data(write(content))
    assert message in str(caught.value)
    assert "table.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
