"""The network as it stands at the end: a cell a unit, coloured by its firing rate.

Drawn as an indexed PNG in which every cell is a small square of pixels, so that shapes can be put
into it: a dead unit is orange and crossed out, a dying one has one stroke, in a group of units of
which some are dead a corner is orange. The middle of the upper edge of a cell holds its plain
colour, from which a page reads the rate back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.report.heatmap import SILENT_COLOUR, encode, ramp
from relume.runs.records import UnitActivity

MOST_CELLS = 20_000
"""Units of a run that have a cell each; of more, neighbours go together."""
MOST_GROUPS = 10_000
WIDTH = 546
MOST_HEIGHT = 220
_SIDES = (18, 16, 14, 12, 10, 9, 8, 7, 6)
_LARGEST = ((4_000, 18), (8_000, 8))
"""The largest side by the cells of a run: crosses of many pixels do not compress well."""

GAP, SILENT, MARK, OUTLINE, RAMP_START = range(5)
LEVELS = 124
"""A firing rate r is drawn at level round(LEVELS * sqrt(r))."""
_MARK_COLOUR = (38, 12, 0)
_OUTLINE_COLOUR = (232, 232, 232)
_MOST_COUNTED = 35
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class UnitCells:
    """The units of a layer in the order of their numbers, as they stood at the end.

    Args:
        units_per_cell: Units in each cell; the last one may hold fewer.
        rates: Mean firing rate in each cell, in [0, 1]; nan where the layer was not observed.
        idle: Dead (or saturated) units in each cell.
        dying: Dying units in each cell.
        largest: Pixels of the side of a cell, at most.
    """

    units_per_cell: int
    rates: tuple[float, ...]
    idle: tuple[int, ...]
    dying: tuple[int, ...]
    largest: int = _SIDES[0]


def units_per_cell(units: int) -> int:
    """Return how many units share a cell in a run of so many.

    Example:
        >>> units_per_cell(20_000), units_per_cell(20_001), units_per_cell(60 * 2048)
        (1, 3, 13)
    """
    return 1 if units <= MOST_CELLS else -(-units // MOST_GROUPS)


def largest_side(cells: int) -> int:
    """Return the most pixels of the side of a cell in a run of so many.

    Example:
        >>> largest_side(448), largest_side(20_000)
        (18, 6)
    """
    return next((side for most, side in _LARGEST if cells <= most), _SIDES[-1])


def unit_cells(
    seen: UnitActivity, idle: Sequence[int], dying: Sequence[int], run_units: int
) -> UnitCells:
    """Return the cells of a layer.

    Args:
        seen: What its units did on the last rows.
        idle: The units that are dead or saturated.
        dying: Those that are dying.
        run_units: Units of the whole run.
    """
    per_cell = units_per_cell(run_units)
    starts = np.arange(0, seen.units, per_cell)
    sizes = np.diff(np.append(starts, seen.units))

    def counted(units: Sequence[int]) -> tuple[int, ...]:
        among = np.bincount(np.asarray(units, np.int64) // per_cell, minlength=len(starts))
        return tuple(among.tolist())

    rates = np.add.reduceat(seen.firing_rate, starts) / sizes
    largest = largest_side(run_units // per_cell)
    return UnitCells(
        per_cell, tuple(np.round(rates, 5).tolist()), counted(idle), counted(dying), largest
    )


def geometry(cells: int, largest: int = _SIDES[0]) -> tuple[int, int]:
    """Return the side of a cell in pixels and the cells in a line: as large as the height allows.

    Example:
        >>> geometry(64), geometry(2048), geometry(64, largest=6)
        ((18, 30), (7, 78), (6, 91))
    """
    for side in (each for each in _SIDES if each <= largest):
        columns = WIDTH // side
        if -(-cells // columns) * side <= MOST_HEIGHT:
            return side, columns
    return _SIDES[-1], WIDTH // _SIDES[-1]


def picture(cells: UnitCells, units: int) -> Pixels:
    """Return the colour index of every pixel; gaps between the cells stay transparent.

    Args:
        cells: Of a layer.
        units: Units in the layer.
    """
    number = len(cells.rates)
    side, columns = geometry(number, cells.largest)
    columns = min(columns, number)
    lines = -(-number // columns)
    drawn = np.zeros((lines * columns, side, side), np.uint8)
    sizes = np.full(number, cells.units_per_cell)
    sizes[-1] = units - cells.units_per_cell * (number - 1)
    idle, dying = np.asarray(cells.idle), np.asarray(cells.dying)
    rates = np.asarray(cells.rates, np.float64)
    is_all, is_some = idle == sizes, (idle > 0) & (idle < sizes)
    bodies = _bodies(rates, is_all, side)
    rising, falling, corner = _strokes(side)
    bodies = np.where(is_all[:, None, None] & (rising | falling), MARK, bodies)
    is_dying = (dying > 0) & ~is_all
    bodies = np.where(is_dying[:, None, None] & falling, SILENT, bodies)
    drawn[:number] = np.where(is_some[:, None, None] & (corner > 0), corner, bodies)
    grid = drawn.reshape(lines, columns, side, side).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(grid.reshape(lines * side, columns * side)[:-1, :-1])


def png(pixels: Pixels) -> bytes:
    """Return the picture as a PNG."""
    return encode(pixels, palette())


def palette() -> NDArray[np.uint8]:
    """Return the colours of the indices; the first is drawn transparent."""
    marks = [(128, 128, 128), SILENT_COLOUR, _MARK_COLOUR, _OUTLINE_COLOUR]
    return np.concatenate([marks, ramp(LEVELS)]).astype(np.uint8)


def described(cells: UnitCells, units: int) -> dict[str, Any]:
    """Return what a page needs to tell a cell from a place in the picture."""
    number = len(cells.rates)
    side, columns = geometry(number, cells.largest)
    data: dict[str, Any] = {
        "units": units,
        "per_cell": cells.units_per_cell,
        "side": side,
        "columns": min(columns, number),
    }
    if cells.units_per_cell > 1 and any(cells.idle):
        data["idle"] = "".join(_DIGITS[min(count, _MOST_COUNTED)] for count in cells.idle)
    return data


def _bodies(rates: NDArray[np.float64], is_idle: NDArray[np.bool_], side: int) -> Pixels:
    """Squares with a gap to the right and below; hollow ones where nothing was observed."""
    seen = np.isfinite(rates)
    level = np.round(LEVELS * np.sqrt(np.where(seen, rates, 0.0))) + RAMP_START
    level = np.where(is_idle, SILENT, np.where(seen, level, OUTLINE)).astype(np.uint8)
    bodies = np.zeros((len(rates), side, side), np.uint8)
    bodies[:, :-1, :-1] = level[:, None, None]
    hollow = ~seen & ~is_idle
    bodies[hollow, 1:-2, 1:-2] = GAP
    return bodies


def _strokes(side: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Pixels]:
    """The two diagonals of a cell, and a corner with a dark edge."""
    body = side - 1
    row, column = np.mgrid[:side, :side]
    inside = (row < body) & (column < body)
    width = 0.9 if side < 12 else 1.6
    falling = inside & (np.abs(row - column) < width)
    rising = inside & (np.abs(row + column - (body - 1)) < width)
    edge = row + column - (body + body // 4)
    corner = np.where(edge > 0, SILENT, np.where(edge == 0, MARK, 0))
    return rising, falling, np.where(inside, corner, 0).astype(np.uint8)
