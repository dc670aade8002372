"""An activation drawn: value and derivative along a line, as a PNG."""

import itertools
from pathlib import Path

from relume.files import whole_file
from relume.nn.curve import Curve
from relume.nn.facts import Activation

_VALUE, _DERIVATIVE, _FAINT = "#1f5fa8", "#c4501b", "#8a8f98"


def write_activation_png(entry: Activation, curve: Curve, path: Path) -> None:
    """Draw value and derivative of an activation and write them whole, or not at all.

    Args:
        entry: What is drawn; its formula is the title.
        curve: Its values along a line; where the derivative jumps, the lines are broken.
        path: The PNG, 1280 by 800 pixels.

    Raises:
        OutputError: If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axhline(0, color=_FAINT, linewidth=0.8)
    axes.axvline(0, color=_FAINT, linewidth=0.8)
    for part in _pieces(curve):
        (value,) = axes.plot(curve.x[part], curve.value[part], color=_VALUE, linewidth=3)
        (slope,) = axes.plot(
            curve.x[part], curve.derivative[part], color=_DERIVATIVE, linestyle="--", zorder=3
        )
    axes.legend([value, slope], ["value", "derivative"], frameon=False, loc="upper left")
    axes.set_title(f"{entry.name}:  ${entry.facts.formula}$", fontsize=12)
    axes.set_xlabel(curve.line or "x")
    axes.margins(x=0.01)
    axes.grid(visible=True, color="#e3e6ea", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    with whole_file(path, "--png") as temporary:
        figure.savefig(temporary, format="png")


def _pieces(curve: Curve) -> list[slice]:
    """Return the stretches between jumps of the derivative, so that no line bridges one."""
    steps = [abs(b - a) for a, b in itertools.pairwise(curve.derivative)]
    usual = (max(curve.derivative) - min(curve.derivative)) / 10
    jumps = [place + 1 for place, step in enumerate(steps) if step > max(usual, 1e-9)]
    bounds = [0, *jumps, len(curve.x)]
    return [slice(a, b) for a, b in itertools.pairwise(bounds)]
