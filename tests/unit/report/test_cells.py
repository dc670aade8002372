"""Units as cells: what is drawn is what was recorded."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from relume.report import cells
from relume.report.layers import shared
from relume.runs.records import UnitActivity


def activity(fired, rows=100):
    nothing = np.zeros(len(fired))
    return UnitActivity(rows, rows, np.asarray(fired), nothing, nothing, rows, nothing)


def body(pixels, made, place):
    side, columns = cells.geometry(len(made.rates), made.largest)
    columns = min(columns, len(made.rates))
    row, column = divmod(place, columns)
    return pixels[row * side : row * side + side - 1, column * side : column * side + side - 1]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=300), st.data())
def test_every_cell_shows_its_own_unit(fired, data):
    dead = [unit for unit, count in enumerate(fired) if count == 0]
    alive = [unit for unit, count in enumerate(fired) if count]
    dying = sorted(data.draw(st.sets(st.sampled_from(alive)))) if alive else []
    made = cells.unit_cells(activity(fired), dead, dying, len(fired))
    pixels = cells.picture(made, len(fired))
    for unit, count in enumerate(fired):
        cell = body(pixels, made, unit)
        level = cell[0, (len(cell)) // 2]
        if count == 0:
            assert level == cells.SILENT
            assert (np.diag(cell) == cells.MARK).all()
            assert (np.diag(cell[::-1]) == cells.MARK).all()
        else:
            rate = ((int(level) - cells.RAMP_START) / cells.LEVELS) ** 2
            assert abs(rate - count / 100) <= 0.01
            assert (np.diag(cell) == cells.SILENT).all() == (unit in dying)


def test_a_group_shows_whether_all_or_some_are_dead():
    seen = activity([0, 0, 0, 10, 0, 30, 40, 50, 60, 0])
    made = cells.UnitCells(3, *grouped(seen, [0, 1, 2, 4, 9], 3))
    assert made.idle == (3, 1, 0, 1)
    pixels = cells.picture(made, 10)
    kinds = [body(pixels, made, place)[-1, -1] for place in range(4)]
    assert kinds == [cells.MARK, cells.SILENT, pixels[0, 2 * 18], cells.MARK]  # the last: 1 of 1
    assert cells.described(made, 10)["idle"] == "3101"


def grouped(seen, idle, size):
    starts = range(0, seen.units, size)
    rates = tuple(float(np.mean(seen.firing_rate[at : at + size])) for at in starts)
    return rates, tuple(sum(at <= u < at + size for u in idle) for at in starts), (0,) * len(starts)


def test_units_of_a_large_run_are_grouped():
    rng = np.random.default_rng(0)
    fired = rng.integers(0, 3, 1000)
    idle = np.flatnonzero(fired == 0).tolist()
    made = cells.unit_cells(activity(fired), idle, [], 60_000)
    assert made.units_per_cell == 6
    rates, counts, _ = grouped(activity(fired), idle, 6)
    assert made.rates == pytest.approx(rates, abs=1e-5)
    assert made.idle == counts


def test_what_was_not_observed_is_hollow():
    made = cells.unit_cells(activity([0, 0], rows=0), [], [], 2)
    cell = body(cells.picture(made, 2), made, 0)
    assert (cell[0] == cells.OUTLINE).all()
    assert (cell[1:-1, 1:-1] == cells.GAP).all()


def test_the_picture_is_a_png_with_transparent_gaps():
    made = cells.unit_cells(activity([0, 50, 100]), [0], [], 3)
    pixels = cells.picture(made, 3)
    image = Image.open(io.BytesIO(cells.png(pixels)))
    assert (np.asarray(image) == pixels).all()
    seen = np.asarray(image.convert("RGBA"))
    assert (seen[..., 3] == np.where(pixels == 0, 0, 255)).all()
    assert seen[0, 8, :3].tolist() == list(cells.SILENT_COLOUR)


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(0, 200))
def test_what_is_listed_is_shared_out_fairly(wanted, most):
    listed = shared(wanted, most)
    assert all(0 <= given <= want for given, want in zip(listed, wanted, strict=True))
    assert sum(listed) == min(most, sum(wanted))
    cut = [given for given, want in zip(listed, wanted, strict=True) if given < want]
    assert not cut or min(cut) >= max(listed) - 1
