"""Units that sit where their activation is flat on both sides: their gradient is nearly zero.

What it detects
    Units of a bounded activation (tanh, sigmoid, ...) whose slope was under 1 % of the greatest on
    at least nine in ten of the last values. LSTM and GRU gates are left out: they saturate by
    nature. So is the activation that makes the prediction, unless the training does poorly:
    confident outputs saturate. Or else a layer of which half of all values lay where the slope is
    that flat, in the first window and still at the end: it was driven there from the start.

Why it matters
    A hundredth of the gradient passes: the unit is stuck at two constants, or one.

What else it could be
    Units that have learned to switch, late in a training that does well (a note).

Remedies, with safety
    Scale the inputs (changes training); smaller initial weights (Xavier; changes training); lower
    the rate (changes training); a norm layer before the activation (changes model).

Options
    ``ACTIVE_RATE`` 0.1: of the values of a unit, at most this share lies where the slope is not
    flat. ``NOTE_SHARE`` 0.1 of a layer. ``WARNING_SHARE`` 0.3, where the training does poorly.
    ``MOST`` 0.5: from this share on a warning in any case, since well-trained layers keep most of
    their units off the flat parts; of a layer's values likewise, at first and at last: layers
    that are initialised as usual begin with next to none there.

References:
    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, section 3.
"""

from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import does_poorly, severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, is_head, is_inside_gates, unit_finding
from relume.runs.summary import LayerSummary

ACTIVE_RATE = 0.1
NOTE_SHARE = 0.1
WARNING_SHARE = 0.3
MOST = 0.5

REMEDIES = (
    Advice("scale the inputs to zero mean and unit variance", Safety.CHANGES_TRAINING),
    Advice("start with smaller weights (Xavier's scheme)", Safety.CHANGES_TRAINING),
    Advice("lower the learning rate", Safety.CHANGES_TRAINING),
    Advice("put a norm layer before the activation", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer with many saturated units."""
    for index, layer in enumerate(reading.layers):
        if layer.saturated_units is None:
            continue
        if layer.rows < FEWEST_ROWS or _is_meant(reading, index):
            continue
        rates = reading.activity(index).firing_rate
        saturated = np.flatnonzero(rates <= ACTIVE_RATE).tolist()
        half = np.flatnonzero(rates <= MOST).tolist()
        if len(saturated) >= NOTE_SHARE * layer.units:
            yield _saturated(reading, layer, saturated)
        elif len(half) >= MOST * layer.units and _is_flat_throughout(reading, index):
            yield _flat(layer, half)


def _saturated(reading: Reading, layer: LayerSummary, units: list[int]) -> Finding:
    return unit_finding(
        Code.SATURATED_UNITS,
        layer,
        units,
        severity=_severity(reading, len(units) / layer.units),
        said="are saturated: their slope was under 1 % of the greatest on "
        "nine in ten of the last values, or more",
        least_share=NOTE_SHARE,
        remedies=REMEDIES,
    )


def _flat(layer: LayerSummary, units: list[int]) -> Finding:
    return unit_finding(
        Code.SATURATED_UNITS,
        layer,
        units,
        severity=Severity.WARNING,
        said="are saturated half of the time: their slope was under 1 % of the greatest on most "
        "values, since the start",
        least_share=MOST,
        since=(1, "they were driven there by the initial weights, or by the inputs"),
        remedies=REMEDIES,
    )


def _is_flat_throughout(reading: Reading, index: int) -> bool:
    """Whether most values of a layer lay on the flat parts, in the first window and at the end."""
    if not reading.windows or reading.windows[0].first_step > 1:
        return False
    seen = (reading.windows[0].layers[index].activity, reading.activity(index))
    return all(float(activity.firing_rate.mean()) <= 1 - MOST for activity in seen)


def _is_meant(reading: Reading, index: int) -> bool:
    layer = reading.layer(index)
    if is_inside_gates(reading, layer):
        return True
    return is_head(reading, layer) and not does_poorly(reading)


def _severity(reading: Reading, share: float) -> Severity:
    if share < WARNING_SHARE:
        return Severity.NOTE
    return severity(reading, is_structural=share >= MOST)


RULE = Rule(
    Code.SATURATED_UNITS,
    "saturated-units",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.VANISHING_GRADIENT,
            Code.STARVED_LAYER,
            Code.UPDATE_RATIO,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.RATE_TOO_LOW,
        }
    ),
)
