"""``relume activations``: the catalogue, or the facts and the curve of one activation."""

import json as json_format
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from relume.cli.console import console, show
from relume.errors import OutputError, SettingsError

if TYPE_CHECKING:
    from relume.nn.curve import Curve
    from relume.nn.facts import Activation, Paper

WIDE = 116  # from here on the table has all its columns
LEGEND = """\
dies: a unit can sit where its output is constant and its gradient exactly 0.
gain: 1 / sqrt(E f(z)^2) for standard normal z; - where it depends on the width.
relume activations NAME shows slopes, knots, source and a plot."""
PLOT_WIDTH, PLOT_HEIGHT = 80, 20


def activations(
    name: Annotated[
        str | None, typer.Argument(help="One activation; without it, all of them.")
    ] = None,
    *,
    png: Annotated[
        Path | None, typer.Option(help="Draw value and derivative into this PNG file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show the activations that Relume knows: formula, range, slopes, gain, and which can die."""
    if name is None:
        if png is not None:
            raise SettingsError("--png draws one activation; name it: relume activations relu")
        _show_all(as_json=json)
        return
    from relume.nn.registry import get_activation

    entry = get_activation(name)
    if png is not None:
        _write_png(entry, png)
    if json:
        _print_json(_record(entry))
        return
    _show_one(entry)
    if png is not None:
        typer.echo(f"Wrote {png}")


def _write_png(entry: "Activation", path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise OutputError(f"--png writes a PNG; got {str(path)!r}: give a name that ends in .png")
    from relume.nn.curve import sample_curve
    from relume.report.activations import write_activation_png

    write_activation_png(entry, sample_curve(entry, points=2001), path)


def _show_all(*, as_json: bool) -> None:
    if as_json:
        from relume.nn.registry import activations as catalogue

        _print_json([_record(entry) for entry in catalogue()])
        return
    target = console()
    show(target, _table(wide=target.width >= WIDE), LEGEND)


def _table(*, wide: bool) -> Table:
    """Return the catalogue as a table; a narrow one leaves out the last three columns."""
    from relume.nn.registry import activations as catalogue

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("activation", no_wrap=True, style="bold")
    table.add_column("formula")
    table.add_column("range", no_wrap=True)
    table.add_column("gain", no_wrap=True, justify="right")
    table.add_column("dies", no_wrap=True)
    for heading in ("saturates", "learns", "year") if wide else ():
        table.add_column(heading, no_wrap=True)
    for entry in catalogue():
        facts = entry.facts
        cells = (
            Text(facts.plain),
            _range(facts.range),
            "-" if math.isnan(facts.gain) else f"{facts.gain:.4f}",
            "yes" if facts.can_die else "-",
            "-" if facts.saturates == "none" else facts.saturates.value,
            ", ".join(facts.learnable) or "-",
            str(facts.paper.year),
        )
        table.add_row(entry.name, *(cells if wide else cells[:4]))
    return table


def _show_one(entry: "Activation") -> None:
    from relume.nn.curve import sample_curve

    target = console()
    heading = Text.assemble((entry.name, "bold"), f"   {entry.facts.plain}\n")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for label, text in _lines(entry):
        grid.add_row(label, Text(text))
    if target.encoding.lower().startswith("utf"):
        plot = _plot(sample_curve(entry, points=1201), min(target.width, PLOT_WIDTH))
    else:
        plot = Text(f"No plot: this terminal's encoding is {target.encoding}, not UTF-8.")
    show(target, heading, grid, "", plot)


def _lines(entry: "Activation") -> list[tuple[str, str]]:
    facts = entry.facts
    defaults = ", ".join(f"{key}={value}" for key, value in entry.defaults.items())
    known = [
        ("LaTeX", facts.formula),
        ("also called", ", ".join(entry.aliases)),
        ("parameters", defaults),
        ("learns", ", ".join(facts.learnable)),
        ("range", _range(facts.range)),
        ("slopes", f"{facts.left_slope:.6g} far left, {facts.right_slope:.6g} far right"),
        ("knots", ", ".join(f"{knot:.6g}" for knot in facts.knots) or "none"),
        ("Lipschitz", f"{facts.lipschitz:.10g}"),
        ("gain", "depends on the width" if math.isnan(facts.gain) else f"{facts.gain:.10g}"),
        ("shape", _shape(entry)),
        ("saturates", facts.saturates.value),
        ("can die", _death(entry)),
        ("note", facts.note),
        ("source", _citation(facts.paper)),
        *[("before it", _citation(paper)) for paper in facts.earlier],
    ]
    return [(label, text) for label, text in known if text]


def _shape(entry: "Activation") -> str:
    facts = entry.facts
    words = [
        "monotone" if facts.monotone else "not monotone",
        "smooth" if facts.smooth else "not smooth",
        "positively homogeneous" if facts.homogeneous else "not homogeneous",
    ]
    if entry.inputs_per_output != 1:
        words.append(f"{entry.inputs_per_output:g} inputs an output")
    return ", ".join(words)


def _death(entry: "Activation") -> str:
    edge = entry.facts.fires_above
    if edge is None:
        return "no"
    return f"yes: constant, with gradient exactly 0, at or below {edge:g}"


def _citation(paper: "Paper") -> str:
    return f"{paper.authors} ({paper.year}). {paper.title}. {paper.where}."


def _range(bounds: tuple[float, float]) -> str:
    return " to ".join(f"{bound:.3g}" for bound in bounds)


def _plot(curve: "Curve", width: int) -> Text:
    """Return the curve drawn in characters: blocks for the value, dots for the derivative."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, PLOT_HEIGHT)
    figure.draw(figure.signal(curve.x, curve.derivative, marker="·"))
    figure.draw(figure.signal(curve.x, curve.value, marker="hd"))
    figure.ruler("x").ticks(list(range(math.ceil(curve.x[0]), math.floor(curve.x[-1]) + 1)))
    ticks = _ticks(min(*curve.value, *curve.derivative), max(*curve.value, *curve.derivative))
    figure.ruler("y").ticks(ticks)
    figure.ruler("y").lim(min(ticks[0], *curve.value, *curve.derivative), None)
    drawn = Text(figure.build().string(colorless=True).rstrip("\n"))
    figure.clear()
    drawn.highlight_regex(r"[▖-▟▀-▐]+", "cyan")
    drawn.highlight_regex(r"·+", "magenta")
    caption = Text.assemble("    ", ("▄▀", "cyan"), " value   ", ("···", "magenta"), " derivative")
    if curve.line:
        caption.append(f"   ({curve.line})")
    return Text("\n").join([drawn, caption])


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from about ``low`` to about ``high``, at most eight."""
    step = next(step for step in (0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if (high - low) / step <= 7)
    first, last = math.ceil(low / step - 0.1), math.floor(high / step + 0.1)
    return [round(k * step, 1) for k in range(first, last + 1)]


def _record(entry: "Activation") -> dict[str, Any]:
    """Return an entry as JSON can hold it: nan as null, infinities as the text inf or -inf."""
    facts = asdict(entry.facts)
    record = {
        "name": entry.name,
        "aliases": entry.aliases,
        "kind": entry.kind,
        "inputs_per_output": entry.inputs_per_output,
        "parameters": dict(entry.defaults),
        "formula": facts.pop("plain"),
        "latex": facts.pop("formula"),
        "can_die": entry.facts.can_die,
        **facts,
    }
    return {key: _strict(value) for key, value in record.items()}


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return value


def _print_json(value: Any) -> None:
    typer.echo(json_format.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))
