"""Images or sequences: what a file's names, types and shapes say, as the module's table has it."""

import zipfile

import numpy as np
import pytest

from relume.errors import DataError
from relume.training.data.npz_form import find_form

CLASSES = np.arange(6) % 2
FRACTIONS = np.linspace(0, 1, 6)


def ones(*shape, dtype=float):
    return np.ones((6, *shape), dtype)


@pytest.mark.parametrize(
    ("arrays", "sequences", "says"),
    [
        ({"sequences": ones(28, 28, dtype=np.uint8), "labels": CLASSES}, True, ""),
        ({"sequences_train": ones(9, 2), "values_train": FRACTIONS}, True, ""),
        ({"images": ones(100, 2), "labels": CLASSES}, False, ""),
        ({"images": ones(100, 2), "x": ones(100, 2), "y": CLASSES}, False, ""),
        ({"x": ones(28, 28, 3), "y": CLASSES}, False, ""),
        ({"x": ones(28, 28, dtype=np.uint8), "y": CLASSES}, False, ""),
        ({"x": ones(28, 28, dtype=np.uint8), "y": FRACTIONS}, False, ""),
        ({"x": ones(28, 28, dtype=bool), "lengths": CLASSES}, True, ""),
        ({"x": ones(30, 4, dtype=bool), "y": CLASSES}, False, "grey images of 30×4"),
        ({"x": ones(28, 28), "y": CLASSES}, False, "name the array sequences if"),
        ({"x": ones(8, 16), "y": CLASSES}, False, "grey images of 8×16"),
        ({"x": ones(8, 17), "y": CLASSES}, True, "sequences of 8 steps of 17 features"),
        ({"x": ones(7, 7), "y": CLASSES}, True, "sequences of 7 steps of 7 features"),
        ({"x": ones(100, 2), "y": CLASSES}, True, "name the array images if it holds pictures"),
        ({"x": ones(100, 2)}, True, "'x', (6, 100, 2), was read as sequences of 100 steps"),
        ({"data": ones(28, 28), "target": FRACTIONS}, True, "sequences of 28 steps"),
        ({"x_train": ones(9, 2), "y_train": CLASSES, "x_test": ones(9, 2)}, True, "'x_train'"),
        ({"x": ones(9), "y": CLASSES}, False, ""),
        ({"other": ones(9, 2)}, False, ""),
    ],
)
def test_the_table_of_the_module(tmp_path, arrays, sequences, says):
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    form = find_form(tmp_path / "a.npz", "a.npz")
    assert form.sequences is sequences
    assert says in form.note
    assert bool(form.note) is bool(says)


def test_headers_of_the_second_version_are_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as members, members.open("x.npy", "w") as file:
        np.lib.format.write_array(file, ones(9, 2), version=(2, 0))
    assert find_form(tmp_path / "a.npz", "a.npz").sequences


def test_a_file_that_cannot_be_read_is_left_to_the_reader(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"spam")
    np.savez(tmp_path / "b.npz", x=ones(9, 2), y=np.array([{}] * 6))
    for name in ("a.npz", "b.npz", "c.npz"):
        assert not find_form(tmp_path / name, name).sequences


def test_both_cannot_be_meant(tmp_path):
    np.savez(tmp_path / "a.npz", images=ones(9, 9), sequences=ones(9, 9))
    with pytest.raises(DataError, match="holds images and sequences; keep one of the two"):
        find_form(tmp_path / "a.npz", "a.npz")
