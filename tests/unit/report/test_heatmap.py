import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from relume.report import heatmap
from relume.report.heatmap import (
    LEVELS,
    RAMP_START,
    SILENT,
    UNSEEN,
    HeatMap,
    heat_map,
    levels,
    palette,
    picture,
    pixel_columns,
    png,
    resolution,
)
from relume.runs.records import LayerWindow, UnitActivity

quick = settings(deadline=None, derandomize=True, max_examples=60)


def layer_window(fired, rows):
    fired = np.asarray(fired, np.int64)
    nothing = np.zeros(len(fired))
    return LayerWindow(UnitActivity(rows, rows * 3, fired, nothing, nothing, 0, nothing))


@st.composite
def courses(draw):
    units, count = draw(st.integers(1, 9)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    windows = [
        layer_window(rng.binomial(3 * rows, 0.3, units) * rng.integers(0, 2, units), rows)
        for rows in rng.integers(0, 5, count).tolist()
    ]
    cuts = sorted(draw(st.sets(st.integers(1, count - 1)))) if count > 1 else []
    groups = [range(a, b) for a, b in zip([0, *cuts], [*cuts, count], strict=True)]
    return windows, groups, rng.permutation(units), draw(st.integers(1, units))


@quick
@given(courses())
def test_every_cell_is_the_share_of_values_on_which_its_units_fired(course):
    windows, groups, order, most_rows = course
    heat = heat_map(windows, groups, order, most_rows)
    assert len(heat.rates) <= most_rows
    assert heat.order == tuple(order.tolist())
    for row, rates in enumerate(heat.rates):
        units = order[row * heat.units_per_row : (row + 1) * heat.units_per_row]
        for group, rate, rows in zip(groups, rates, heat.rows, strict=True):
            fired = sum(int(windows[i].activity.fired[unit]) for i in group for unit in units)
            seen = sum(windows[i].activity.positions for i in group) * len(units)
            assert rows == sum(windows[i].activity.rows for i in group)
            if seen == 0:
                assert np.isnan(rate)
            else:
                assert rate == pytest.approx(fired / seen, abs=1e-6)
                assert (rate == 0) == (fired == 0)


def test_a_unit_that_fired_once_in_a_billion_is_not_silent():
    activity = UnitActivity(10**9, 10**9, np.array([1]), np.zeros(1), np.zeros(1), 0, np.zeros(1))
    heat = heat_map([LayerWindow(activity)], [range(1)], np.array([0]), 1)
    assert heat.rates[0][0] > 0
    assert levels(np.asarray(heat.rates), can_die=True)[0, 0] > SILENT


def test_levels_tell_silent_unseen_and_rates_apart():
    rates = np.array([[0.0, np.nan, 1e-9, 0.25, 1.0]])
    assert levels(rates, can_die=True).tolist() == [[SILENT, UNSEEN, 3, 2 + round(LEVELS / 2), 255]]
    assert levels(rates, can_die=False)[0, 0] == RAMP_START


@quick
@given(st.floats(0, 1))
def test_a_level_is_read_back_to_half_a_level(rate):
    level = int(levels(np.array([rate]), can_die=False)[0]) - RAMP_START
    assert abs(level - LEVELS * rate**0.5) <= (0.5 if rate > (0.5 / LEVELS) ** 2 else 1)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (128, 256)])
def test_pillow_reads_the_same_cells_and_colours(shape):
    cells = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    image = Image.open(io.BytesIO(png(cells)))
    image.load()
    assert (image.mode, image.size) == ("P", shape[::-1])
    assert np.array_equal(np.asarray(image), cells)
    assert np.array_equal(np.reshape(image.getpalette(), (-1, 3)), palette())
    assert np.array_equal(np.asarray(image.convert("RGBA"))[..., 3] == 0, cells == UNSEEN)


def test_time_runs_evenly_whatever_the_length_of_the_columns():
    assert pixel_columns([(1, 6), (7, 8), (9, 10)], 10).tolist() == [0] * 6 + [1] * 2 + [2] * 2
    assert pixel_columns([(1, 6), (9, 10)], 5).tolist() == [0, 0, 0, -1, 1]
    assert pixel_columns([(4, 4)], 9).tolist() == [0]


def test_a_gap_in_the_record_is_drawn_as_unseen():
    heat = HeatMap(1, (0,), ((0.0, 1.0),), (5, 5))
    cells = picture(heat, [(1, 2), (5, 6)], 6, can_die=True)
    assert cells.tolist() == [[SILENT, SILENT, UNSEEN, UNSEEN, 255, 255]]


@quick
@given(st.integers(1, 5000), st.integers(1, 60))
def test_all_pictures_together_stay_within_their_budget(widest, layers):
    rows, columns = resolution(widest, layers)
    assert 1 <= rows <= min(widest, heatmap.MOST_ROWS)
    assert 1 <= columns <= heatmap.MOST_COLUMNS
    assert layers * (rows * columns + 860) <= heatmap.MOST_CELLS


def linear(colours):
    c = np.asarray(colours, float) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = linear_to_xyz(rgb) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


def linear_to_xyz(rgb):
    matrix = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    return rgb @ matrix.T


# Machado, Oliveira & Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", IEEE TVCG 15(6), 2009, severity 1.0.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("vision", VISIONS)
def test_silence_is_unmistakable_and_the_ramp_rises_for_every_colour_vision(vision):
    seen = lab(np.clip(linear(palette()) @ np.asarray(VISIONS[vision]).T, 0, 1))
    ramp, silent = seen[RAMP_START:], seen[SILENT]
    assert np.linalg.norm(ramp - silent, axis=1).min() > 30
    assert (np.diff(ramp[:, 0]) > -0.5).all()
    assert ramp[-1, 0] - ramp[0, 0] > 70


def test_every_colour_is_used_once():
    assert len({tuple(colour) for colour in palette().tolist()}) == 256
