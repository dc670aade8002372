"""The inputs are far from zero mean and unit variance.

What it detects
    Float inputs whose root mean square is above 10 or below 0.02, or whose features have standard
    deviations that differ a hundredfold while the largest is above 10, in a model that does not
    begin with a normalisation.

Why it matters
    Initialisations and learning rates are made for inputs of unit scale: larger ones make large
    activations, large gradients and large updates, of which ReLU units die; tiny ones learn slowly.

What else it could be
    Counts or pixels that the network copes with: where the loss fell well all the same, it is a
    note.

Remedies, with safety
    Standardise with the training rows' mean and deviation (changes training); begin with a batch
    norm (changes model).

Options
    ``LARGE`` and ``SMALL``: bounds on the root mean square; ``UNEVEN``: ratio of deviations;
    ``LEARNED_WELL``: share of the loss of a constant prediction that must have been learned away
    for it to be a note (``NEARLY_ALL`` where they are above ``HUGE``), unless the mean is more than
    ``FAR_OFF`` deviations away from zero, or they are above ``HUGE`` and the first loss ``SHOCK``
    times that of a constant answer, or they are above ``HUGE`` and the first activation is bounded
    on both sides, of whose units they make switches.

References:
    LeCun et al., "Efficient BackProp", 1998, section 4.3.
"""

import math
import re
from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import InputFacts

LARGE, SMALL, UNEVEN = 10.0, 0.02, 100.0
LEARNED_WELL, NEARLY_ALL = 0.5, 0.9
FAR_OFF = 30.0
HUGE, SHOCK = 30.0, 4.0

REMEDIES = (
    Advice(
        "standardise each feature with the mean and deviation of the training rows",
        Safety.CHANGES_TRAINING,
    ),
    Advice("begin the network with a batch norm", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each input of unusual scale."""
    if not reading.inputs:
        yield NotJudged(Code.UNSCALED_INPUT, "no input was observed")
    for fact in reading.inputs:
        if fact.is_integer or not fact.values.count or _is_normalised_first(reading):
            continue
        size = size_of(fact)
        ratio = _unevenness(fact)
        strength = max(size / LARGE, SMALL / size if size else 1.0, 1.0)
        is_uneven = ratio > UNEVEN and max(fact.feature_deviations) > LARGE
        if (SMALL <= size <= LARGE and not is_uneven) or size == 0:
            continue
        yield Finding(
            code=Code.UNSCALED_INPUT,
            severity=_severity(reading, fact),
            message=f"{fact.name} has mean {fact.values.mean:.3g} and standard deviation "
            f"{fact.values.deviation:.3g}, from {fact.values.least:.3g} to "
            f"{fact.values.greatest:.3g}: networks want about 0 and 1",
            where=fact.name,
            first_step=1,
            evidence={
                "mean": fact.values.mean,
                "deviation": fact.values.deviation,
                "least": fact.values.least,
                "greatest": fact.values.greatest,
                "rows": fact.rows,
                "uneven": ratio,
                "learned": reading.learned,
            },
            cause="the data are given as they were measured",
            strength=max(strength, ratio / UNEVEN if is_uneven else 1.0),
            remedies=REMEDIES,
        )


def _severity(reading: Reading, fact: InputFacts) -> Severity:
    """A note where the loss fell well all the same, from values that lie around zero."""
    if size_of(fact) > HUGE and _is_bounded_first(reading):
        return Severity.WARNING
    is_far_off = abs(fact.values.mean) > FAR_OFF * fact.values.deviation
    size = size_of(fact)
    loss = reading.loss
    is_shocking = loss is not None and loss.first_loss > SHOCK * reading.chance
    enough = NEARLY_ALL if size > HUGE else LEARNED_WELL
    if reading.learned >= enough and not is_far_off and not (size > HUGE and is_shocking):
        return Severity.NOTE
    return Severity.WARNING


def size_of(fact: InputFacts) -> float:
    """Return the root mean square of an input."""
    return math.hypot(fact.values.mean, fact.values.deviation)


def _is_bounded_first(reading: Reading) -> bool:
    """Whether the first activation saturates: of such values it makes switches, and stays there."""
    return bool(reading.run.layers) and reading.run.layers[0].saturates


def _unevenness(fact: InputFacts) -> float:
    """Return the largest over the median deviation of the features that change at all."""
    deviations = np.array(fact.feature_deviations, float)
    deviations = deviations[np.isfinite(deviations) & (deviations > 0)]
    return float(deviations.max() / np.median(deviations)) if len(deviations) > 1 else 1.0


def _is_normalised_first(reading: Reading) -> bool:
    """Whether the first module that has weights or normalises is a normalisation."""
    called = sorted((m for m in reading.modules.values() if m.order >= 0), key=lambda m: m.order)
    kinds = (module.kind for module in called)
    first = next((kind for kind in kinds if kind in _WEIGHTED or _NORMS.fullmatch(kind)), "")
    return first not in _WEIGHTED and bool(first)


_NORMS = re.compile(r"(Lazy|Sync)?(Batch|Layer|Group|Instance|RMS)Norm([123]d)?")
_WEIGHTED = ("Linear", "Conv1d", "Conv2d", "Conv3d", "RNN", "LSTM", "GRU", "Embedding")

RULE = Rule(
    Code.UNSCALED_INPUT,
    "unscaled-input",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.FIRST_LOSS, Code.CHANNEL_DRIFT},
)
