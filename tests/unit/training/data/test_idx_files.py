import gzip
import struct

import numpy as np
import pytest

from relume.errors import DataError
from relume.training.data import idx_files
from relume.training.data.idx_files import (
    find_named_set,
    is_idx_folder,
    named_folder,
    read_idx,
    read_idx_folder,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (7, 5, 4), np.uint8)
LABELS = np.arange(7, dtype=np.uint8) % 3


def idx(values, kind=8):
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    return header + values.tobytes()


def write(folder, part, images=IMAGES, labels=LABELS):
    folder.mkdir(exist_ok=True)
    for what, axes, values in (("images", 3, images), ("labels", 1, labels)):
        (folder / f"{part}-{what}-idx{axes}-ubyte").write_bytes(idx(values))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("values", [IMAGES, LABELS])
def test_raw_and_gzipped_files_give_what_was_written(tmp_path, pack, values):
    (tmp_path / "file").write_bytes(pack(idx(values)))
    read, digest = read_idx(tmp_path / "file", values.ndim)
    np.testing.assert_array_equal(read, values)
    (tmp_path / "other").write_bytes(idx(values))
    assert read_idx(tmp_path / "other", values.ndim)[1] == digest
    (tmp_path / "other").write_bytes(idx(values ^ 1))
    assert read_idx(tmp_path / "other", values.ndim)[1] != digest


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "begins with nothing, not 00 00 08 03"),
        (idx(LABELS), "begins with 00 00 08 01"),
        (idx(IMAGES, kind=13), "begins with 00 00 0d 03"),
        (idx(IMAGES)[:9], "cut off within its header"),
        (idx(IMAGES)[:-1], "should hold 140 bytes, but holds only 139"),
        (idx(IMAGES) + b"x", "should hold 140 bytes, but holds more"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**31] * 3), "too many to read"),
        (gzip.compress(idx(IMAGES), mtime=0)[:-12], "damaged or cut-off gzip"),
        (gzip.compress(idx(IMAGES), mtime=0)[:12] + b"\xff" * 60, "damaged or cut-off gzip"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, raw, words):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(raw)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(tmp_path / "train-images-idx3-ubyte", 3)
    assert len(str(caught.value).splitlines()) == 1
    assert "train-images-idx3-ubyte" in str(caught.value)


def test_every_cut_of_a_file_is_refused(tmp_path):
    whole = idx(IMAGES)
    for packed in (whole, gzip.compress(whole, mtime=0)):
        for length in range(len(packed) - 1):
            (tmp_path / "cut").write_bytes(packed[:length])
            if packed is not whole and length >= len(packed) - 8:
                continue  # only gzip's own checksum is cut: seen or not, every byte is there
            with pytest.raises(DataError):
                read_idx(tmp_path / "cut", 3)


def test_a_folder_has_training_and_test_part(tmp_path):
    write(tmp_path, "train")
    write(tmp_path, "t10k", IMAGES[:4] ^ 255, LABELS[:4])
    assert is_idx_folder(tmp_path)
    images = read_idx_folder(tmp_path, "set")
    assert images.shape == (1, 5, 4)
    np.testing.assert_array_equal(images.pixels[:, 0], IMAGES)
    assert images.labels.to_list() == list("0120120")
    np.testing.assert_array_equal(images.test.pixels[:, 0], IMAGES[:4] ^ 255)
    assert images.digest != images.test.digest


def test_one_part_is_enough_and_labels_may_be_missing(tmp_path):
    write(tmp_path, "test")
    assert read_idx_folder(tmp_path, "set").test is None
    (tmp_path / "test-labels-idx1-ubyte").unlink()
    assert read_idx_folder(tmp_path, "set").labels is None


def test_what_does_not_belong_together_is_refused(tmp_path):
    write(tmp_path, "train", labels=LABELS[:6])
    with pytest.raises(DataError, match="holds 7 images, but .* 6 labels"):
        read_idx_folder(tmp_path, "set")
    write(tmp_path, "train")
    write(tmp_path, "t10k", IMAGES[:, :4])
    with pytest.raises(DataError, match="another size"):
        read_idx_folder(tmp_path, "set")
    for path in tmp_path.glob("*images*"):
        path.unlink()
    with pytest.raises(DataError, match="labels without images"):
        read_idx_folder(tmp_path, "set")
    write(tmp_path, "train", IMAGES[:0], LABELS[:0])
    with pytest.raises(DataError, match="holds no images"):
        read_idx_folder(tmp_path, "set")


def test_names_that_are_not_installed_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(idx_files, "DATASETS", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        named_folder(find_named_set("fashion-mnist"))
    with pytest.raises(DataError, match="give a folder with its idx files"):
        named_folder(find_named_set("mnist"))
    write(tmp_path / "mnist", "train")
    assert named_folder(find_named_set("mnist")).name == "mnist"
    (tmp_path / "datasets").mkdir()
    write(tmp_path / "datasets" / "mnist", "train")
    assert named_folder(find_named_set("mnist")) == tmp_path / "datasets" / "mnist"
