"""The drawing of an activation: a PNG, whole or not at all."""

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser
from PIL import Image

from relume.errors import OutputError
from relume.nn.curve import sample_curve
from relume.nn.registry import activations, get_activation
from relume.report.activations import write_activation_png

BLUE, ORANGE = np.array([0x1F, 0x5F, 0xA8]), np.array([0xC4, 0x50, 0x1B])


def draw(name, path):
    entry = get_activation(name)
    write_activation_png(entry, sample_curve(entry, points=401), path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def places(pixels, colour):
    return np.argwhere(np.abs(pixels - colour).sum(axis=2) < 12)


def test_the_png_shows_value_and_derivative(tmp_path):
    pixels = draw("relu", tmp_path / "relu.png")
    assert pixels.shape == (800, 1280, 3)
    value, slope = places(pixels[120:], BLUE), places(pixels[120:], ORANGE)  # below the legend
    left, right = value[value[:, 1] < 500], value[value[:, 1] > 1200]
    assert np.ptp(left[:, 0]) < 10  # flat on the left
    assert right[:, 0].min() < left[:, 0].min() - 300  # high on the right
    assert len(slope) > 200
    rows = np.unique(slope[:, 0])
    assert np.diff(rows).max() > 50  # two levels, and no line that joins them


def test_the_value_of_a_jump_is_not_joined(tmp_path):
    pixels = draw("thresholded_relu", tmp_path / "jump.png")
    rows = np.unique(places(pixels[150:], BLUE)[:, 0])
    assert np.diff(rows).max() > 50


@pytest.mark.parametrize("entry", activations(), ids=lambda entry: entry.name)
def test_every_formula_can_be_typeset(entry):
    assert MathTextParser("path").parse(f"${entry.facts.formula}$").width > 20


def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_left(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    for path in (in_the_way / "relu.png", tmp_path / "none" / "relu.png", tmp_path):
        with pytest.raises(OutputError, match="cannot write") as caught:
            draw("relu", path)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_old_picture_stays_when_drawing_fails(tmp_path, monkeypatch):
    path = tmp_path / "relu.png"
    path.write_bytes(b"old")

    def fail(*arguments, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(OutputError, match="no space left on device"):
        draw("relu", path)
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["relu.png"]
