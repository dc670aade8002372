"""Units that sit where their activation is flat on both sides: their gradient is nearly zero.

What it detects
    Units of a bounded activation (tanh, sigmoid, ...) whose slope was under 1 % of the greatest on
    at least nine in ten of the last values. LSTM and GRU gates are left out: they saturate by
    nature. So is the activation that makes the prediction, unless the training does poorly:
    confident outputs saturate.

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
    their units off the flat parts.

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
        saturated = np.flatnonzero(reading.activity(index).firing_rate <= ACTIVE_RATE).tolist()
        share = len(saturated) / layer.units
        if share < NOTE_SHARE or layer.rows < FEWEST_ROWS or _is_meant(reading, index):
            continue
        yield unit_finding(
            Code.SATURATED_UNITS,
            layer,
            saturated,
            severity=_severity(reading, share),
            said="are saturated: their slope was under 1 % of the greatest on "
            "nine in ten of the last values, or more",
            least_share=NOTE_SHARE,
            remedies=REMEDIES,
        )


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
