import numpy as np
import pytest

from relume.errors import DataError
from relume.training.data.npz_sequences import TARGETS, read_sequences

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(6, 5, 2))
AMOUNTS = RNG.normal(size=6)
LENGTHS = np.array([5, 1, 3, 5, 2, 4])


def read(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return read_sequences(folder / "a.npz", "a.npz")


@pytest.mark.parametrize("pair", [(key, each) for key, names in TARGETS.items() for each in names])
def test_every_usual_pair_of_names_is_read(tmp_path, pair):
    key, target = pair
    whole = read(tmp_path, **{key: VALUES, target: AMOUNTS, "other": 1})
    np.testing.assert_array_equal(whole.values, VALUES.astype(np.float32))
    np.testing.assert_array_equal(whole.target, AMOUNTS)
    assert (whole.target.name, whole.steps, whole.lengths, whole.test) == (target, 5, None, None)
    parts = {f"{key}_train": VALUES, f"{target}_train": AMOUNTS, "lengths_test": LENGTHS[:2]}
    twins = read(tmp_path, **parts, **{f"{key}_test": VALUES[:2], f"{target}_test": AMOUNTS[:2]})
    assert (len(twins), len(twins.test)) == (6, 2)
    assert twins.lengths is None
    assert twins.test.lengths.tolist() == [5, 1]
    assert len(read(tmp_path, **parts)) == 6


def test_one_feature_may_leave_out_its_axis_and_one_target_have_one(tmp_path):
    found = read(tmp_path, sequences=VALUES[:, :, 0], values=AMOUNTS[:, None])
    assert found.values.shape == (6, 5, 1)
    assert found.target.shape == (6,)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float64, ">f4"])
def test_numbers_of_every_kind_become_float32(tmp_path, dtype):
    given = (VALUES > 0).astype(dtype)
    found = read(tmp_path, sequences=given)
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, VALUES > 0)
    assert found.target is None


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (np.array(list("ababab")), list("ababab")),
        (np.arange(6, dtype=">i4"), list(range(6))),
        (AMOUNTS.astype(">f4"), AMOUNTS.astype(np.float32).tolist()),
        (AMOUNTS > 0, (AMOUNTS > 0).tolist()),
    ],
)
def test_targets_keep_their_values(tmp_path, target, values):
    assert read(tmp_path, sequences=VALUES, labels=target).target.to_list() == values


def test_what_stands_beyond_a_length_is_gone(tmp_path):
    beyond = np.arange(5) >= LENGTHS[:, None]
    found = read(tmp_path, x=np.where(beyond[:, :, None], np.nan, VALUES), lengths=LENGTHS)
    np.testing.assert_array_equal(found.present, ~beyond)
    assert (found.values[beyond] == 0).all()
    np.testing.assert_array_equal(found.values[~beyond], VALUES.astype(np.float32)[~beyond])
    short = read(tmp_path, x=VALUES, lengths=np.full((6, 1), 3.0))
    assert short.steps == 3


NAN = VALUES.copy()
NAN[3, 1, 1] = np.nan
GAPS = np.where(np.arange(6) == 2, np.inf, AMOUNTS)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": VALUES}, "name the arrays sequences and labels or values; x and y; data and target"),
        ({"sequences": VALUES, "labels": AMOUNTS, "values": AMOUNTS}, "labels and values; keep"),
        ({"sequences": NAN}, "'sequences': row 4 of 6 is nan in step 2, feature 2"),
        ({"sequences": VALUES * 1e300}, "row 1 of 6 is -?inf in step 1, feature 1"),
        ({"sequences": VALUES.astype(complex)}, "complex128, not numbers"),
        ({"sequences": VALUES[None]}, r"\(1, 6, 5, 2\); sequences are \(N, steps, features\)"),
        ({"sequences": VALUES[:0]}, r"the shape \(0, 5, 2\)"),
        ({"x": VALUES, "y": AMOUNTS[:5]}, r"'y' has the shape \(5,\); there are 6 sequences"),
        ({"x": VALUES, "y": VALUES[:, :, 0]}, r"'y' has the shape \(6, 5\)"),
        ({"x": VALUES, "y": GAPS}, "'y' is inf in row 3; each sequence needs a target"),
        ({"x": VALUES, "y": AMOUNTS * 1j}, "complex128; targets are numbers or texts"),
        ({"x": VALUES, "lengths": LENGTHS[:5]}, r"'lengths' has the shape \(5,\)"),
        ({"x": VALUES, "lengths": LENGTHS + 1}, "is 6 in row 1; .* from 1 to 5"),
        ({"x": VALUES, "lengths": LENGTHS - 1}, "is 0 in row 2"),
        ({"x": VALUES, "lengths": LENGTHS - 0.5}, r"is 4.5 in row 1"),
        ({"x": VALUES, "lengths": LENGTHS * np.nan}, "is nan in row 1"),
        ({"x": VALUES, "lengths": LENGTHS > 1}, "bool; lengths are whole numbers"),
        ({"x_train": VALUES, "x_test": NAN}, "'x_test': row 4 of 6"),
        ({"x": VALUES, "y": AMOUNTS.astype(object)}, "array of objects, which could run code"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, arrays, words):
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, **arrays)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("a.npz")
