"""A run as one HTML file that needs nothing else: styles, scripts, pictures and data inside."""

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from relume.files import whole_file
from relume.report import cells, heatmap
from relume.report.document import build_document
from relume.report.layers import MOST_DRAWN_LAYERS
from relume.report.network_views import CAUSES, cell_data
from relume.report.parts import Document, plain
from relume.report.views import page_views, shown_layers, shown_metric
from relume.report.watch_views import MOST_METRIC_CHARTS
from relume.runs.query import Run

MOST_BYTES = 500_000

_DRAWN_LAYERS = (
    *((courses, MOST_DRAWN_LAYERS) for courses in (MOST_DRAWN_LAYERS, 50, 40, 30, 20, 8)),
    *((8, 30), (2, 10), (0, 0)),
)
"""Layers whose course is drawn, and layers whose units are: fewer where the page is too large."""


def write_report(run: Run, path: Path) -> None:
    """Write the report of a run as one HTML file, whole or not at all.

    Raises:
        OutputError: If the file cannot be written.
    """
    write_page(build_document(run), path)


def write_page(document: Document, path: Path) -> None:
    """Write a document as one HTML file, whole or not at all.

    Raises:
        OutputError: If the file cannot be written.
    """
    page = render_page(document)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render_page(document: Document) -> str:
    """Return a document as an HTML page of at most 500 KB, drawing fewer layers where it must."""
    pages = (_render(document.drawing(*most)) for most in _DRAWN_LAYERS)
    return next(page for page in pages if len(page.encode()) <= MOST_BYTES)


def _render(document: Document) -> str:
    templates = files("relume.report") / "templates"
    text = {
        name: (templates / name).read_text(encoding="utf-8")
        for name in ("page.html.j2", "main.html.j2", "page.css", "page.js")
    }
    vendor = {
        name: (templates / "vendor" / name).read_text(encoding="utf-8")
        for name in ("uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE.txt")
    }
    uplot = f"/*\n{vendor['uPlot.LICENSE.txt']}*/\n{vendor['uPlot.iife.min.js']}"
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        policy=policy(uplot, text["page.js"]),
        styles=Markup(vendor["uPlot.min.css"] + painted(text["page.css"])),  # noqa: S704
        uplot=Markup(uplot),  # noqa: S704
        script=Markup(text["page.js"]),  # noqa: S704
        page_data=embedded(page_data(document)),
        **main_values(document),
    )


def main_values(document: Document) -> dict[str, Any]:
    """Return the values that the contents of a page, ``main.html.j2``, are filled with."""
    return {"document": document, "legend": heatmap.legend(), **page_views(document)}


def page_data(document: Document) -> dict[str, Any]:
    """Return the part of the document that the page's script reads; the rates are in pictures."""
    layers: list[dict[str, Any]] = []
    row_counts: list[tuple[int, ...]] = []
    for part in document.layers:
        if part.heat is None:
            continue
        if part.heat.rows not in row_counts:
            row_counts.append(part.heat.rows)
        layers.append(
            {
                "name": part.summary.name,
                "units": part.summary.units,
                "units_per_row": part.heat.units_per_row,
                "order": part.heat.order if part.heat.units_per_row == 1 else [],
                "rows": row_counts.index(part.heat.rows),
                "gradient_norm": plain(part.gradient_norm),
                "update_ratio": plain(part.update_ratio),
                "saturates": part.saturates,
            }
        )
    return {
        "steps": document.steps,
        "window_curves": plain(document.window_curves),
        "epoch_curves": plain(document.epoch_curves),
        "columns": plain(document.columns),
        "row_counts": row_counts,
        "layers": layers,
        "levels": heatmap.LEVELS,
        "cell_levels": cells.LEVELS,
        "cells": cell_data(shown_layers(document)),
        "causes": list(CAUSES.values()),
        "events": [
            {
                "id": f"e{index}",
                "step": event.step,
                "label": event.label,
                "said": event.said,
                "kind": event.kind,
            }
            for index, event in enumerate(document.events)
        ],
        "metric": shown_metric(document),
        "metrics": plain(document.metrics[:MOST_METRIC_CHARTS]),
    }


def policy(*scripts: str) -> str:
    """Return the policy of a page that loads nothing and runs no script but those given."""
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(data: Any) -> Markup:
    """Return JSON for inside of a script element: nothing in it can end the element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704


def painted(css: str) -> str:
    """Return the page's styles with the colours of the heat maps in them."""
    legend = heatmap.legend()
    stops = ",".join(f"rgb({r} {g} {b})" for r, g, b in legend["stops"])
    red, green, blue = legend["silent"]
    silent = f"{red} {green} {blue}"
    css = css.replace("STOPS", stops).replace("VEILED", f"rgb({silent} / .75)")
    return css.replace("SILENT", f"rgb({silent})")
