"""An activation drawn as SVG, in the colours of the page that it stands in."""

import itertools
import math
from collections.abc import Callable

from relume.nn.curve import Curve

WIDTH, HEIGHT, MARGIN = 640, 360, 36
Place = Callable[[float, float], tuple[float, float]]
"""From a point of the plane to one of the picture."""


def plot(curve: Curve) -> str:
    """Return value and derivative along a line as one SVG element, with axes and a legend.

    Lines are broken where they jump, so that none bridges a jump.
    """
    numbers = [y for y in (*curve.value, *curve.derivative) if math.isfinite(y)]
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    left, right = curve.x[0], curve.x[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = MARGIN + (x - left) / (right - left) * (WIDTH - 2 * MARGIN)
        up = HEIGHT - MARGIN - (y - low) / (high - low) * (HEIGHT - 2 * MARGIN)
        return round(across, 1), round(up, 1)

    zero = place(0.0, 0.0)
    axes = f"M{MARGIN} {zero[1]}H{WIDTH - MARGIN}M{zero[0]} {MARGIN}V{HEIGHT - MARGIN}"
    label = f"{curve.name}: value and derivative from {left:g} to {right:g}"
    parts = [
        f'<svg class="activation" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">',
        f'<path class="axis" d="{axes}"/>',
        *_ticks(left, right, low, high, place),
        f'<path class="derivative" d="{_line(curve.x, curve.derivative, place)}"/>',
        f'<path class="value" d="{_line(curve.x, curve.value, place)}"/>',
        *_legend(),
        "</svg>",
    ]
    return "".join(parts)


def _legend() -> list[str]:
    return [
        f'<path class="{name}" d="M{left} 14h28"/><text x="{left + 34}" y="18">{name}</text>'
        for name, left in (("value", MARGIN), ("derivative", MARGIN + 100))
    ]


def _line(x: tuple[float, ...], y: tuple[float, ...], place: Place) -> str:
    finite = [each for each in y if math.isfinite(each)]
    jump = max((max(finite) - min(finite)) / 10, 1e-9)
    drawn = []
    is_down = False
    for (_, before), (across, now) in itertools.pairwise(
        [(x[0], math.nan), *zip(x, y, strict=True)]
    ):
        if not math.isfinite(now):
            is_down = False
            continue
        is_down = is_down and abs(now - before) <= jump
        drawn.append("{}{} {}".format("L" if is_down else "M", *place(across, now)))
        is_down = True
    return "".join(drawn)


def _ticks(left: float, right: float, low: float, high: float, place: Place) -> list[str]:
    found = []
    for x in _round_numbers(left, right):
        across, up = place(x, 0.0)
        found.append(
            f'<text class="tick" x="{across}" y="{up + 14}" text-anchor="middle">{x:g}</text>'
        )
    for y in _round_numbers(low, high):
        across, up = place(0.0, y)
        found.append(
            f'<text class="tick" x="{across - 5}" y="{up + 4}" text-anchor="end">{y:g}</text>'
        )
    return found


def _round_numbers(low: float, high: float) -> list[float]:
    """Return at most eight round numbers of a range, without 0."""
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if (high - low) / step <= 8)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(k * step, 6) for k in range(first, last + 1) if k]
