"""Units that fired on none of the last rows and get no gradient: they are dead.

What it detects
    Units of an activation with a dead half-line (ReLU and its like) that were silent on every one
    of the n rows seen last (at least 1,000, or all of fewer on which they would have fired 100
    times at their earlier rate), so that each of them got gradient exactly zero.

Why it matters
    A unit without gradient never changes again: capacity is lost, silently. A few dead units are
    normal in wide layers; many mean that the rate, the initialisation or the inputs are wrong.

What else it could be
    Silent on this sample only: rows of another kind may still wake it (n is stated). Pruning or a
    strong L1 penalty make units silent on purpose: while the training does well, gradual deaths
    are a note.

Remedies, with safety
    Lower or warm up the rate (changes training); scale the inputs (changes training); He
    initialisation (changes training); a leaky activation (changes model).

Options
    ``NOTE_SHARE`` 0.01: below this share of a layer nothing is said. ``WARNING_SHARE`` 0.2: from
    this share on it is a warning where the training does poorly, since a fifth of a layer is more
    than networks that train well lose by the way. ``SUDDEN_SHARE`` 0.5: from this share on, it is
    one in any case if most of them died suddenly, which no penalty does.

References:
    Lu et al., "Dying ReLU and initialization", Commun. Comput. Phys. 28(5), 2020.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, story, unit_finding
from relume.runs.records import Cause
from relume.runs.summary import LayerSummary

NOTE_SHARE = 0.01
WARNING_SHARE = 0.2
SUDDEN_SHARE = 0.5
SUDDEN = {cause.name.lower() for cause in (Cause.LARGE_UPDATE, Cause.GRADIENT_SPIKE)} | {
    Cause.RATE_STEP.name.lower()
}

REMEDIES = (
    Advice("lower the learning rate, or warm it up", Safety.CHANGES_TRAINING),
    Advice("scale the inputs to zero mean and unit variance", Safety.CHANGES_TRAINING),
    Advice("initialise with He's scheme", Safety.CHANGES_TRAINING),
    Advice("use a leaky activation", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer with dead units."""
    if not any(layer.dead_units is not None for layer in reading.layers):
        yield NotJudged(Code.DEAD_UNITS, "no activation whose units can die was observed")
    for layer in reading.layers:
        dead = layer.dead_units or ()
        if dead and layer.rows < FEWEST_ROWS:
            yield NotJudged(
                Code.DEAD_UNITS, f"{layer.name}: only {layer.rows} of {FEWEST_ROWS} rows were seen"
            )
        elif NOTE_SHARE * layer.units <= len(dead) < layer.units and dead:
            yield _found(reading, layer, dead)


def _found(reading: Reading, layer: LayerSummary, dead: tuple[int, ...]) -> Finding:
    groups = reading.deaths_of_layers[layer.name]
    sudden = sum(len(group.units) for group in groups if group.cause in SUDDEN)
    return unit_finding(
        Code.DEAD_UNITS,
        layer,
        dead,
        severity=_severity(reading, len(dead) / layer.units, sudden / layer.units),
        said=f"are dead: they fired on none of {layer.rows:,} rows",
        least_share=NOTE_SHARE,
        since=story(reading, layer),
        remedies=REMEDIES,
    )


def _severity(reading: Reading, share: float, sudden: float) -> Severity:
    if share < WARNING_SHARE:
        return Severity.NOTE
    return severity(reading, is_structural=sudden >= SUDDEN_SHARE)


RULE = Rule(
    Code.DEAD_UNITS,
    "dead-units",
    __doc__ or "",
    check,
    explains=frozenset(
        {Code.NOT_DECREASING, Code.PLATEAU, Code.STARVED_LAYER, Code.CLASS_NEVER_PREDICTED}
    ),
)
