"""A ReLU layer on which nearly every unit fires on every row: it is a linear layer.

What it detects
    A layer of activations with a dead half-line of which at least 95 % of the units fired on at
    least 99.9 % of the last values. The layer that makes the prediction is left out.

Why it matters
    Where every unit fires, ReLU is the identity. If all layers are so, the network is a linear
    model, however deep.

What else it could be
    Inputs and targets whose relation is linear; large biases or a norm's large shift. A single
    linear layer among others does little harm (a note).

Remedies, with safety
    Start the biases at zero (changes training); scale the inputs to zero mean and unit variance
    (changes training); lower the rate (changes training).

Options
    ``FIRING_RATE`` 0.999 and ``SHARE`` 0.95: what is left beyond could only bend the function on
    one row of a thousand, or in one unit of twenty. A warning if it is so of all layers and the
    training does poorly, or, of any layer, the biases began above ``BIAS_RATIO`` 3 row norms of
    the weights, which no usual scheme does.

References:
    Montúfar et al., "On the number of linear regions of deep neural networks", NeurIPS 2014.
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, bias_ratio, is_head, unit_finding

FIRING_RATE = 0.999
SHARE = 0.95
BIAS_RATIO = 3.0
FEWEST_UNITS = 4

REMEDIES = (
    Advice("start the biases at zero", Safety.CHANGES_TRAINING),
    Advice("scale the inputs to zero mean and unit variance", Safety.CHANGES_TRAINING),
    Advice("lower the learning rate", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer that is linear on all that it saw."""
    hidden = [
        index
        for index, layer in enumerate(reading.layers)
        if layer.dead_units is not None
        and layer.rows >= FEWEST_ROWS
        and layer.units >= FEWEST_UNITS
        and not is_head(reading, reading.layer(index))
    ]
    on = {index: _always_on(reading, index) for index in hidden}
    linear = [index for index in hidden if len(on[index]) >= SHARE * reading.layers[index].units]
    for index in linear:
        ratio = bias_ratio(reading, reading.layer(index).owner)
        yield unit_finding(
            Code.ALWAYS_ON,
            reading.layers[index],
            on[index],
            severity=_severity(reading, ratio, are_all=len(linear) == len(hidden)),
            said="fire on every row, or nearly: the layer is linear",
            least_share=SHARE,
            since=(
                1,
                f"the biases began far above zero: on average {ratio:.2g} times the norm of a row",
            )
            if ratio > BIAS_RATIO
            else (None, ""),
            remedies=REMEDIES,
        )


def _always_on(reading: Reading, index: int) -> list[int]:
    units: list[int] = np.flatnonzero(reading.activity(index).firing_rate >= FIRING_RATE).tolist()
    return units


def _severity(reading: Reading, ratio: float, *, are_all: bool) -> Severity:
    if math.isfinite(ratio) and ratio > BIAS_RATIO:
        return Severity.WARNING
    return severity(reading) if are_all else Severity.NOTE


RULE = Rule(
    Code.ALWAYS_ON,
    "always-on",
    __doc__ or "",
    check,
    explains=frozenset({Code.NOT_DECREASING, Code.PLATEAU, Code.RATE_TOO_HIGH}),
)
