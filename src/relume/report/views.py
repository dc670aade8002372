"""What the page shows, part by part: texts, places and pictures made from the document."""

import base64
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from relume.report import heatmap
from relume.report.first_views import first_views
from relume.report.network_views import cell_picture, grouping, idle_word
from relume.report.parts import Document, LayerPart, Result
from relume.report.watch_views import watch_tiles, watch_views
from relume.report.wording import (
    count,
    describe,
    idle_and_dying,
    interval,
    metric_name,
    number,
    printable,
    share,
    unit_ranges,
    upper_bound,
)

MOST_TABLE_ROWS = 120
MOST_LAYERS_LISTED = 60
MOST_FACTS = 40
MOST_TILES = 6  # for scores
TALLEST_ROW = 12
LEAST_HEIGHT = 96

_TONES = {"finished": "good", "failed": "bad"}
_DEAD = "A unit is dead if it fired on none of the n rows; its gradient is then exactly zero. "
_BOUND = (
    "m of those rows were held out and had no part in fitting the weights: they show (95 % "
    "confidence) that such a unit fires on fewer than 3/m of rows like them. "
)
_WHILE_TRAINING = (
    "Those are the last rows that were seen while the weights moved: a description, no proof. "
)
_DYING = "Dying means: fires on under 1 % of values, under a quarter of its best, and falling."
_SECTIONS = (
    ("findings", "Findings"),
    ("result", "Result"),
    ("training", "Training"),
    ("units", "Network"),
    ("gradients", "Gradients"),
    ("deaths", "Deaths"),
    ("repairs", "Repairs"),
    ("layers", "Layers"),
    ("unobserved", "Not observed"),
    ("details", "Details"),
)


def page_views(document: Document) -> dict[str, Any]:
    """Return the values that the page's template is filled with, beside the document itself."""
    return {
        "sections": [(target, name) for target, name in _SECTIONS if _has(document, target)],
        "tone": _TONES.get(document.status, "warn"),
        "tiles": _tiles(document),
        "scores": [_scores(result) for result in document.results],
        **_curves(document),
        **_units(document),
        **_table(document),
        **_details(document),
        **watch_views(document),
        **first_views(document),
    }


def _has(document: Document, section: str) -> bool:
    """Whether a page has a section: a watched training need not have a score, a fit no deaths."""
    if section == "repairs":
        return bool(document.repairs)
    if section == "result":
        return document.result is not None or not document.is_watched
    if section == "deaths":
        return document.is_watched or bool(document.deaths)
    return section != "unobserved" or bool(document.not_observed)


def shown_metric(document: Document) -> str:
    """Return the name of the score."""
    if document.further_results:
        return "mean score"
    return metric_name(document.result.metric) if document.result else "score"


def _tiles(document: Document) -> list[dict[str, Any]]:
    units = document.units
    tiles = []
    for result in document.results[:MOST_TILES]:
        note = f"on {count(result.rows, 'test row')}" if result.rows is not None else "on test rows"
        tiles.append(_tile(_what(result), number(result.score), note))
    if units is not None:
        label, where = (
            ("dead units", "at fixed weights")
            if units.at_final_weights
            else ("silent units", "while training")
        )
        note = f"of {count(units.units, 'unit')}, seen on {count(units.rows, 'row')} {where}"
        tiles.append(
            _tile(label, f"{units.dead:,}", note, alarm=units.at_final_weights and units.dead > 0)
        )
        dying = "too early to tell" if units.dying is None else f"{units.dying:,}"
        tiles.append(_tile("dying units", dying, "firing rate nearly zero, and falling"))
    if document.is_watched:
        tiles += [_tile(*given) for given in watch_tiles(document)]
    else:
        tiles.append(_duration(document))
    return tiles


def _duration(document: Document) -> dict[str, Any]:
    epochs = document.epoch_curves.epoch
    if not epochs:
        return _tile("steps", f"{document.steps:,}", "no epoch ended")
    best = f"best was {document.best_epoch:,}" if document.best_epoch else "best not recorded"
    note = f"{best}; stopped {document.stopped}" if document.stopped else best
    return _tile("epochs", f"{epochs[-1]:,}", note)


def _tile(label: str, value: str, note: str, *, alarm: bool = False) -> dict[str, Any]:
    return {"label": label, "value": value, "note": note, "alarm": alarm}


def _what(result: Result) -> str:
    metric = metric_name(result.metric)
    return f"{result.target}: {metric}" if result.target else metric


def _scores(result: Result) -> dict[str, Any]:
    """The network and its baselines on one axis, in per cent of its width."""
    entries: list[tuple[str, float, tuple[float, float] | None]] = [
        ("this network", result.score, result.interval),
        *((part.name, part.score, part.interval) for part in result.rivals),
    ]
    values = [bound for _, score, bounds in entries for bound in (score, *(bounds or ()))]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5
    # A score that cannot exceed 1 or fall below 0 gets no axis beyond.
    low = max(0.0, low - margin) if low >= 0 else low - margin
    high = min(1.0, high + margin) if high <= 1 else high + margin
    span = high - low or 1.0

    def place(value: float) -> float:
        return float(round(100 * (value - low) / span, 2))

    rows = [
        {
            "name": name,
            "at": place(score),
            "left": place(bounds[0]) if bounds else None,
            "width": round(place(bounds[1]) - place(bounds[0]), 2) if bounds else None,
            "text": f"{number(score)} ({interval(bounds)})" if bounds else number(score),
        }
        for name, score, bounds in entries
    ]
    return {
        "rows": rows,
        "target": result.target,
        "metric": metric_name(result.metric),
        "low": number(low),
        "high": number(high),
    }


def _curves(document: Document) -> dict[str, Any]:
    windows, epochs, layers = document.window_curves, document.epoch_curves, document.layers
    seen = {
        "loss": _any(windows.loss) or _any(epochs.validation_loss),
        "score": _any(epochs.validation_score),
        "alive": bool(epochs.units_alive) and max(epochs.units) > 0,
        "rate": _any(windows.learning_rate),
        "gradient": any(_any(part.gradient_norm) for part in layers),
        "update": any(_any(part.update_ratio) for part in layers),
    }
    has_validation = _any(epochs.validation_loss) or not document.is_watched
    captions = {
        "loss": "Training loss with its range within each window of steps"
        + ("; validation loss after each epoch." if has_validation else ".")
        + _lowest(document),
        "score": "On the validation rows, after each epoch.",
        "score_title": f"Validation {shown_metric(document)}",
        "alive": "Units that fired within the last rows measured, after each epoch.",
    }
    return {"seen": seen, "captions": captions}


def _lowest(document: Document) -> str:
    losses = document.epoch_curves.validation_loss
    known = [(loss, epoch) for loss, epoch in zip(losses, document.epoch_curves.epoch, strict=True)]
    finite = [pair for pair in known if math.isfinite(pair[0])]
    if not finite:
        return ""
    loss, epoch = min(finite)
    return f" Lowest: {number(loss)} after epoch {epoch:,}."


def shown_layers(document: Document) -> Sequence[LayerPart]:
    """Return the layers of which the page has pictures."""
    drawn = [part for part in document.layers if part.heat is not None or part.cells is not None]
    return drawn or document.layers[:MOST_LAYERS_LISTED]


def _units(document: Document) -> dict[str, Any]:
    drawn = [part for part in document.layers if part.heat is not None]
    shown = shown_layers(document)
    wide = max((part.summary.units for part in drawn), default=0)
    most_columns = heatmap.resolution(wide, len(drawn))[1]
    steps = [document.columns[0][0], document.columns[-1][1]] if document.columns else [0, 0]
    undrawn = len(document.layers) - len(shown)
    courses = itertools.count()
    return {
        "layers": [
            {
                **_layer(part),
                "number": number_of,
                "course": next(courses) if part.heat is not None else None,
                **_picture(part, document, most_columns),
                **cell_picture(part),
            }
            for number_of, part in enumerate(shown)
        ],
        "undrawn": f"{count(undrawn, 'more layer')}, with no more dead units than these, not drawn."
        if undrawn
        else "",
        "cell_meaning": grouping(document),
        "is_grouped": any(part.cells and part.cells.units_per_cell > 1 for part in shown),
        "no_course": "not drawn, to keep the page small" if drawn else "not observed",
        "row_meaning": f"a unit{_grouping(drawn)}",
        "silence": "never fired, or saturated throughout"
        if any(part.saturates for part in drawn)
        else "never fired",
        "axis": {
            "first": f"{steps[0]:,}",
            "middle": f"{(steps[0] + steps[1]) // 2:,}",
            "last": f"{steps[1]:,}",
        },
    }


def _grouping(drawn: Sequence[LayerPart]) -> str:
    sizes = {part.heat.units_per_row for part in drawn if part.heat is not None}
    most = max(sizes, default=1)
    return f" (in wide layers the mean of up to {most:,} neighbours)" if most > 1 else ""


def _layer(part: LayerPart) -> dict[str, Any]:
    summary = part.summary
    dead = len(summary.dead_units or summary.saturated_units or ())
    shown = part.dead
    by_step = sorted(shown, key=lambda unit: (unit.last_fired or 0, unit.unit))
    groups = [
        (
            "not once" if step is None else f"step {step:,}",
            unit_ranges([unit.unit for unit in units]),
        )
        for step, units in itertools.groupby(by_step, key=lambda unit: unit.last_fired)
    ]
    more = f"The first {len(shown):,} of {dead:,} are listed." if dead > len(shown) else ""
    which = "units are" if dead != 1 else "unit is"
    return {
        "name": part.shown_name,
        "kind": f"{summary.activation} · {count(summary.units, 'unit')}",
        **_state(part),
        "dead": groups,
        "dead_title": f"Which {which} {idle_word(part)}, and when last seen to {_fire(part)}",
        "dead_more": more,
    }


def _state(part: LayerPart) -> dict[str, Any]:
    summary = part.summary
    if not summary.rows:
        return {"deaths": "", "alarm": False, "state": "not observed"}
    fires = "its slope is above 1 % of the greatest" if part.saturates else "fires"
    said = [
        f"{fires} on {share(summary.firing_rate)} of values",
        f"n\u00a0=\u00a0{count(summary.rows, 'row')}",
    ]
    if summary.dying_units:
        which = unit_ranges(summary.dying_units[:20])
        said.insert(0, f"{len(summary.dying_units):,} dying ({which})")
    if summary.dead_units is None:
        return {"deaths": _undying(part), "alarm": False, "state": " · ".join(said)}
    return {
        "deaths": f"{len(summary.dead_units):,} {idle_word(part)}",
        "alarm": summary.at_final_weights and len(summary.dead_units) > 0,
        "state": " · ".join(said),
    }


def _undying(part: LayerPart) -> str:
    """How the units stand of a layer in which none can die."""
    summary = part.summary
    if summary.saturated_units is not None:
        return f"{len(summary.saturated_units):,} {idle_word(part)}"
    if summary.dormant_units:
        which = unit_ranges(summary.dormant_units[:20])
        more = ", …" if len(summary.dormant_units) > 20 else ""
        return f"{len(summary.dormant_units):,} dormant ({which}{more}); its units cannot die"
    return "its units cannot die"


def _fire(part: LayerPart) -> str:
    return "be otherwise" if part.saturates else "fire"


def _picture(part: LayerPart, document: Document, most_columns: int) -> dict[str, Any]:
    if part.heat is None:
        return {"picture": None, "height": 0}
    cells = heatmap.picture(
        part.heat, document.columns, most_columns, can_die=part.can_die or part.saturates
    )
    rows = len(cells)
    factor = min(TALLEST_ROW, max(1, round(240 / rows)))
    encoded = base64.b64encode(heatmap.png(cells)).decode()
    return {
        "picture": f"data:image/png;base64,{encoded}",
        "height": max(min(LEAST_HEIGHT, 24 * rows), rows * factor),
    }


def _table(document: Document) -> dict[str, Any]:
    layers = document.layers
    has_bounds = not document.is_watched or any(part.summary.at_final_weights for part in layers)
    rows = [
        {
            "name": part.shown_name,
            "cells": [
                part.summary.activation,
                f"{part.summary.units:,}",
                share(part.summary.firing_rate),
                *idle_and_dying(part.summary),
                f"{part.summary.rows:,}",
                *(_bounds(part) if has_bounds else ()),
            ],
        }
        for part in document.layers[:MOST_TABLE_ROWS]
    ]
    more = len(document.layers) - len(rows)
    return {
        "table": rows,
        "table_more": f"{count(more, 'more layer')}: see relume report --json." if more else "",
        "has_bounds": has_bounds,
        "bound_in_words": _DEAD + (_BOUND if has_bounds else _WHILE_TRAINING) + _DYING,
    }


def _bounds(part: LayerPart) -> tuple[str, str]:
    held_out = f"{part.summary.held_out_rows:,}" if part.summary.at_final_weights else "—"
    return held_out, upper_bound(part.firing_probability_bound)


def _details(document: Document) -> dict[str, Any]:
    notes = document.data.get("notes")
    data = {key: value for key, value in document.data.items() if key != "notes"}
    return {
        "notes": [printable(note) for note in notes[:20]] if isinstance(notes, list) else [],
        "data": _facts(data),
        "settings": _facts(document.settings),
        "environment": _facts(document.environment),
    }


def _facts(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (printable(name, 60).replace("_", " "), printable(describe(value), 120))
        for name, value in list(given.items())[:MOST_FACTS]
    ]


def _any(values: Sequence[float]) -> bool:
    return any(math.isfinite(value) for value in values)
