"""A comparison in a terminal: tables that read the same without colour."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relume.report.comparing.comparison import (
    ComparedFinding,
    Comparison,
    LayerPair,
    Side,
    UnitStates,
)
from relume.report.comparing.courses import LossPair, ScorePair
from relume.report.comparing.differences import Difference
from relume.report.wording import count, describe, interval, number, on_top, printable, signed

MOST_SHOWN = 30
"""Of differences of one kind, and of layers that are alike."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print a comparison for a person."""
    for label, side in (("A", comparison.a), ("B", comparison.b)):
        console.print(Text(f"{label}  {_side(side)}", style="bold"), soft_wrap=True)
    parts = (
        ("What differs", _differences(comparison)),
        ("Training loss, mean of the last tenth up to a step", _losses(comparison.losses)),
        ("Scores", _scores(comparison.scores)),
        ("Units, A → B", _layers(comparison.layers)),
        ("Findings", _findings(comparison)),
        ("Repairs", _repairs(comparison)),
        ("Watching cost", _cost(comparison)),
        ("What this does not show", comparison.caveats),
    )
    for heading, body in parts:
        console.print(Text(f"\n{heading}", style="bold"))
        for part in body:
            is_line = isinstance(part, str)
            console.print(Text(f"- {part}") if is_line else part, soft_wrap=is_line)


def _side(side: Side) -> str:
    path = Path(side.path)
    place = path.parent if path.name == "run.sqlite" else path
    processes = f", {side.processes} processes" if side.processes > 1 else ""
    return (
        f"{printable(place)}: {printable(side.kind)} {printable(side.name)}, "
        f"{printable(side.status)}, {count(side.steps, 'step')}{processes}"
    )


def _differences(comparison: Comparison) -> list[Table | str]:
    every = [
        (each.what, one) for each in comparison.differences for one in each.differing[:MOST_SHOWN]
    ]
    equal = ", ".join(f"{each.equal} of {each.what}" for each in comparison.differences)
    if not every:
        return [f"nothing that was recorded (equal: {equal})"]
    table = _table("", "A", "B")
    for what, one in every:
        table.add_row(Text(printable(f"{what}: {one.name}", 80)), *map(Text, _values(one)))
    hidden = sum(max(0, len(each.differing) - MOST_SHOWN) for each in comparison.differences)
    more = f"; {count(hidden, 'more difference')}: --json" if hidden else ""
    return [table, f"equal: {equal}{more}"]


def _values(one: Difference) -> tuple[str, str]:
    a, b = (_value(value) for value in (one.a, one.b))
    return a, b


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "—" if value is None else describe(value)


def _losses(pairs: Sequence[LossPair]) -> list[Table | str]:
    if not pairs:
        return ["not observed"]
    table = _table("step", "A", "B", "B − A", "scatter A", "scatter B", "n A", "n B")
    for pair in pairs:
        table.add_row(
            _steps(pair.step_a, pair.step_b),
            number(pair.a),
            number(pair.b),
            signed(pair.b - pair.a),
            number(pair.scatter_a) if math.isfinite(pair.scatter_a) else "—",
            number(pair.scatter_b) if math.isfinite(pair.scatter_b) else "—",
            f"{pair.n_a:,}",
            f"{pair.n_b:,}",
        )
    return [table]


def _scores(pairs: Sequence[ScorePair]) -> list[Table | str]:
    if not pairs:
        return ["none that both recorded"]
    table = _table("score", "when", "A", "B", "B − A", "95 %", "n A", "n B")
    for pair in pairs:
        table.add_row(
            Text(printable(pair.name, 60)),
            _when(pair),
            number(pair.a),
            number(pair.b),
            signed(pair.b - pair.a),
            "—" if pair.interval is None else interval(pair.interval),
            *("—" if rows is None else f"{rows:,}" for rows in (pair.rows_a, pair.rows_b)),
        )
    return [table]


def _when(pair: ScorePair) -> str:
    if pair.step_a is None or pair.step_b is None:
        return pair.when
    first = "step" if pair.when == "equal steps" else "end"
    return f"{first} {_steps(pair.step_a, pair.step_b)}"


def _steps(a: int, b: int) -> str:
    return f"{a:,}" if a == b else f"{a:,} | {b:,}"


_STATES = ("dead", "dying", "saturated", "dormant")


def _layers(pairs: Sequence[LayerPair]) -> list[Table | str]:
    if not pairs:
        return ["not observed"]
    states = [state for state in _STATES if any(_has(pair, state) for pair in pairs)]
    table = _table("layer", "units", *states, "rows n")
    alike = 0
    for pair in pairs:
        if pair.a is not None and pair.a == pair.b and len(pairs) > MOST_SHOWN:
            alike += 1
            continue
        both = (pair.a, pair.b)
        table.add_row(
            Text(printable(pair.name, 80) + _only(pair)),
            *(_change(*both, what) for what in ("units", *states, "rows")),
        )
    final = {side.at_final_weights for pair in pairs for side in (pair.a, pair.b) if side}
    when = "at fixed weights" if final == {True} else "on the last rows seen while training"
    return [table, f"counted {when}" + (f"; {alike} layers are alike" if alike else "")]


def _has(pair: LayerPair, state: str) -> bool:
    return any(side is not None and getattr(side, state) is not None for side in (pair.a, pair.b))


def _only(pair: LayerPair) -> str:
    if pair.b is None:
        return "  (only in A)"
    return "  (only in B)" if pair.a is None else ""


def _change(a: UnitStates | None, b: UnitStates | None, what: str) -> str:
    known = [_count(getattr(side, what)) for side in (a, b) if side is not None]
    return " → ".join(dict.fromkeys(known) if what in {"units", "rows"} else known)


def _count(value: int | None) -> str:
    return "—" if value is None else f"{value:,}"


def _findings(comparison: Comparison) -> list[str]:
    lines = [
        *_listed("only in B", comparison.gained),
        *_listed("only in A", comparison.lost),
    ]
    return [*lines, f"{count(comparison.findings_in_both, 'finding')} in both, by code and place"]


def _listed(where: str, found: Sequence[ComparedFinding]) -> Iterator[str]:
    for each in found:
        yield f"{where}: {each.severity} {each.code}: {printable(each.message, 400)}"


def _repairs(comparison: Comparison) -> list[str]:
    lines = [
        f"{label}: {printable(line, 300)}"
        for label, side in (("A", comparison.a), ("B", comparison.b))
        for line in side.repairs
    ]
    return lines or ["none in either"]


def _cost(comparison: Comparison) -> list[str]:
    return [
        f"{label}: {on_top(side.measured_share)}, {side.armed_steps:,} of "
        f"{count(side.steps, 'step')} measured"
        for label, side in (("A", comparison.a), ("B", comparison.b))
    ]


def _table(first: str, *headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(first, overflow="fold")
    for heading in headings:
        is_text = heading in {"when", "A", "B"} and first == ""
        table.add_column(heading, justify="left" if is_text else "right", overflow="fold")
    return table
