"""What findings about the units of a layer have in common."""

import math
from collections.abc import Sequence

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, Severity
from relume.diagnosis.reading import Reading
from relume.runs.facts import LossFacts
from relume.runs.records import Layer
from relume.runs.summary import LayerSummary
from relume.runs.wording import at_place

FEWEST_ROWS = 100
"""Rows below which nothing is said of units: one that fires on 3 % of rows is silent on them by
chance in 1 of 20 cases."""


def unit_finding(
    code: Code,
    layer: LayerSummary,
    units: Sequence[int],
    *,
    severity: Severity,
    said: str,
    least_share: float,
    remedies: tuple[Advice, ...],
    since: tuple[int | None, str] = (None, ""),
) -> Finding:
    """Return a finding about some units of a layer.

    Args:
        code: Of the rule.
        layer: How the layer stands.
        units: The units meant.
        severity: How grave it is.
        said: What they are or do, to follow "3 of 64 units of relu(fc1)".
        least_share: The share of the layer from which on something is said.
        remedies: What to do.
        since: Since which step, and why.
    """
    share = len(units) / layer.units
    return Finding(
        code=code,
        severity=severity,
        message=f"{len(units)} of {layer.units} units of {layer.name} {said}",
        where=at_place(layer.name, layer.place),
        units=tuple(units),
        first_step=since[0],
        evidence={
            "count": len(units),
            "units": layer.units,
            "share": share,
            "rows": layer.rows,
            "least_share": least_share,
        },
        cause=since[1],
        strength=max(1.0, share / least_share),
        remedies=remedies,
    )


def story(reading: Reading, layer: LayerSummary, *, latest: bool = False) -> tuple[int | None, str]:
    """Return when the largest group of dead units of a layer fell silent, or the last, and why."""
    groups = reading.deaths_of_layers[layer.name]
    if not groups:
        return None, ""
    last = max(group.first_silent for group in groups)
    return last if latest else groups[0].first_silent, groups[0].said


def is_finite(reading: Reading, layer: LayerSummary) -> bool:
    """Whether what a layer put out last is numbers: one that is nan does not fire, and lives."""
    index = next(i for i, each in enumerate(reading.layers) if each is layer)
    return not np.isnan(reading.activity(index).total).any()


def is_head(reading: Reading, layer: Layer) -> bool:
    """Whether an activation makes the prediction that a loss compares."""
    return any(
        fact.head and fact.head_layer == layer.owner and layer.activation in fact.head
        for fact in reading.run.of(LossFacts)
    )


def is_inside_gates(reading: Reading, layer: Layer) -> bool:
    """Whether an activation belongs to an LSTM or a GRU, of which gates saturate by nature."""
    names = {layer.name, layer.owner or ""}
    kinds = {reading.modules[name].kind for name in names if name in reading.modules}
    return any(kind.startswith(("LSTM", "GRU")) for kind in kinds)


def bias_ratio(reading: Reading, owner: str | None) -> float:
    """Return the mean of the biases at first over the norm of a row; nan where not known."""
    weight, bias = (reading.weights.get(f"{owner}.{part}") for part in ("weight", "bias"))
    if weight is None or bias is None or not weight.initial.count:
        return math.nan
    square = weight.initial.mean**2 + weight.initial.deviation**2
    row = math.sqrt(square * weight.initial.count / weight.shape[0])
    return bias.initial.mean / row if row > 0 else math.nan
