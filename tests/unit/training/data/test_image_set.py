"""The door for images: splits, scaling learnt from the training part alone, JSON."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import DataError, ModelFormatError
from relume.training.data.image_preprocessing import ImagePreprocessing
from relume.training.data.image_set import as_labels
from relume.training.data.prepare import DataOptions, Task, prepare
from relume.training.data.prepared import Form
from relume.training.data.preprocessing import Preprocessing, preprocessing_from_json
from relume.training.data.target import Target

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (60, 5, 4, 3), np.uint8)
LABELS = np.array(["cat", "dog", "owl"] * 20)
TARGET = Target("label", ("cat", "dog", "owl"))


def npz(folder, name="a.npz", **arrays):
    np.savez(folder / name, **arrays)
    return folder / name


@pytest.mark.parametrize("pixels", [BYTES, (BYTES / 255).astype(np.float32)])
def test_scaling_is_that_of_the_training_part(tmp_path, pixels):
    prepared = prepare(npz(tmp_path, x=pixels, y=LABELS), DataOptions())
    fitted = prepared.preprocessing
    training = pixels[prepared.train.rows].astype(np.float64)
    np.testing.assert_allclose(fitted.means, training.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(fitted.scales, training.std((0, 1, 2)), rtol=1e-12)
    for part in (prepared.train, prepared.validation, prepared.test):
        wanted = (pixels[part.rows] - fitted.means) / fitted.scales
        x = part.x.reshape(-1, 3, 5, 4).transpose(0, 2, 3, 1)
        np.testing.assert_allclose(x, wanted, rtol=1e-6, atol=1e-6)
        assert part.x.dtype == np.float32
        assert [fitted.classes[code] for code in part.y] == LABELS[part.rows].tolist()
    rows = np.concatenate([prepared.train.rows, prepared.validation.rows, prepared.test.rows])
    assert sorted(rows) == list(range(60))
    assert prepared.image_shape == (3, 5, 4)
    assert prepared.form is Form.IMAGES
    assert len(fitted.features) == prepared.train.x.shape[1] == 60


@pytest.mark.parametrize("pixels", [BYTES, (BYTES / 255).astype(np.float32)])
def test_poisoned_validation_and_test_pixels_change_nothing(tmp_path, pixels):
    clean = prepare(npz(tmp_path, x=pixels, y=LABELS), DataOptions())
    poisoned = pixels.copy()
    for part in (clean.validation, clean.test):
        poisoned[part.rows] = pixels.max() - poisoned[part.rows] // 3
    again = prepare(npz(tmp_path, x=poisoned, y=LABELS), DataOptions())
    assert again.preprocessing.to_json() == clean.preprocessing.to_json()
    assert again.train.x.tobytes() == clean.train.x.tobytes()
    assert again.test.x.tobytes() != clean.test.x.tobytes()
    poisoned[clean.train.rows[0]] = 0
    seen = prepare(npz(tmp_path, x=poisoned, y=LABELS), DataOptions())
    assert seen.preprocessing.to_json() != clean.preprocessing.to_json()
    assert seen.fingerprint != again.fingerprint != clean.fingerprint


def test_an_own_test_part_is_kept_whole_and_teaches_nothing(tmp_path):
    tests = {"x_test": BYTES[:9], "y_test": LABELS[:9]}
    path = npz(tmp_path, x_train=BYTES, y_train=LABELS, **tests)
    prepared = prepare(path, DataOptions())
    assert [len(part.y) for part in (prepared.train, prepared.validation)] == [54, 6]
    assert prepared.test.rows.tolist() == list(range(9))
    assert "the test part is the set's own, 9 images" in prepared.notes
    repeats = int(np.isin(prepared.train.rows, range(9)).sum())
    assert any(note.startswith(f"{repeats} test images also stand") for note in prepared.notes)
    tests["x_test"] = BYTES[:9] ^ 255
    again = prepare(npz(tmp_path, x_train=BYTES, y_train=LABELS, **tests), DataOptions())
    assert again.preprocessing == prepared.preprocessing
    assert again.train.x.tobytes() == prepared.train.x.tobytes()
    assert not any("also stand" in note for note in again.notes)


def test_a_test_file_of_ones_own(tmp_path):
    path = npz(tmp_path, x=BYTES, y=LABELS)
    test = npz(tmp_path, "b.npz", x=BYTES[:9] ^ 255, y=LABELS[:9])
    prepared = prepare(path, DataOptions(test=test))
    assert len(prepared.test.y) == 9
    assert len(prepared.train.y) == 54
    for arrays, words in (
        ({"x": BYTES[:9], "y": ["emu"] * 9}, "image 1 has the label 'emu'"),
        ({"x": BYTES[:9]}, "without labels"),
        ({"x": BYTES[:9, :4], "y": LABELS[:9]}, "images of 4×4; colour images of 5×4 are needed"),
        ({"x": BYTES[:9] / 255, "y": LABELS[:9]}, "same range and type"),
    ):
        with pytest.raises(DataError, match=words):
            prepare(path, DataOptions(test=npz(tmp_path, "c.npz", **arrays)))
    with pytest.raises(DataError, match="the very images"):
        prepare(path, DataOptions(test=path))
    with pytest.raises(DataError, match="a folder of images or .npz is needed"):
        prepare(path, DataOptions(test=tmp_path / "b.csv"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "y"}, "--target is for the columns of tables"),
        ({"drop": ("a",)}, "--drop is for"),
        ({"categorical": ("a",)}, "--categorical is for"),
        ({"missing": ("-",)}, "--missing is for"),
        ({"task": Task.REGRESSION}, "predicted as classes"),
        ({"test_fraction": 2}, "test fraction must be"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, words):
    with pytest.raises(DataError, match=words):
        prepare(npz(tmp_path, x=BYTES, y=LABELS), DataOptions(**options))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": BYTES}, "images without labels"),
        ({"x": BYTES, "y": ["cat"] * 60}, "'cat' in every row"),
        ({"x": BYTES[:9], "y": LABELS[:9]}, "9 images to learn from; at least 10"),
        ({"x": BYTES, "y": ["emu", *LABELS[1:]]}, "class 'emu' .* has 1 row; each needs"),
        ({"x": BYTES * 0 + 7, "y": LABELS}, "one even colour"),
        ({"x": BYTES * 0 + 0.1, "y": LABELS}, "one even colour"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(tmp_path, arrays, words):
    with pytest.raises(DataError, match=words):
        prepare(npz(tmp_path, **arrays), DataOptions())


def test_a_channel_without_spread_gives_zeros():
    pixels = BYTES.transpose(0, 3, 1, 2).copy()
    pixels[:, 1] = 9
    fitted = ImagePreprocessing.fit(pixels, np.arange(60), TARGET)
    x = fitted.encode(pixels, np.arange(60)).reshape(pixels.shape)
    assert (x[:, 1] == 0).all()
    assert x[:, 0].std() == pytest.approx(1, rel=1e-5)


def test_values_far_from_the_training_part_stay_finite():
    pixels = BYTES.transpose(0, 3, 1, 2).astype(np.float32) / 255
    fitted = ImagePreprocessing.fit(pixels, np.arange(60), TARGET)
    huge = np.full_like(pixels[:2], np.finfo(np.float32).max)
    assert np.abs(fitted.encode(huge, np.arange(2))).max() == 1e6


def test_labels_become_texts_and_numbers_sort_by_value(tmp_path):
    labels = np.resize([10, 9, 2], 60)
    assert as_labels(labels).to_list()[:3] == ["10", "9", "2"]
    prepared = prepare(npz(tmp_path, x=BYTES, y=labels), DataOptions())
    assert prepared.preprocessing.classes == ("2", "9", "10")


FITTED = ImagePreprocessing.fit(BYTES.transpose(0, 3, 1, 2), np.arange(60), TARGET)


def test_json_there_and_back_is_bitwise_the_same():
    loaded = preprocessing_from_json(json.loads(json.dumps(FITTED.to_json())))
    assert loaded == FITTED
    pixels, rows = BYTES.transpose(0, 3, 1, 2), np.arange(60)
    assert loaded.encode(pixels, rows).tobytes() == FITTED.encode(pixels, rows).tobytes()


def test_json_of_a_table_is_still_a_table():
    fitted = prepare("iris", DataOptions()).preprocessing
    assert isinstance(preprocessing_from_json(fitted.to_json()), Preprocessing)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3),
    st.lists(st.integers(), max_size=4), st.sampled_from([10**400, "float32", "images", 0]),
)  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data(), value=VALUES, how=st.sampled_from(["replace", "remove", "add"]))
def test_damaged_json_is_refused_or_still_whole(data, value, how):
    damaged = copy.deepcopy(FITTED.to_json())
    key = data.draw(st.sampled_from(sorted(damaged)))
    place = damaged
    if isinstance(damaged[key], dict | list) and data.draw(st.booleans()):
        place = damaged[key]
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
    if how == "replace":
        place[key] = value
    elif how == "remove":
        del place[key]
    else:
        damaged["surprise"] = value
    try:
        loaded = preprocessing_from_json(damaged)
    except ModelFormatError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        return
    assert len(loaded.means) == len(loaded.scales) == loaded.shape[0]
    assert all(scale >= 0 for scale in loaded.scales)
    assert len(loaded.shape) == 3
    assert loaded.classes or loaded.target is None
