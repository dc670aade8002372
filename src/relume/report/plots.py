"""A run as one picture: what came of it, its losses and scores over the steps, and its units."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Finding, Severity
from relume.files import whole_file
from relume.report.heatmap import levels, palette, pixel_columns
from relume.report.parts import Document, neediest
from relume.report.wording import at_place, count, idle_and_dying, printable, share
from relume.runs.query import Run
from relume.runs.summary import LayerSummary, summarise_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOFTWARE = "Relume"
"""What the picture says of its maker, so that it is known again."""

WIDTH = 1200
MOST_LAYERS, MOST_FINDINGS, MOST_MARKS, MOST_SCORES = 8, 4, 8, 4
MOST_ROWS, MOST_COLUMNS = 100, 1000
_DPI = 100
_LINE = 135  # characters of a line of text
_INK, _FAINT, _LOSS, _MARK = "#1d2733", "#6b7683", "#1f5fa8", "#c4501b"
_SCORES = ("#1f5fa8", "#c4501b", "#2f7d4f", "#7b4fa3")
_TONES = {Severity.ERROR: "#a8261c", Severity.WARNING: "#9a5b00", Severity.NOTE: _FAINT}


@dataclass(frozen=True, slots=True)
class _Course:
    """A score over the steps."""

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


def write_report_png(run: Run, document: Document, diagnosis: Diagnosis, path: Path) -> None:
    """Draw a run into a PNG, 1200 pixels wide, whole or not at all.

    Args:
        run: The records.
        document: What is said of them.
        diagnosis: What the rules said; grave findings are listed, and marked where they began.
        path: The PNG.

    Raises:
        OutputError: If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    said = _said(document, diagnosis)
    scores = _scores(run)
    summaries = summarise_layers(run)
    drawn = sorted(neediest(summaries, MOST_LAYERS)) if run.windows else []
    heights = [0.3 + 0.25 * len(said), 2.8, 1.9 if scores else 0.0, *([1.5] * len(drawn))]
    heights.append(0.45 if drawn else 0.0)
    heights = [height for height in heights if height]
    figure = Figure(figsize=(WIDTH / _DPI, sum(heights)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    every = iter(figure.subplots(len(heights), 1, height_ratios=heights))
    _write(next(every), said)
    _draw_losses(next(every), run, diagnosis)
    if scores:
        _draw_scores(next(every), run, scores)
    for index in drawn:
        _draw_layer(next(every), run, index, summaries[index])
    if drawn:
        _draw_legend(next(every), len(summaries) - len(drawn))
    with whole_file(path, "--png") as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
        metadata = {"Software": SOFTWARE, "Title": printable(document.title)}
        figure.savefig(temporary, format="png", metadata=metadata)


def _said(document: Document, diagnosis: Diagnosis) -> list[tuple[str, str, str]]:
    """Return text, colour and weight of each line above the curves."""
    head = f"{document.title}: {document.kind}, {document.status}, {count(document.steps, 'step')}"
    lines = [(_plain(head), _INK, "bold")]
    lines += [(line, _INK, "bold") for line in wrap(_plain(document.headline), _LINE - 15)]
    grave = [each for each in diagnosis.findings if each.severity != Severity.NOTE]
    for finding in grave[:MOST_FINDINGS]:
        text = f"{finding.severity.value} {finding.code}: {printable(finding.message, 400)}"
        lines += [(line, _TONES[finding.severity], "normal") for line in wrap(_plain(text), _LINE)]
    if len(grave) > MOST_FINDINGS:
        more = f"and {count(len(grave) - MOST_FINDINGS, 'more finding')}: see relume diagnose"
        lines.append((more, _FAINT, "normal"))
    if not grave:
        lines.append(("No warning and no error was found.", _FAINT, "normal"))
    return lines


def _write(axes: "Axes", said: Sequence[tuple[str, str, str]]) -> None:
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(len(said) + 0.3, 0))
    for place, (text, colour, weight) in enumerate(said):
        axes.text(0, place + 0.5, text, color=colour, weight=weight, fontsize=11, va="center")


def _draw_losses(axes: "Axes", run: Run, diagnosis: Diagnosis) -> None:
    steps, mean, least, greatest = _losses(run)
    _prepare(axes, run, "training loss")
    if not len(steps):
        axes.text(0.5, 0.5, "training loss: not observed", ha="center", transform=axes.transAxes)
        axes.set_yticks([])
    axes.fill_between(steps, least, greatest, color=_LOSS, alpha=0.18, linewidth=0)
    axes.plot(steps, mean, color=_LOSS, linewidth=1.5, label="training, with its range")
    epochs = [(each.step, each.validation_loss) for each in run.epochs]
    known = [pair for pair in epochs if math.isfinite(pair[1])]
    if known:
        axes.plot(*zip(*known, strict=True), "o-", color=_MARK, markersize=3, label="validation")
    if len(steps) and least.min() > 0 and greatest.max() > 50 * mean.min():
        axes.set_yscale("log")
    if len(steps):
        axes.legend(frameon=False, fontsize=9, loc="upper right")
    _mark(axes, _marks(diagnosis.findings))


def _losses(run: Run) -> tuple[Any, Any, Any, Any]:
    """Return steps, mean, least and greatest loss, of which all are finite."""
    curve = run.curve
    if np.isfinite(curve.losses).any():
        columns = (curve.steps.astype(float), curve.losses, curve.least, curve.greatest)
    else:
        moments = [(window.last_step, window.loss) for window in run.windows if window.loss.count]
        rows = [(step, each.mean, each.least, each.greatest) for step, each in moments]
        columns = tuple(np.array(rows, float).reshape(-1, 4).T)  # type: ignore[assignment]
    is_finite = np.isfinite(np.stack(columns)).all(axis=0)
    steps, *values = (np.asarray(column, float)[is_finite] for column in columns)
    return np.minimum(steps, run.last_step), values[0], values[1], values[2]


def _marks(findings: Sequence[Finding]) -> dict[int, list[str]]:
    """Return the codes of findings by the step since which they hold; roots and gravest first."""
    found: dict[int, list[str]] = {}
    waiting = list(findings)
    for finding in waiting:
        waiting.extend(finding.consequences)
        if finding.first_step is not None and finding.severity != Severity.NOTE:
            codes = found.setdefault(max(1, finding.first_step), [])
            if str(finding.code) not in codes:
                codes.append(str(finding.code))
    return dict(list(found.items())[:MOST_MARKS])


def _mark(axes: "Axes", marks: dict[int, list[str]]) -> None:
    """Mark steps by lines, with codes at heights of their own, so that none hides another."""
    for place, (step, codes) in enumerate(sorted(marks.items())):
        axes.axvline(step, color=_MARK, linestyle="--", linewidth=1)
        axes.annotate(
            f" {', '.join(codes[:3])} since step {step:,}",
            (step, 0.9 - 0.11 * (place % 6)),
            xycoords=("data", "axes fraction"),
            color=_MARK,
            fontsize=9,
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
            ha="left" if step < sum(axes.get_xlim()) / 2 else "right",
        )


def _scores(run: Run) -> list[_Course]:
    """Return the validation score of a fit, and what a script recorded."""
    found: dict[str, list[tuple[float, float]]] = {}
    for epoch in run.epochs:
        found.setdefault("validation score", []).append((epoch.step, epoch.validation_score))
    for metric in run.metrics:
        found.setdefault(metric.name, []).append((metric.step, metric.value))
    courses = []
    for name, points in list(found.items())[:MOST_SCORES]:
        finite = [point for point in points if math.isfinite(point[1])]
        if finite:
            steps, values = zip(*finite, strict=True)
            courses.append(_Course(_plain(printable(name, 40)), steps, values))
    return courses


def _draw_scores(axes: "Axes", run: Run, scores: Sequence[_Course]) -> None:
    _prepare(axes, run, "scores" if len(scores) > 1 else scores[0].name)
    for course, colour in zip(scores, _SCORES, strict=False):
        label = f"{course.name}, last {course.values[-1]:.3g}"
        axes.plot(course.steps, course.values, "o-", color=colour, markersize=3, label=label)
    axes.legend(frameon=False, fontsize=9, loc="best")


def _prepare(axes: "Axes", run: Run, label: str) -> None:
    axes.set_xlim(0, max(1, run.last_step))
    axes.set_ylabel(label, color=_INK)
    axes.set_xlabel("step", color=_INK)
    axes.grid(visible=True, color="#e3e6ea", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, colors=_INK)


def _draw_layer(axes: "Axes", run: Run, index: int, summary: LayerSummary) -> None:
    layer = run.layers[index]
    cells = _cells(run, index)
    per_row = -(-layer.units // MOST_ROWS)
    axes.imshow(
        cells,
        aspect="auto",
        interpolation="nearest",
        extent=(run.windows[0].first_step, run.windows[-1].last_step + 1, layer.units, 0),
    )
    idle, dying = idle_and_dying(summary)
    state = idle if not idle.isdigit() else f"{idle} dead" if summary.at_final_weights else (
        f"{idle} silent"
    )  # fmt: skip
    title = (
        f"{printable(at_place(layer.name, layer.place), 60)}: {printable(layer.activation, 20)}, "
        f"{count(layer.units, 'unit')}, {state}"
        + (f", {dying} dying" if dying not in {"—", "0", "too early"} else "")
        + f", firing rate {share(summary.firing_rate)}, n = {count(summary.rows, 'row')}"
    )
    axes.set_title(_plain(title), fontsize=9.5, loc="left", color=_INK, pad=3)
    axes.set_ylabel("units" if per_row == 1 else f"units, {per_row} a row", fontsize=8)
    axes.set_yticks([])
    axes.set_xlim(0, max(1, run.last_step))
    axes.tick_params(labelsize=8, colors=_INK)


def _cells(run: Run, index: int) -> NDArray[np.uint8]:
    """Return the colour of each unit over time: units by columns, silent units uppermost."""
    parts = [window.layers[index].activity for window in run.windows]
    fired = np.stack([part.fired for part in parts]).astype(float)
    positions = np.array([part.positions for part in parts])
    seen = fired[positions > 0]
    order = np.lexsort((seen.sum(axis=0), seen[-1])) if len(seen) else np.arange(fired.shape[1])
    per_row = max(1, -(-len(order) // MOST_ROWS))
    silent = int((seen[-1] == 0).sum()) if len(seen) else 0  # in rows of their own
    starts = np.r_[np.arange(0, silent, per_row), np.arange(silent, len(order), per_row)]
    sizes = np.diff(np.append(starts, len(order)))
    grouped = np.add.reduceat(fired[:, order], starts, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.where(positions[:, None] > 0, grouped / (positions[:, None] * sizes), np.nan)
    spans = [(window.first_step, window.last_step) for window in run.windows]
    columns = pixel_columns(spans, MOST_COLUMNS)
    can_die = run.layers[index].can_die or run.layers[index].saturates
    shown = np.where(columns[None, :] >= 0, levels(rates.T, can_die=can_die)[:, columns], 0)
    return np.asarray(palette()[shown])


def _draw_legend(axes: "Axes", more: int) -> None:
    """Draw the scale of the firing rates, with silence beside it."""
    strip = palette()[levels(np.linspace(0, 1, 240)[None, :], can_die=False)]
    silent = palette()[levels(np.zeros((1, 1)), can_die=True)]
    axes.imshow(silent, aspect="auto", extent=(0, 0.1, 0, 1))
    axes.imshow(strip, aspect="auto", extent=(0.2, 1.2, 0, 1))
    axes.set(xlim=(0, 4), ylim=(0, 1), yticks=[])
    axes.set_xticks([0.05, 0.2, 0.7, 1.2], ["silent", "0", "0.5", "1"])
    axes.tick_params(labelsize=8, colors=_INK, length=0)
    axes.spines[:].set_visible(False)
    hidden = f"; {count(more, 'more layer')}, no worse, not drawn" if more else ""
    text = f"firing rate of each unit; silent: it fired on nothing that was seen then{hidden}"
    axes.text(1.25, 0.5, text, fontsize=9, color=_INK, va="center")


def _plain(text: str) -> str:
    """Return text in which no dollar sign begins a formula."""
    return text.replace("$", r"\$")
