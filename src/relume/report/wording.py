"""Numbers and names as a person reads them; text from a run file is made harmless here."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from relume.runs.summary import LayerSummary
from relume.runs.wording import at_place as at_place  # noqa: PLC0414
from relume.runs.wording import count as count  # noqa: PLC0414
from relume.runs.wording import short as short  # noqa: PLC0414
from relume.runs.wording import times as times  # noqa: PLC0414

NOT_OBSERVED = "not observed"

_METRICS = {"r2": "R²"}
_ORDINALS = {1: "st", 2: "nd", 3: "rd"}


def printable(text: object, most: int = 200) -> str:
    r"""Return text that is safe to show: no control characters, at most ``most`` characters.

    Example:
        >>> printable("hidden\x1b[31m")
        'hidden�[31m'
        >>> printable("a" * 20, most=9)
        'aaaa…aaaa'
    """
    clean = "".join(c if c.isprintable() else "�" for c in str(text)[: most + 1])
    if len(clean) <= most:
        return clean
    tail = (most - 1) // 2
    return f"{clean[: most - 1 - tail]}…{printable(str(text)[-tail:], tail)}"


def lines(text: object, most: int) -> str:
    """Return text of at most ``most`` lines, each of them printable."""
    return "\n".join(printable(line, 120) for line in str(text).splitlines()[:most])


def metric_name(metric: str) -> str:
    """Return how a metric is written in a sentence."""
    return _METRICS.get(metric, metric.replace("_", " "))


def number(value: float | None) -> str:
    """Return a score or a loss with three decimals, or three digits where these say nothing.

    Example:
        >>> number(0.98333), number(0.00012), number(43210.0), number(None)
        ('0.983', '0.00012', '4.32e+04', 'not observed')
    """
    if value is None or not math.isfinite(value):
        return NOT_OBSERVED
    if abs(value) < 1e-8:
        return "0.000"
    if 0.001 <= abs(value) < 1000:
        return f"{value:.3f}"
    return f"{value:.3g}"


def signed(value: float | None) -> str:
    """Return a difference with its sign.

    Example:
        >>> signed(0.0219), signed(-0.5)
        ('+0.022', '−0.500')
    """
    text = number(value)
    if value is None or not math.isfinite(value):
        return text
    return f"−{text.removeprefix('-')}" if value < 0 else f"+{text}"


def interval(bounds: Sequence[float] | None) -> str:
    """Return two bounds; a dash between them only where no sign can be mistaken for it.

    Example:
        >>> interval((0.967, 0.994)), interval((-0.1, 0.25))
        ('0.967–0.994', '−0.100 to 0.250')
    """
    if bounds is None:
        return NOT_OBSERVED
    low, high = (number(bound).replace("-", "−") for bound in bounds)
    return f"{low} to {high}" if min(bounds) < 0 else f"{low}–{high}"


def share(value: float | None) -> str:
    """Return a share of one in per cent, with at least two digits.

    Example:
        >>> [share(value) for value in (0.0, 0.31, 0.9996, 0.0021, 1.0)]
        ['0 %', '31 %', '99.96 %', '0.21 %', '100 %']
    """
    if value is None or not math.isfinite(value):
        return NOT_OBSERVED
    percent = 100 * value
    if percent in {0.0, 100.0}:
        return f"{percent:.0f} %"
    if percent < 1:
        return f"{percent:.2g} %"
    if percent < 10:
        return f"{percent:.1f} %"
    return f"{min(percent, 99.99):.2f} %" if percent > 99 else f"{percent:.0f} %"


def on_top(value: float | None) -> str:
    """Return what comes on top of a whole in per cent, which may be more than it.

    Example:
        >>> [on_top(value) for value in (0.004, 0.31, 12.3)]
        ['0.4 %', '31 %', '1,230 %']
    """
    return share(value) if value is None or not value > 0.99 else f"{100 * value:,.0f} %"


def upper_bound(value: float | None) -> str:
    """Return a bound on a share in per cent, rounded up: a bound rounded down would be false.

    Example:
        >>> upper_bound(3 / 359), upper_bound(0.01041), upper_bound(1.0)
        ('0.84 %', '1.1 %', '100 %')
    """
    if value is None:
        return "—"
    percent = 100 * value
    unit = 10.0 ** (math.floor(math.log10(percent)) - 1)
    return share(min(1.0, math.ceil(percent / unit - 1e-9) * unit / 100))


def every(period: int) -> str:
    """Return "every" with an ordinal.

    Example:
        >>> every(1), every(2), every(13), every(21)
        ('every one', 'every 2nd', 'every 13th', 'every 21st')
    """
    if period == 1:
        return "every one"
    ending = "th" if period % 100 in {11, 12, 13} else _ORDINALS.get(period % 10, "th")
    return f"every {period:,}{ending}"


def budget_share(value: float) -> str:
    """Return a share that a person chose, as plainly as they would write it.

    Example:
        >>> budget_share(0.01), budget_share(0.025)
        ('1 %', '2.5 %')
    """
    return f"{100 * value:.4g} %"


def describe(value: Any) -> str:
    """Return a value of a settings table in one line.

    Example:
        >>> describe({"train": 1149, "test": 360}), describe([128, 64]), describe(None)
        ('1,149 train, 360 test', '128, 64', 'not set')
    """
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else printable(value)
    if isinstance(value, Mapping):
        return printable(", ".join(f"{describe(part)} {key}" for key, part in value.items()))
    if isinstance(value, list | tuple):
        return printable(", ".join(describe(part) for part in value)) or "none"
    return printable(value)


def unit_ranges(units: Sequence[int]) -> str:
    """Return ascending unit numbers with runs drawn together.

    Example:
        >>> unit_ranges([1, 2, 3, 7, 9, 10])
        '1–3, 7, 9, 10'
    """
    runs: list[list[int]] = []
    for unit in units:
        if runs and unit == runs[-1][-1] + 1:
            runs[-1].append(unit)
        else:
            runs.append([unit])
    parts = (
        [f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(unit) for unit in run] for run in runs
    )
    return ", ".join(text for part in parts for text in part)


def idle_and_dying(summary: LayerSummary) -> tuple[str, str]:
    """Return the cells of the layer table that say how the units stand."""
    if not summary.rows:
        return NOT_OBSERVED, NOT_OBSERVED
    if summary.saturated_units is not None:
        return f"{len(summary.saturated_units):,} saturated", "—"
    if summary.dormant_units is not None:
        return f"{len(summary.dormant_units):,} dormant", "—"
    if summary.dead_units is None:
        return "cannot die", "—"
    dying = "too early" if summary.dying_units is None else f"{len(summary.dying_units):,}"
    return f"{len(summary.dead_units):,}", dying
