"""Dead units, or an ignored code, in the narrowest layer of a network that rebuilds its input.

What it detects
    In a network that gives back as many values per row as it was given (an autoencoder), by its
    loss or by the widths of its first and last matrix, dead units in the activation of the layer
    with the fewest units. Of a code without an activation, as a variational one: that it is
    ignored, since the weights that read it shrink while the first layer's do not, and those that
    make it get less and less gradient; or since the squared error stands still where rebuilding
    each feature by its mean would leave it, which needs no code.

Why it matters
    All that is known of a row passes that layer: each dead unit is a dimension of the code lost.

What else it could be
    Data of fewer dimensions than the code has; a penalty that switches latents off on purpose. A
    rectified code loses up to half of its units by nature: a note.

Remedies, with safety
    No ReLU on the code: leave it linear (changes model); lower the rate (changes training); start
    the biases at zero (changes training); weaken or anneal the penalty on the code (changes
    training).

Options
    ``NOTE_SHARE`` 0.1 of the code. ``WARNING_SHARE`` 0.25 where the training does poorly, since a
    quarter of a bottleneck is lost information and not spare width. ``NEARLY_ALL`` 0.9: from
    there on a warning in any case. ``SHRUNK`` 0.8: what reads an ignored code ends at this share
    of its first norm or below, and the first layer at ``KEPT`` 0.9 or above; ``FADED`` 0.2: the
    share of its first gradient that what makes the code gets at the end. ``NEAR`` 0.1: how far
    the loss may lie off the mean variance of the features, and ``NEAR_SOME`` 0.25 where the
    variances of some of them are known alone.

References:
    Bowman et al., "Generating sentences from a continuous space", CoNLL 2016 (collapsed codes);
    Burda et al., "Importance weighted autoencoders", ICLR 2016 (active units).
"""

import math
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import is_by_hand
from relume.diagnosis.progress import severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.diagnosis.unit_finding import FEWEST_ROWS, story, unit_finding
from relume.runs.facts import InputFacts, Phase, WeightFacts
from relume.runs.records import Sums
from relume.runs.wording import short

NOTE_SHARE = 0.1
WARNING_SHARE = 0.25
NEARLY_ALL = 0.9
SHRUNK = 0.8
KEPT = 0.9
FADED = 0.2
FEWEST_WINDOWS = 3
NEAR, NEAR_SOME = 0.1, 0.25
STILL = 0.05
FEWEST_PATH = 0.4

REMEDIES = (
    Advice("leave the code linear: no ReLU on it", Safety.CHANGES_MODEL),
    Advice("lower the learning rate", Safety.CHANGES_TRAINING),
    Advice("start the biases at zero", Safety.CHANGES_TRAINING),
    Advice("weaken or anneal a penalty on the code", Safety.CHANGES_TRAINING),
)

LINEAR_REMEDIES = (
    Advice("weaken the penalty on the code, or anneal it", Safety.CHANGES_TRAINING),
    Advice("lower the learning rate", Safety.CHANGES_TRAINING),
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
    if index is None or index >= len(reading.layers):
        yield _of_linear_code(reading, code)
    elif reading.layers[index].dead_units is None:
        yield NotJudged(Code.DEAD_LATENTS, f"the units of the code ({module}) cannot die")
    else:
        yield from _of_activation(reading, index)


def _of_activation(reading: Reading, index: int) -> Iterator[Finding]:
    layer = reading.layers[index]
    dead = layer.dead_units or ()
    share = len(dead) / layer.units
    if share >= NOTE_SHARE and layer.rows >= FEWEST_ROWS:
        yield unit_finding(
            Code.DEAD_LATENTS,
            layer,
            dead,
            severity=severity(reading, is_structural=share >= NEARLY_ALL)
            if share >= WARNING_SHARE
            else Severity.NOTE,
            said=f"are dead, and all that is known of a row passes them ({layer.rows:,} rows)",
            least_share=NOTE_SHARE,
            since=story(reading, layer),
            remedies=REMEDIES,
        )


def _of_linear_code(reading: Reading, code: WeightFacts) -> Finding | NotJudged:
    """Judge a code without an activation by what is rebuilt, what makes it and what reads it."""
    ratio = _of_means(reading)
    if math.isfinite(ratio):
        return _rebuilds_means(reading, code, ratio)
    dense = [fact for fact in reading.matrices if len(fact.shape) == 2]
    makers = [fact.name for fact in dense if fact.shape == code.shape]
    readers = [fact.name for fact in dense if fact.shape[1] == code.shape[0]]
    first = min(dense, key=lambda fact: _order(reading, fact)).name
    if not readers or len(reading.norms(first)) < FEWEST_WINDOWS:
        return NotJudged(Code.DEAD_LATENTS, f"what reads the code ({code.name}) was not followed")
    shrunk = max(_change(reading.norms(name)) for name in readers)
    faded = max(_change(reading.gradient_norms(name)) for name in makers)
    if not (shrunk <= SHRUNK and faded <= FADED and _change(reading.norms(first)) >= KEPT):
        return NotJudged(Code.DEAD_LATENTS, f"no sign that the code ({code.name}) is ignored")
    return Finding(
        code=Code.DEAD_LATENTS,
        severity=Severity.WARNING,
        message=f"the code is ignored: {readers[0]}, which reads it, shrank to {short(shrunk)} of "
        f"its first norm, and the gradient of what makes it fell to {short(faded)}",
        where=code.name,
        first_step=reading.windows[0].first_step,
        evidence={
            "width": code.shape[0],
            "reader_norm": shrunk,
            "maker_gradient": faded,
            "threshold_norm": SHRUNK,
            "threshold_gradient": FADED,
        },
        cause="noise or a penalty on the code outweighs what it says of a row",
        strength=min(SHRUNK / max(shrunk, 1e-9), FADED / max(faded, 1e-9)),
        remedies=LINEAR_REMEDIES,
    )


def _of_means(reading: Reading) -> float:
    """Return the late loss over the mean variance of the features if it stands there; or nan."""
    late, fact = reading.late_loss, next(iter(reading.inputs), None)
    is_squared = reading.loss is not None and (
        reading.loss.function == "mse_loss" or is_by_hand(reading.loss, "pow")
    )
    if fact is None or not is_squared or not _is_rebuilding(reading) or reading.path < FEWEST_PATH:
        return math.nan
    deviations = np.array(fact.feature_deviations, float)
    variance = float(np.mean(deviations[np.isfinite(deviations)] ** 2)) if len(deviations) else 0.0
    near = NEAR if len(deviations) == fact.features else NEAR_SOME
    third = reading.losses[-(len(reading.losses) // 3) :]
    is_still = len(third) > 0 and abs(late - third[: len(third) // 2].mean()) <= STILL * late
    ratio = late / variance if variance > 0 else math.nan
    return ratio if is_still and abs(ratio - 1) <= near else math.nan


def _rebuilds_means(reading: Reading, code: WeightFacts, ratio: float) -> Finding:
    return Finding(
        code=Code.DEAD_LATENTS,
        severity=Severity.WARNING,
        message=f"the code is ignored: the loss stands at {reading.late_loss:.3g}, as if each "
        "feature were rebuilt by its mean",
        where=code.name,
        first_step=reading.steps // 2,
        evidence={"width": code.shape[0], "late": reading.late_loss, "of_the_means": ratio},
        cause="noise or a penalty on the code outweighs what it says of a row",
        remedies=LINEAR_REMEDIES,
    )


def _change(values: Sums) -> float:
    """Return the last value over the first; nan where there is none."""
    return float(values[-1] / values[0]) if len(values) and values[0] > 0 else math.nan


def _is_rebuilding(reading: Reading) -> bool:
    """Whether the loss compares as many amounts per row as the network was given."""
    sizes = {
        math.prod(fact.shape[1:])
        for fact in reading.run.of(InputFacts)
        if fact.phase == Phase.TRAINING and not fact.is_integer and len(fact.shape) > 1
    }
    return any(
        loss.target_kind != "classes"
        and {math.prod(loss.target_shape[1:]), loss.head_width} & (sizes - {1})
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
    """Return the matrix that makes the fewest units, if it is narrower than its neighbours.

    The one matrix of an autoencoder whose decoder is its transpose counts as both.
    """
    dense = [fact for fact in reading.weights.values() if len(fact.shape) == 2]
    widths = [max(fact.shape) for fact in dense]
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
