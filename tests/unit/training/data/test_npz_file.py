import numpy as np
import pytest

from relume.errors import DataError
from relume.training.data.npz_file import PAIRS, read_npz

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 5, 4), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def read(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return read_npz(folder / "a.npz", "a.npz")


@pytest.mark.parametrize("pair", PAIRS)
def test_every_usual_pair_of_names_is_read(tmp_path, pair):
    images = read(tmp_path, **{pair[0]: IMAGES, pair[1]: LABELS, "other": LABELS})
    np.testing.assert_array_equal(images.pixels[:, 0], IMAGES)
    assert images.labels.to_list() == list("012012")
    parts = {f"{pair[0]}_train": IMAGES, f"{pair[1]}_train": LABELS}
    parts |= {f"{pair[0]}_test": IMAGES[:2], f"{pair[1]}_test": LABELS[:2]}
    images = read(tmp_path, **parts)
    assert (len(images), len(images.test)) == (6, 2)


def test_channels_stand_last_or_first(tmp_path):
    colour = RNG.integers(0, 256, (6, 5, 4, 3), np.uint8)
    last = read(tmp_path, x=colour, y=LABELS)
    first = read(tmp_path, x=colour.transpose(0, 3, 1, 2), y=LABELS)
    np.testing.assert_array_equal(last.pixels, first.pixels)
    np.testing.assert_array_equal(last.pixels[:, 2], colour[..., 2])
    assert not last.notes
    assert "(N, channels, height, width)" in first.notes[0]
    assert read(tmp_path, x=colour[..., :1], y=LABELS).shape == (1, 5, 4)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(np.uint8, np.uint8), (bool, np.uint8), (np.int64, np.float32), (np.float64, np.float32)],
)
def test_pixels_keep_their_values(tmp_path, given, kept):
    pixels = (IMAGES // 128).astype(given)
    images = read(tmp_path, x=pixels, y=LABELS)
    assert images.pixels.dtype == kept
    np.testing.assert_array_equal(images.pixels[:, 0], IMAGES // 128)


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        (np.array(["b", "a", "b", "a", "b", "a"]), list("bababa")),
        (LABELS.astype(float), list("012012")),
        (LABELS[:, None], list("012012")),
        (LABELS == 1, ["false", "true", "false"] * 2),
    ],
)
def test_labels_are_texts_or_whole_numbers(tmp_path, labels, texts):
    assert read(tmp_path, x=IMAGES, y=labels).labels.to_list() == texts


def test_without_labels_there_are_none(tmp_path):
    assert read(tmp_path, x=IMAGES).labels is None


NAN = np.where(np.arange(6)[:, None, None] == 3, np.nan, IMAGES)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": IMAGES, "b": LABELS}, "x and y; images and labels; data and target"),
        ({"x": IMAGES, "y": LABELS[:5]}, "holds 6 images, but 'y' 5 labels"),
        ({"x": NAN, "y": LABELS}, "image 4 of 6 holds numbers that are not finite"),
        ({"x": NAN.astype(complex), "y": LABELS}, "complex128, not numbers"),
        ({"x": IMAGES.reshape(6, 20), "y": LABELS}, "save a table as CSV or Parquet"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, r"has the shape \(0, 5, 4\)"),
        ({"x": np.zeros((6, 5, 4, 7)), "y": LABELS}, "7 channels; 1 .grey. or 3"),
        ({"x": IMAGES, "y": LABELS + 0.5}, "labels are whole numbers or texts"),
        ({"x": IMAGES, "y": LABELS * np.nan}, "not finite"),
        ({"x": IMAGES, "y": np.eye(6)}, r"labels are \(N,\)"),
        ({"x": IMAGES, "y": LABELS.astype(object)}, "array of objects, which could run code"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(tmp_path, arrays, words):
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, **arrays)
    assert len(str(caught.value).splitlines()) == 1


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    read(tmp_path, x=IMAGES, y=LABELS)
    whole = path.read_bytes()
    for raw in (b"", b"spam", whole[:200], whole[: len(whole) // 2]):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=r"a\.npz.*(damaged|cannot be read)"):
            read_npz(path, "a.npz")
    path.write_bytes(whole[:100] + bytes(x ^ 255 for x in whole[100:140]) + whole[140:])
    with pytest.raises(DataError, match=r"a\.npz"):
        read_npz(path, "a.npz")
    with pytest.raises(DataError, match="there is no file"):
        read_npz(tmp_path / "b.npz", "b.npz")
