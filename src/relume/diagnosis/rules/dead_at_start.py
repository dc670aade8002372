"""Units that never fired since the first step: the network began with them dead.

What it detects
    Dead units of which not one firing is on record, in a training that was seen from its first
    step. Units that put out nan are not judged.

Why it matters
    No gradient ever reached them: the layer is narrower than it was written, from the start.

What else it could be
    Deep networks with small default weights start with units that their inputs hardly move: some
    never fire, and the training does well without them (a note).

Remedies, with safety
    Start biases at zero (changes training); He initialisation (changes training); scale the inputs
    to zero mean and unit variance (changes training).

Options
    ``NOTE_SHARE`` 0.05 of a layer. ``WARNING_SHARE`` 0.2, where the training does poorly: default
    initialisation leaves as much in healthy networks. ``BIAS_RATIO`` 1: a warning in any case if
    from ``WARNING_SHARE`` on the biases began further below zero than the row norm of the weights,
    which no usual scheme does. ``PATH`` 0.4: weights that have not moved by this share of their
    norm in all are those of the start, and what it left silent is not why nothing was learned,
    unless it is the whole layer.

References:
    Lu et al., "Dying ReLU and initialization", Commun. Comput. Phys. 28(5), 2020, theorem 1.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, bias_ratio, is_finite, unit_finding
from relume.runs.records import NEVER
from relume.runs.summary import LayerSummary

NOTE_SHARE = 0.05
WARNING_SHARE = 0.2
BIAS_RATIO = 1.0
PATH = 0.4

REMEDIES = (
    Advice("start the biases at zero", Safety.CHANGES_TRAINING),
    Advice("initialise with He's scheme", Safety.CHANGES_TRAINING),
    Advice("scale the inputs to zero mean and unit variance", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer with units that never fired."""
    if not reading.run.deaths:
        yield NotJudged(Code.DEAD_AT_START, "no death certificates were recorded")
        return
    if reading.windows and reading.windows[0].first_step > 1:
        yield NotJudged(Code.DEAD_AT_START, "the first step was not seen")
        return
    for index, layer in enumerate(reading.layers[: len(reading.run.deaths)]):
        last_fired = reading.run.deaths[index].last_fired
        units = tuple(unit for unit in layer.dead_units or () if last_fired[unit] == NEVER)
        is_judged = layer.rows >= FEWEST_ROWS and is_finite(reading, layer)
        if units and len(units) >= NOTE_SHARE * layer.units and is_judged:
            yield _found(reading, index, layer, units)


def _found(reading: Reading, index: int, layer: LayerSummary, units: tuple[int, ...]) -> Finding:
    ratio = bias_ratio(reading, reading.layer(index).owner)
    is_many = len(units) >= WARNING_SHARE * layer.units
    is_structural = ratio < -BIAS_RATIO
    has_moved = not reading.path < PATH or len(units) == layer.units
    is_grave = is_many and (is_structural or has_moved)
    return unit_finding(
        Code.DEAD_AT_START,
        layer,
        units,
        severity=severity(reading, is_structural=is_structural) if is_grave else Severity.NOTE,
        said="have not fired since the first step",
        least_share=NOTE_SHARE,
        since=(1, _cause(ratio)),
        remedies=REMEDIES,
    )


def _cause(ratio: float) -> str:
    if ratio < -BIAS_RATIO:
        return f"the biases began far below zero: on average {ratio:.2g} times the norm of a row"
    return ""


RULE = Rule(
    Code.DEAD_AT_START,
    "dead-at-start",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.DEAD_UNITS,
            Code.NO_GRADIENT,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.STARVED_LAYER,
            Code.CLASS_NEVER_PREDICTED,
        }
    ),
)
