"""Any text either becomes data or one line that says why not: never another exception."""

import csv
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relume.errors import DataError
from relume.training.data.prepare import DataOptions, Preprocessing, prepare, read_table

CELLS = st.sampled_from(
    ["1", "2.5", "-3e4", "1e400", "inf", "nan", "NA", "", " ", "?", "red", "blue", "Red", "true",
     "2024-01-02", "02/01/2024", "10:20", "2024-01-02T10:20:30Z", "é", '"', '""', "'", "1,5", "x y",
     "-", "0x1", "1_0", "１", "\x1f", "007", "9" * 45, "=1+1", "a" * 60]
)  # fmt: skip
BROKEN = st.lists(
    st.one_of(
        CELLS, st.sampled_from([",", ",", ",", "\n", "\n", "\r\n", ";", "\t", "|", "\r", "\0"])
    ),
    max_size=60,
).map("".join)
OPTIONS = st.builds(
    DataOptions,
    target=st.sampled_from([None, "a", "target"]),
    task=st.sampled_from([None, "classification", "regression"]),
    missing=st.sampled_from([(), ("red",), ("2.5",)]),
    categorical=st.sampled_from([(), ("a",)]),
    validation_fraction=st.sampled_from([0.2, 0.01]),
)


NUMBERS = ["1", "2.5", "-3e4", "7", "", "NA", "1e300", "-0"]
DATES = ["2024-01-02", "2023-12-31", "", "2020-02-29"]
TEXTS = ["red", "Red", "x y", "é", "true", "?", "a,b", "1"]
LABELS = ["a", "b"]


@st.composite
def tables(draw):
    """A text that is nearly a good table: cells of one kind in each column, at times a stray."""
    width = draw(st.integers(2, 4))
    rows = draw(st.integers(9, 40))
    pools = [draw(st.sampled_from([LABELS, NUMBERS]))]
    pools += [draw(st.sampled_from([NUMBERS, DATES, TEXTS])) for _ in range(width - 1)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    columns = [rng.choice(pool, rows).tolist() for pool in pools]
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        columns[rng.integers(width)][rng.integers(rows)] = draw(CELLS)
    text = io.StringIO()
    separator = draw(st.sampled_from(",;\t|"))
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(["target", "a", "b", "c"][:width])
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("text") / "data.csv"


def outcome(path, raw, options):
    """Prepare; whatever comes out must be whole."""
    path.write_bytes(raw)
    try:
        prepared = prepare(path, options)
    except DataError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        return
    again = Preprocessing.from_json(prepared.preprocessing.to_json()).transform(read_table(path))
    for part in (prepared.train, prepared.validation, prepared.test):
        assert len(part.y) == len(part.rows) > 0
        assert np.isfinite(part.x).all()
        assert np.isfinite(part.y).all()
        np.testing.assert_array_equal(part.x, again[part.rows])


SETTINGS = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@settings(SETTINGS, max_examples=150)
@given(text=tables(), options=OPTIONS)
def test_tables(path, text, options):
    outcome(path, text.encode(), options)


@settings(SETTINGS, max_examples=200)
@given(text=BROKEN, header=st.booleans(), options=OPTIONS)
def test_broken_tables(path, text, header, options):
    outcome(path, ("target,a\n" * header + text).encode(), options)


@settings(SETTINGS, max_examples=100)
@given(raw=st.binary(max_size=200), magic=st.sampled_from([b"", b"\xff\xfe", b"\x1f\x8b", b"PAR1"]))
def test_bytes(path, raw, magic):
    outcome(path, magic + raw, DataOptions())


LETTERS = st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])
PAIRS = st.lists(st.tuples(st.text(LETTERS, max_size=5), st.text(LETTERS, max_size=5)), min_size=1)


@settings(SETTINGS, max_examples=100)
@given(rows=PAIRS)
def test_well_formed_cells_are_read_as_the_csv_module_reads_them(path, rows):
    """Texts with a letter stay texts, so that every cell can be compared."""
    rows = [[cell + "z" for cell in row] for row in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["p", "q"], *rows])
    path.write_bytes(text.getvalue().encode())
    assert read_table(path).frame.rows() == [tuple(row) for row in rows]
