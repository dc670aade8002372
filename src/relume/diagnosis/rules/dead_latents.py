"""Dead units in the narrowest layer of a network that rebuilds its input.

What it detects
    In a network that gives back as many values per row as it was given (an autoencoder), by its
    loss or by the widths of its first and last matrix, dead units in the activation of the layer
    with the fewest units. Codes without an activation are not judged.

Why it matters
    All that is known of a row passes that layer: each dead unit is a dimension of the code lost.

What else it could be
    Data of fewer dimensions than the code has; a penalty that switches latents off on purpose.

Remedies, with safety
    No ReLU on the code: leave it linear (changes model); lower the rate (changes training); start
    the biases at zero (changes training); weaken or anneal the penalty on the code (changes
    training).

Options
    ``NOTE_SHARE`` 0.1 of the code. ``WARNING_SHARE`` 0.25, since a quarter of a bottleneck is
    lost information and not spare width; a note below.

References:
    Bowman et al., "Generating sentences from a continuous space", CoNLL 2016 (collapsed codes);
    Burda et al., "Importance weighted autoencoders", ICLR 2016 (active units).
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, story, unit_finding
from relume.runs.facts import InputFacts, Phase, WeightFacts

NOTE_SHARE = 0.1
WARNING_SHARE = 0.25

REMEDIES = (
    Advice("leave the code linear: no ReLU on it", Safety.CHANGES_MODEL),
    Advice("lower the learning rate", Safety.CHANGES_TRAINING),
    Advice("start the biases at zero", Safety.CHANGES_TRAINING),
    Advice("weaken or anneal a penalty on the code", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding if units of the code are dead."""
    code = _narrowest(reading)
    if code is not None and not (_is_rebuilding(reading) or _is_hourglass(reading, code)):
        code = None
    if code is None:
        return
    module = code.name.rpartition(".")[0]
    index = next((i for i, layer in enumerate(reading.run.layers) if layer.owner == module), None)
    if index is None or index >= len(reading.layers) or reading.layers[index].dead_units is None:
        yield NotJudged(
            Code.DEAD_LATENTS, f"the code ({module}) has no activation whose units can die"
        )
        return
    layer = reading.layers[index]
    dead = layer.dead_units or ()
    share = len(dead) / layer.units
    if share >= NOTE_SHARE and layer.rows >= FEWEST_ROWS:
        yield unit_finding(
            Code.DEAD_LATENTS,
            layer,
            dead,
            severity=Severity.WARNING if share >= WARNING_SHARE else Severity.NOTE,
            said=f"are dead, and all that is known of a row passes them ({layer.rows:,} rows)",
            least_share=NOTE_SHARE,
            since=story(reading, layer),
            remedies=REMEDIES,
        )


def _is_rebuilding(reading: Reading) -> bool:
    """Whether the loss compares as many amounts per row as the network was given."""
    sizes = {
        math.prod(fact.shape[1:])
        for fact in reading.run.of(InputFacts)
        if fact.phase == Phase.TRAINING and not fact.is_integer and len(fact.shape) > 1
    }
    return any(
        loss.target_kind != "classes"
        and len(loss.target_shape) > 1
        and math.prod(loss.target_shape[1:]) in sizes - {1}
        for loss in reading.training_losses
    )


def _is_hourglass(reading: Reading, code: WeightFacts) -> bool:
    """Whether the head makes as many values as the first matrix takes, and the code half of it."""
    heads = {f"{loss.head_layer}.weight" for loss in reading.training_losses}
    ends = [fact for name, fact in reading.weights.items() if name in heads]
    first = min(
        (fact for fact in reading.weights.values() if len(fact.shape) == 2),
        key=lambda fact: _order(reading, fact),
    )
    return any(end.shape[0] == first.shape[1] >= 2 * code.shape[0] for end in ends)


def _order(reading: Reading, fact: WeightFacts) -> float:
    module = reading.modules.get(fact.name.rpartition(".")[0])
    return module.order if module is not None and module.order >= 0 else math.inf


def _narrowest(reading: Reading) -> WeightFacts | None:
    """Return the matrix that makes the fewest units, if it is narrower than its neighbours."""
    dense = [fact for fact in reading.weights.values() if len(fact.shape) == 2]
    widths = [fact.shape[0] for fact in dense]
    narrow = min(dense, key=lambda fact: fact.shape[0], default=None)
    is_code = narrow is not None and max(widths) > narrow.shape[0] < narrow.shape[1]
    return narrow if is_code else None


RULE = Rule(
    Code.DEAD_LATENTS,
    "dead-latents",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.DEAD_UNITS,
            Code.DEAD_AT_START,
            Code.DEAD_LAYER,
            Code.NO_GRADIENT,
            Code.VANISHING_GRADIENT,
            Code.STARVED_LAYER,
            Code.UPDATE_RATIO,
            Code.NOT_DECREASING,
            Code.PLATEAU,
        }
    ),
)
