"""Units that hardly do anything: their output is next to nothing, or began as a constant.

What it detects
    Of an activation that can neither die nor saturate (GELU, SiLU, ELU, leaky ReLU, PReLU), the
    units whose root mean square over the last rows is at most 0.025 of the mean over the layer. Or
    else the units that began as constants: over the first window of a training that was seen from
    its first step, their output varied by at most a tenth of what the layer's lively units (its
    90 % quantile) do, though on average they lay on the lively side of the activation on at least
    a quarter of the values. Units whose inputs keep them on its weak side are as still, and well.

Why it matters
    Such a unit adds nothing, and its gradient is as small as its output: capacity is lost, though
    not for good as with a dead one.

What else it could be
    A wide layer that needs few of its units; a sparse code. Then the training does well (a note).

Remedies, with safety
    Initialise with the activation's gain (changes training); lower the rate (changes training);
    scale the inputs (changes training).

Options
    ``NOTE_SHARE`` 0.1 of a layer: some idle units are normal. ``WARNING_SHARE`` 0.3, where the
    training does poorly. ``STILL`` 0.1: what a unit varies by, beside the lively ones, and
    ``FIRING`` 0.25: on how many values such units are above zero. A warning from ``STILL_SHARE``
    0.2 of a layer on, since initial weights drawn alike leave at most a sixteenth so still.

References:
    Sokar et al., "The dormant neuron phenomenon in deep reinforcement learning", ICML 2023,
    arXiv:2302.12902.
"""

from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, is_head, is_inside_gates, unit_finding
from relume.runs.records import Layer
from relume.runs.summary import LayerSummary

NOTE_SHARE = 0.1
WARNING_SHARE = 0.3
STILL = 0.1
STILL_SHARE = 0.2
FIRING = 0.25
LIVELY = 0.9
FEWEST_UNITS = 8

REMEDIES = (
    Advice("initialise with the gain of the activation", Safety.CHANGES_TRAINING),
    Advice("lower the learning rate, or warm it up", Safety.CHANGES_TRAINING),
    Advice("scale the inputs to zero mean and unit variance", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer with many dormant units."""
    for index, layer in enumerate(reading.layers):
        if layer.dormant_units is None or layer.rows < FEWEST_ROWS:
            continue
        still = _still_at_first(reading, index)
        dormant = layer.dormant_units
        if still and len(still) >= STILL_SHARE * layer.units:
            yield _began_still(layer, still)
        elif dormant and len(dormant) >= NOTE_SHARE * layer.units:
            yield _dormant(reading, layer, dormant)


def _dormant(reading: Reading, layer: LayerSummary, dormant: tuple[int, ...]) -> Finding:
    is_many = len(dormant) >= WARNING_SHARE * layer.units
    return unit_finding(
        Code.DORMANT_UNITS,
        layer,
        dormant,
        severity=severity(reading) if is_many else Severity.NOTE,
        said="are dormant: their output is at most 2.5 % of the layer's usual",
        least_share=NOTE_SHARE,
        remedies=REMEDIES,
    )


def _began_still(layer: LayerSummary, still: tuple[int, ...]) -> Finding:
    return unit_finding(
        Code.DORMANT_UNITS,
        layer,
        still,
        severity=Severity.WARNING,
        said="began dormant: their output hardly changed from row to row",
        least_share=STILL_SHARE,
        since=(1, "they began with next to no weights, or where the activation is flat"),
        remedies=REMEDIES,
    )


def _still_at_first(reading: Reading, index: int) -> tuple[int, ...]:
    """Return the units that put out next to a constant over the first window, and not for rest."""
    layer = reading.layer(index)
    if layer.units < FEWEST_UNITS or not reading.windows or reading.windows[0].first_step > 1:
        return ()
    if is_head(reading, layer) or is_inside_gates(reading, layer) or _is_fed_by_one(reading, layer):
        return ()
    activity = reading.windows[0].layers[index].activity
    if activity.rows < FEWEST_ROWS:
        return ()
    varied = np.sqrt(np.maximum(activity.root_mean_square**2 - activity.mean**2, 0))
    if not np.isfinite(varied).all():
        return ()
    still = np.flatnonzero(varied <= STILL * np.quantile(varied, LIVELY))
    is_lively = len(still) > 0 and float(activity.firing_rate[still].mean()) >= FIRING
    return tuple(still.tolist()) if is_lively else ()


def _is_fed_by_one(reading: Reading, layer: Layer) -> bool:
    """Whether each unit has one weight, of which any may be small by chance."""
    weight = reading.weights.get(f"{layer.owner}.weight")
    return weight is not None and weight.fan_in == 1


RULE = Rule(
    Code.DORMANT_UNITS,
    "dormant-units",
    __doc__ or "",
    check,
    explains=frozenset({Code.STARVED_LAYER, Code.NOT_DECREASING, Code.PLATEAU}),
)
