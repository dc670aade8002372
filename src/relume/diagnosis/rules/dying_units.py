"""Units whose firing fades: they still fire, rarely, and less from window to window.

What it detects
    Units of an activation with a dead half-line that fired on under 1 % of the last values and
    under a quarter of their best, with a falling trend over the last windows (Mann-Kendall,
    p < 0.01).

Why it matters
    They are about to die, while they can still be saved: a unit that fires gets a gradient.

What else it could be
    Units that become selective, as sparse codes do: these level off above zero.

Remedies, with safety
    Lower the rate (changes training); less weight decay or L1 on these weights (changes training);
    a leaky activation (changes model).

Options
    ``NOTE_SHARE`` 0.05 of a layer: at p < 0.01, one unit of a hundred falls by chance.
    ``WARNING_SHARE`` 0.2, where the training does poorly.

References:
    Mann, "Nonparametric tests against trend", Econometrica 13(3), 1945.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import unit_finding
from relume.runs.summary import FEWEST_TREND_WINDOWS

NOTE_SHARE = 0.05
WARNING_SHARE = 0.2

REMEDIES = (
    Advice("lower the learning rate", Safety.CHANGES_TRAINING),
    Advice("weaken weight decay or an L1 penalty on these weights", Safety.CHANGES_TRAINING),
    Advice("use a leaky activation", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer with units that are dying."""
    mortal = [layer for layer in reading.layers if layer.dead_units is not None]
    if mortal and len(reading.windows) < FEWEST_TREND_WINDOWS:
        yield NotJudged(
            Code.DYING_UNITS,
            f"a trend needs {FEWEST_TREND_WINDOWS} windows; there are {len(reading.windows)}",
        )
    for layer in mortal:
        dying = layer.dying_units or ()
        share = len(dying) / layer.units
        if not dying or share < NOTE_SHARE:
            continue
        is_many = share >= WARNING_SHARE
        yield unit_finding(
            Code.DYING_UNITS,
            layer,
            dying,
            severity=severity(reading) if is_many else Severity.NOTE,
            said="are dying: they fire on under 1 % of values, and ever less",
            least_share=NOTE_SHARE,
            remedies=REMEDIES,
        )


RULE = Rule(
    Code.DYING_UNITS,
    "dying-units",
    __doc__ or "",
    check,
    explains=frozenset({Code.DEAD_UNITS, Code.DEAD_LAYER, Code.STARVED_LAYER, Code.PLATEAU}),
)
