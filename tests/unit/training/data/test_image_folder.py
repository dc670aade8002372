import io

import numpy as np
import pytest
from PIL import Image

from relume.errors import DataError
from relume.training.data import image_folder
from relume.training.data.image_folder import read_image_folder

RNG = np.random.default_rng(0)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def grey(height=6, width=5):
    return RNG.integers(0, 256, (height, width), np.uint8)


def colour(height=6, width=5):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def read(folder, shape=None):
    return read_image_folder(folder, "folder", shape)


def test_images_of_one_size_are_kept_to_the_bit(tmp_path):
    pixels = [save(tmp_path / name, grey()) for name in ("b/1.png", "b/2.bmp", "a/deep/3.pgm")]
    images = read(tmp_path)
    assert images.files == ("a/deep/3.pgm", "b/1.png", "b/2.bmp")
    assert images.labels.to_list() == ["a", "b", "b"]
    np.testing.assert_array_equal(images.pixels[:, 0], [pixels[2], pixels[0], pixels[1]])
    assert images.notes == ()


def test_one_colour_file_makes_all_colour_and_says_so(tmp_path):
    plain = save(tmp_path / "a/1.png", grey())
    painted = save(tmp_path / "b/2.png", colour())
    images = read(tmp_path)
    assert images.shape == (3, 6, 5)
    np.testing.assert_array_equal(images.pixels[0], np.stack([plain] * 3))
    np.testing.assert_array_equal(images.pixels[1], painted.transpose(2, 0, 1))
    assert "grey and colour files are mixed; all were read as colour" in images.notes
    as_grey = read(tmp_path, (1, 6, 5)).pixels[1, 0].astype(float)
    np.testing.assert_allclose(as_grey, painted @ [0.299, 0.587, 0.114], atol=1)


def test_the_size_is_the_median_and_at_most_64(tmp_path):
    for at, size in enumerate([(4, 10), (8, 12), (40, 14)]):
        save(tmp_path / f"a/{at}.png", grey(*size))
    images = read(tmp_path)
    assert images.shape == (1, 8, 12)
    assert "files of 3 sizes were brought to grey images of 8×12" in images.notes
    save(tmp_path / "large/a/1.png", np.full((128, 256), 77, np.uint8))
    images = read(tmp_path / "large")
    assert images.shape == (1, 32, 64)
    assert (images.pixels == 77).all()


def test_shrinking_averages(tmp_path):
    board = np.indices((64, 64)).sum(0) % 2 * 200
    save(tmp_path / "a/1.png", board.astype(np.uint8))
    assert abs(read(tmp_path, (1, 8, 8)).pixels.astype(int) - 100).max() <= 3


def test_all_together_stay_within_bounds(tmp_path, monkeypatch):
    for at in range(4):
        save(tmp_path / f"a/{at}.png", grey(40, 40))
    monkeypatch.setattr(image_folder, "MOST_VALUES", 4 * 400)
    assert read(tmp_path).shape == (1, 20, 20)
    monkeypatch.setattr(image_folder, "MOST_VALUES", 4 * 63)
    with pytest.raises(DataError, match="4 images: too many"):
        read(tmp_path)


def test_depth_transparency_palettes_and_turns(tmp_path):
    deep = RNG.integers(0, 2**16, (6, 5)).astype(np.uint16)
    save(tmp_path / "deep/a/1.png", deep)
    np.testing.assert_array_equal(read(tmp_path / "deep").pixels[0, 0], deep >> 8)
    clear = np.zeros((6, 5, 4), np.uint8)
    clear[:3, :, 3] = 255
    save(tmp_path / "clear/a/1.png", clear)
    pixels = read(tmp_path / "clear").pixels[0]
    assert (pixels[:, :3] == 0).all()
    assert (pixels[:, 3:] == 255).all()
    painted = np.zeros((6, 5, 3), np.uint8)
    painted[2:] = (255, 0, 0)
    (tmp_path / "palette/a").mkdir(parents=True)
    Image.fromarray(painted).quantize(2).save(tmp_path / "palette/a/1.gif")
    np.testing.assert_array_equal(read(tmp_path / "palette").pixels[0], painted.transpose(2, 0, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    turned = save(tmp_path / "turned/a/1.png", grey(6, 4), exif=exif)
    images = read(tmp_path / "turned")
    np.testing.assert_array_equal(images.pixels[0, 0], np.rot90(turned, -1))


def test_broken_files_are_left_out_and_said(tmp_path):
    whole = save(tmp_path / "a/1.png", grey())
    raw = (tmp_path / "a/1.png").read_bytes()
    (tmp_path / "a/2.png").write_bytes(raw[:-30])
    (tmp_path / "a/3.jpg").write_bytes(b"not an image")
    (tmp_path / "a/4.gif").write_bytes(b"")
    (tmp_path / "a/notes.txt").write_text("not looked at")
    (tmp_path / "empty").mkdir()
    images = read(tmp_path)
    assert images.files == ("a/1.png",)
    np.testing.assert_array_equal(images.pixels[0, 0], whole)
    assert images.notes[0] == (
        "3 files could not be read, left out: 'a/2.png': image file is truncated; "
        "'a/3.jpg': no image of a known format; 'a/4.gif': no image of a known format"
    )
    assert images.notes[1] == "no image in 'empty': left out as a class"
    (tmp_path / "a/1.png").unlink()
    with pytest.raises(DataError, match="no image can be read"):
        read(tmp_path)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    save(tmp_path / "a/1.png", grey())
    monkeypatch.setattr(image_folder, "MOST_PIXELS", 10_000)
    Image.new("1", (101, 100)).save(tmp_path / "a/2.png")
    images = read(tmp_path)
    assert len(images) == 1
    assert "101×100 pixels are too many" in images.notes[0]


def test_a_real_bomb_beyond_pillows_own_limit_is_left_out(tmp_path):
    save(tmp_path / "a/1.png", grey())
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    (tmp_path / "a/2.png").write_bytes(bomb.getvalue())
    images = read(tmp_path)
    assert len(images) == 1
    assert "'a/2.png'" in images.notes[0]


def test_folders_that_are_no_image_folders(tmp_path):
    with pytest.raises(DataError, match="one subfolder a class"):
        read(tmp_path)
    save(tmp_path / "1.png", grey())
    assert read(tmp_path).labels is None
    save(tmp_path / "a/1.png", grey())
    with pytest.raises(DataError, match=r"'1\.png' lie beside the subfolders"):
        read(tmp_path)


def test_the_digest_tells_bytes_and_places(tmp_path):
    save(tmp_path / "a/1.png", grey())
    first = read(tmp_path).digest
    assert read(tmp_path).digest == first
    (tmp_path / "a/1.png").rename(tmp_path / "a/2.png")
    assert read(tmp_path).digest != first
    (tmp_path / "a/2.png").rename(tmp_path / "a/1.png")
    assert read(tmp_path).digest == first
    save(tmp_path / "a/1.png", grey())
    assert read(tmp_path).digest != first
