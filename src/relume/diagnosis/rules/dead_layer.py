"""A layer of which every unit is dead: nothing passes it, and nothing before it learns.

What it detects
    A layer of activations with a dead half-line of which no unit fired on any of the last rows.
    One that puts out nan is not judged.

Why it matters
    Its output is constant, so that the network computes a constant unless a shortcut leads around
    it; every weight before it gets gradient exactly zero, for good.

What else it could be
    A branch that a shortcut leads around: then the training does well, and it is a warning.

Remedies, with safety
    Lower or warm up the rate (changes training); scale the inputs (changes training); start the
    biases at zero, with He's scheme (changes training); start again: it does not come back.

Options
    None: all units or not.

References:
    Lu et al., "Dying ReLU and initialization", Commun. Comput. Phys. 28(5), 2020.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import does_well
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, is_finite, story, unit_finding
from relume.runs.summary import LayerSummary

REMEDIES = (
    Advice("lower the learning rate, or warm it up, and start again", Safety.CHANGES_TRAINING),
    Advice("scale the inputs to zero mean and unit variance", Safety.CHANGES_TRAINING),
    Advice("start the biases at zero, and the weights with He's scheme", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer that is dead as a whole."""
    for layer in reading.layers:
        dead = layer.dead_units or ()
        if len(dead) < layer.units or not is_finite(reading, layer):
            continue
        if layer.rows < FEWEST_ROWS:
            yield NotJudged(
                Code.DEAD_LAYER, f"{layer.name}: only {layer.rows} of {FEWEST_ROWS} rows were seen"
            )
        else:
            yield _found(reading, layer, dead)


def _found(reading: Reading, layer: LayerSummary, dead: tuple[int, ...]) -> Finding:
    return unit_finding(
        Code.DEAD_LAYER,
        layer,
        dead,
        severity=Severity.WARNING if does_well(reading) else Severity.ERROR,
        said=f"are dead, the whole layer: none fired on any of {layer.rows:,} rows",
        least_share=1.0,
        since=story(reading, layer, latest=True),
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.DEAD_LAYER,
    "dead-layer",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.DEAD_UNITS,
            Code.DEAD_AT_START,
            Code.NO_GRADIENT,
            Code.VANISHING_GRADIENT,
            Code.STARVED_LAYER,
            Code.UPDATE_RATIO,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.RATE_TOO_LOW,
            Code.CLASS_NEVER_PREDICTED,
            Code.OSCILLATING,
        }
    ),
)
