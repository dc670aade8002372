"""What the page shows of the units as they stand at the end, and of those that died."""

import base64
from collections.abc import Sequence
from typing import Any

from relume.report import cells
from relume.report.parts import DeadUnit, Document, LayerPart

CAUSES = {
    "from_start": "it was never seen to fire",
    "large_update": "an update changed its weights much",
    "gradient_spike": "a spike of the gradient",
    "rate_step": "a step of the learning rate",
    "input_drift": "its inputs drifted",
    "upstream_death": "units that feed it had died",
    "": "the cause is not known",
}


def idle_word(part: LayerPart) -> str:
    """Return what is said of the units of a layer that do nothing."""
    word = "saturated" if part.saturates else "silent"
    if part.summary.at_final_weights:
        return word if part.saturates else "dead"
    return f"{word} in the last steps seen"


def cell_picture(part: LayerPart) -> dict[str, Any]:
    """Return the picture of a layer's units: a cell a unit."""
    if part.cells is None:
        return {"cells": None, "cells_width": 0}
    pixels = cells.picture(part.cells, part.summary.units)
    encoded = base64.b64encode(cells.png(pixels)).decode()
    return {
        "cells": f"data:image/png;base64,{encoded}",
        "cells_width": pixels.shape[1],
        "cells_height": pixels.shape[0],
    }


def cell_data(parts: Sequence[LayerPart]) -> list[dict[str, Any]]:
    """Return what the page's script tells of a cell, layer by layer."""
    return [_told(part) for part in parts]


def grouping(document: Document) -> str:
    """Return what a cell is."""
    known = (part.cells.units_per_cell for part in document.layers if part.cells is not None)
    most = max(known, default=1)
    return "one unit" if most == 1 else f"{most:,} neighbouring units, for the network is large"


def _told(part: LayerPart) -> dict[str, Any]:
    if part.cells is None:
        return {"name": part.shown_name, "units": 0}
    return {
        "name": part.shown_name,
        **cells.described(part.cells, part.summary.units),
        "rows": part.summary.rows,
        "word": idle_word(part),
        "fires": "not saturated" if part.saturates else "fires",
        "dying": list(part.summary.dying_units or ())[:200],
        "certificates": _certificates(part.dead),
    }


def _certificates(dead: Sequence[DeadUnit]) -> dict[str, list[Any]]:
    """The certificates by columns: units, last firing, first silence, cause, change of weights."""
    names = ("unit", "last_fired", "first_silent", "row_change")
    causes = list(CAUSES)
    return {
        **{name: [getattr(unit, name) for unit in dead] for name in names},
        "cause": [causes.index(unit.cause) for unit in dead],
    }
