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
    strong L1 penalty make units silent on purpose.

Remedies, with safety
    Lower or warm up the rate (changes training); scale the inputs (changes training); He
    initialisation (changes training); a leaky activation (changes model).

Options
    ``NOTE_SHARE``: below this share of a layer nothing is said; ``WARNING_SHARE``: from this share
    on it is a warning.

References:
    Lu et al., "Dying ReLU and initialization", Commun. Comput. Phys. 28(5), 2020.
"""

from collections import Counter
from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.records import Cause

NOTE_SHARE = 0.01
WARNING_SHARE = 0.2

REMEDIES = (
    Advice("lower the learning rate, or warm it up", Safety.CHANGES_TRAINING),
    Advice("scale the inputs to zero mean and unit variance", Safety.CHANGES_TRAINING),
    Advice("initialise with He's scheme", Safety.CHANGES_TRAINING),
    Advice("use a leaky activation", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer with dead units."""
    if not reading.layers:
        yield NotJudged(Code.DEAD_UNITS, "no activation was observed")
    for index, layer in enumerate(reading.layers):
        dead = layer.dead_units or ()
        share = len(dead) / layer.units
        if share < NOTE_SHARE or len(dead) == layer.units:
            continue
        cause, steps = _story(reading, index, dead)
        yield Finding(
            code=Code.DEAD_UNITS,
            severity=Severity.WARNING if share >= WARNING_SHARE else Severity.NOTE,
            message=f"{len(dead)} of {layer.units} units of {layer.name} are dead: "
            f"they fired on none of {layer.rows:,} rows",
            where=f"{layer.name} ({layer.place})" if layer.place else layer.name,
            units=dead,
            first_step=min(steps, default=None),
            evidence={"dead": len(dead), "units": layer.units, "rows": layer.rows, "share": share},
            cause=cause,
            strength=share / NOTE_SHARE,
            remedies=REMEDIES,
        )


def _story(reading: Reading, index: int, dead: tuple[int, ...]) -> tuple[str, list[int]]:
    """Return the commonest cause, and the steps on which the units fell silent."""
    if index >= len(reading.run.deaths):
        return "", []
    deaths = reading.run.deaths[index]
    steps = [int(step) for step in deaths.first_silent[list(dead)] if step >= 0]
    (code, _), *_ = Counter(int(code) for code in deaths.cause[list(dead)]).most_common()
    causes = {
        Cause.FROM_START: "silent since the first step that was seen",
        Cause.LARGE_UPDATE: "an update moved their weights by many times its usual size",
        Cause.GRADIENT_SPIKE: "a spike in the gradient",
        Cause.RATE_STEP: "a step in the learning rate",
        Cause.INPUT_DRIFT: "their inputs drifted",
        Cause.UPSTREAM_DEATH: "a layer before them died",
    }
    return causes.get(Cause(code), ""), steps


RULE = Rule(
    Code.DEAD_UNITS,
    "dead-units",
    __doc__ or "",
    check,
    explains=frozenset({Code.NOT_DECREASING, Code.PLATEAU, Code.STARVED_LAYER}),
)
