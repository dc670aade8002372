"""Firing rates of a layer over a training: a grid of numbers, and the same grid as a picture.

The picture is an indexed PNG of one byte a cell, so that a page can read the numbers back from it.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.runs.records import LayerWindow

MOST_ROWS = 512
MOST_COLUMNS = 256
FEWEST_COLUMNS = 64
MOST_CELLS = 130_000
"""Cells of all pictures of a page together; noise does not compress, so a cell may cost a byte."""
MOST_POINTS = 4000
"""Points of all curves of a page over the same columns together."""

UNSEEN = 0
SILENT = 1
RAMP_START = 2
LEVELS = 253
"""A firing rate r is drawn at level round(LEVELS * sqrt(r)): low rates are told apart best."""

SILENT_COLOUR = (232, 80, 30)
_RAMP = (
    (10, 28, 58),
    (16, 62, 122),
    (32, 110, 184),
    (86, 168, 226),
    (176, 220, 246),
    (240, 250, 255),
)
_HEAD_BYTES = 860  # of a PNG with 256 colours

Grid = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The firing rates of one layer, units by columns of the timeline.

    Args:
        units_per_row: Units drawn together in one row; the last row may hold fewer.
        order: Unit numbers from the first row to the last: units that are silent at the end come
            first, in the order of their last firing, then the others from quiet to busy.
        rates: Mean firing rate of each row in each column, in [0, 1]; 0 only where none of the
            row's units fired once, nan where the layer was not observed.
        rows: Examples seen in each column.
    """

    units_per_row: int
    order: tuple[int, ...]
    rates: tuple[tuple[float, ...], ...]
    rows: tuple[int, ...]


def resolution(widest: int, layers: int) -> tuple[int, int]:
    """Return the most rows and columns of each of ``layers`` pictures on one page.

    Example:
        >>> resolution(widest=128, layers=3), resolution(widest=2048, layers=60)
        ((128, 256), (20, 64))
    """
    cells = max(FEWEST_COLUMNS, MOST_CELLS // max(1, layers) - _HEAD_BYTES)
    rows = max(1, min(widest, MOST_ROWS))
    columns = min(MOST_COLUMNS, cells // rows, MOST_POINTS // max(1, layers))
    columns = max(FEWEST_COLUMNS, columns)
    return min(rows, cells // columns), columns


def heat_map(
    windows: Sequence[LayerWindow],
    groups: Sequence[range],
    order: NDArray[np.int64],
    most_rows: int,
) -> HeatMap:
    """Return the firing rates of a layer with the units in the given order.

    Args:
        windows: The layer in each window.
        groups: The windows of each column.
        order: A permutation of the unit numbers.
        most_rows: Rows above which neighbours in the order are drawn together.
    """
    columns = [group[0] for group in groups]
    fired = np.stack([window.activity.fired[order] for window in windows])
    fired = np.add.reduceat(fired, columns, axis=0)
    per_row = -(-len(order) // most_rows)
    starts = np.arange(0, len(order), per_row)
    sizes = np.diff(np.append(starts, len(order)))
    fired = np.add.reduceat(fired, starts, axis=1)
    positions = np.add.reduceat([window.activity.positions for window in windows], columns)
    seen = np.where(positions > 0, positions, 1)[:, None] * sizes
    # Rounding must not turn a unit that fired once into one that never did.
    rates = np.where(fired > 0, np.maximum(np.round(fired / seen, 6), 1e-6), 0.0)
    rates = np.where(positions[:, None] > 0, rates, np.nan)
    rows = np.add.reduceat([window.activity.rows for window in windows], columns)
    return HeatMap(
        units_per_row=per_row,
        order=tuple(order.tolist()),
        rates=tuple(map(tuple, rates.T.tolist())),
        rows=tuple(rows.tolist()),
    )


def picture(
    heat: HeatMap, columns: Sequence[tuple[int, int]], most_columns: int, *, can_die: bool
) -> NDArray[np.uint8]:
    """Return the colour index of every cell; time runs evenly from left to right.

    Args:
        heat: The rates.
        columns: First and last step of each column of the rates.
        most_columns: Most columns of the picture.
        can_die: Whether a rate of zero is shown as silence, or as a low rate like any other.
    """
    shown = pixel_columns(columns, most_columns)
    cells = levels(np.asarray(heat.rates, dtype=np.float64), can_die=can_die)
    padded = np.concatenate([cells, np.full((len(cells), 1), UNSEEN, np.uint8)], axis=1)
    return np.asarray(padded[:, shown])


def pixel_columns(columns: Sequence[tuple[int, int]], most: int) -> NDArray[np.int64]:
    """Return the column that each of equally long stretches of time shows; -1 for none."""
    first, last = np.asarray(columns, dtype=np.float64).reshape(-1, 2).T
    steps = int(last[-1] - first[0]) + 1
    width = max(1, min(most, steps))
    middle = first[0] - 0.5 + steps * (np.arange(width) + 0.5) / width
    column = np.searchsorted(first - 0.5, middle, side="right") - 1
    return np.where(middle <= last[column] + 0.5, column, -1)


def levels(rates: Grid, *, can_die: bool) -> NDArray[np.uint8]:
    """Return the colour index of each firing rate."""
    seen = np.isfinite(rates)
    level = np.round(LEVELS * np.sqrt(np.where(seen, rates, 0.0)))
    level = np.where(rates > 0, np.maximum(level, 1), level) + RAMP_START
    if can_die:
        level = np.where(rates == 0, SILENT, level)
    return np.where(seen, level, UNSEEN).astype(np.uint8)


def palette() -> NDArray[np.uint8]:
    """Return the 256 colours, shape (256, 3); the first is drawn transparent."""
    return np.concatenate([[(128, 128, 128), SILENT_COLOUR], ramp(LEVELS)]).astype(np.uint8)


def ramp(levels: int) -> NDArray[np.float64]:
    """Return the colours from never to always, shape (levels + 1, 3)."""
    at = np.linspace(0, len(_RAMP) - 1, levels + 1)
    anchors = np.asarray(_RAMP, dtype=np.float64)
    colours = [np.interp(at, np.arange(len(_RAMP)), channel) for channel in anchors.T]
    return np.round(np.stack(colours, 1))


def png(cells: NDArray[np.uint8]) -> bytes:
    """Return an 8-bit indexed PNG of cells, a pixel each."""
    return encode(cells, palette(), alphas=b"\x00\xc0")


def encode(cells: NDArray[np.uint8], colours: NDArray[np.uint8], alphas: bytes = b"\x00") -> bytes:
    """Return an 8-bit indexed PNG whose lines are not filtered.

    Args:
        cells: The index of each pixel.
        colours: The colours of the indices.
        alphas: How opaque the first ones are; the others are fully so.

    References:
        PNG specification, third edition, W3C 2025, sections 5 and 11.
    """
    height, width = cells.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), cells], axis=1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colours.tobytes()),
            _chunk(b"tRNS", alphas),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def legend() -> dict[str, Any]:
    """Return what a legend needs: colours along the ramp, and where the ticks sit on it."""
    colours = palette()
    stops = [colours[RAMP_START + round(LEVELS * i / 16)].tolist() for i in range(17)]
    ticks = [(rate, round(100 * rate**0.5, 1)) for rate in (0.01, 0.1, 0.25, 0.5, 1.0)]
    return {"stops": stops, "ticks": ticks, "silent": list(SILENT_COLOUR)}


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
