"""Units that hardly do anything: their output is a fortieth of the layer's usual, or less.

What it detects
    Of an activation that can neither die nor saturate (GELU, SiLU, ELU, leaky ReLU, PReLU), the
    units whose root mean square over the last rows is at most 0.025 of the mean over the layer.

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
    training does poorly.

References:
    Sokar et al., "The dormant neuron phenomenon in deep reinforcement learning", ICML 2023,
    arXiv:2302.12902.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, unit_finding

NOTE_SHARE = 0.1
WARNING_SHARE = 0.3

REMEDIES = (
    Advice("initialise with the gain of the activation", Safety.CHANGES_TRAINING),
    Advice("lower the learning rate, or warm it up", Safety.CHANGES_TRAINING),
    Advice("scale the inputs to zero mean and unit variance", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each layer with many dormant units."""
    for layer in reading.layers:
        dormant = layer.dormant_units or ()
        share = len(dormant) / layer.units
        if share < NOTE_SHARE or layer.rows < FEWEST_ROWS:
            continue
        is_many = share >= WARNING_SHARE
        yield unit_finding(
            Code.DORMANT_UNITS,
            layer,
            dormant,
            severity=severity(reading) if is_many else Severity.NOTE,
            said="are dormant: their output is at most 2.5 % of the layer's usual",
            least_share=NOTE_SHARE,
            remedies=REMEDIES,
        )


RULE = Rule(
    Code.DORMANT_UNITS,
    "dormant-units",
    __doc__ or "",
    check,
    explains=frozenset({Code.STARVED_LAYER, Code.NOT_DECREASING, Code.PLATEAU}),
)
