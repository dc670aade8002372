"""A layer that gets hardly any gradient, beside the others; or all of them, beside the loss.

What it detects
    A trained weight matrix whose relative gradient (norm of the gradient over norm of the weight,
    median over the run's windows) is under 1e-4 of the median of the others. Frozen weights,
    embeddings (their rows are rare), weights that never got a gradient, and gradients that fade
    towards the input (``vanishing-gradient``) are left out. Or else all matrices at once: in the
    first window, none of them had a gradient by which a change as large as the matrix itself
    could move the loss by more than a fiftieth (norm of the gradient times norm of the weight, or
    1 where that is less, over the loss), and the training has not learned nearly all there is.

Why it matters
    It keeps its initial, random features while the others learn around it. Where all of them are
    starved, biases alone learn, until the weights have grown by what they are divided by.

What else it could be
    A branch of little weight in the loss; a gate that is nearly closed by design. While it moves
    as the others do, as under Adam, or the training does well, it is a note.

Remedies, with safety
    Scale what the layer is multiplied by (changes model); a norm layer after it (changes model);
    look for a dead or saturated layer behind it (advice).

Options
    ``RATIO`` 1e-4: healthy layers of one network differ by up to a hundred times. ``UPDATE_RATIO``
    1e-3: a warning where it also moves by less than this share of the others' median, or where
    the training does poorly. ``ELASTICITY`` 0.02: networks that learn begin at a twelfth or more.
    It is not judged where the first loss is above ``MOST_LOSS`` 100: targets so far off make the
    loss large beside all that fresh weights put out. ``LEARNED`` 0.9 of the loss of guessing.

References:
    You et al., "Large batch training of convolutional networks", arXiv:1708.03888, section 4
    (ratios of weights to gradients over layers).
"""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.flow import FEWEST_STEPS, Flow, first_flow, flows
from relume.diagnosis.progress import is_decayed, severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import OptimizerFacts
from relume.runs.wording import short

RATIO = 1e-4
UPDATE_RATIO = 1e-3
FEWEST_OTHERS = 1
FEWEST_MATRICES = 2
ELASTICITY = 0.02
MOST_LOSS = 100.0
LEARNED = 0.9

REMEDIES = (
    Advice("scale up what the layer is multiplied by", Safety.CHANGES_MODEL),
    Advice("put a norm layer after it", Safety.CHANGES_MODEL),
    Advice("look for a dead or saturated layer behind it"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each starved matrix."""
    reason = _why_not_judged(reading)
    if reason:
        yield NotJudged(Code.STARVED_LAYER, reason)
        return
    chain = [flow for flow in flows(reading) if flow.fact.is_optimised]
    for flow in chain:
        others = [other for other in chain if other is not flow]
        if len(others) < FEWEST_OTHERS:
            continue
        if flow.steps < FEWEST_STEPS:
            yield NotJudged(Code.STARVED_LAYER, f"fewer than {FEWEST_STEPS} armed steps")
            return
        if flow.gradient < RATIO * _usual(others, "gradient"):
            yield _found(reading, flow, others)
    elasticity = _elasticity(reading, chain)
    if elasticity < ELASTICITY and reading.learned < LEARNED:
        yield _all_starved(reading, chain, elasticity)


def _why_not_judged(reading: Reading) -> str:
    if not reading.run.weights:
        return "the gradients of weights were not recorded"
    if len(reading.run.of(OptimizerFacts)) > 1:
        return "several optimizers: gradients cannot be compared"
    return "weight decay shrank what gradients are compared with" if is_decayed(reading) else ""


def _elasticity(reading: Reading, chain: Sequence[Flow]) -> float:
    """Return the greatest gradient norm times norm, over the loss, at first; nan: not judged."""
    if len(reading.training_losses) != 1 or len(chain) < FEWEST_MATRICES:
        return math.nan
    if reading.windows[0].first_step > 1 or not len(reading.losses):
        return math.nan
    if not 0 < reading.losses[0] <= MOST_LOSS:
        return math.nan
    seen = [first_flow(reading, flow.name) for flow in chain]
    moved = [gradient * max(norm, 1.0) for gradient, norm in seen]
    is_known = all(math.isfinite(each) for each in moved)
    return max(moved) / float(reading.losses[0]) if is_known else math.nan


def _all_starved(reading: Reading, chain: Sequence[Flow], elasticity: float) -> Finding:
    return Finding(
        code=Code.STARVED_LAYER,
        severity=Severity.WARNING,
        message=f"no weight matrix gets much of a gradient: at first, a change as large as the "
        f"matrix moved the loss by {short(elasticity)} of it at most",
        where=chain[-1].name,
        first_step=1,
        evidence={
            "elasticity": elasticity,
            "matrices": len(chain),
            "first_loss": float(reading.losses[0]),
            "threshold": ELASTICITY,
        },
        cause="what the output layer is given is next to nothing, or is divided away",
        strength=ELASTICITY / max(elasticity, 1e-30),
        remedies=REMEDIES,
    )


def _usual(flows_: Sequence[Flow], what: str) -> float:
    known = [getattr(flow, what) for flow in flows_ if math.isfinite(getattr(flow, what))]
    return median(known) if known else math.nan


def _found(reading: Reading, flow: Flow, others: Sequence[Flow]) -> Finding:
    ratio = flow.gradient / _usual(others, "gradient")
    moves = flow.update / (_usual(others, "update") or math.nan)
    return Finding(
        code=Code.STARVED_LAYER,
        severity=severity(reading, is_structural=moves < UPDATE_RATIO),
        message=f"{flow.name} gets hardly any gradient: by the size of the weight, {short(ratio)} "
        f"of what the others get",
        where=flow.name,
        first_step=reading.windows[0].first_step,
        evidence={
            "ratio": ratio,
            "update_ratio": moves,
            "relative_gradient": flow.gradient,
            "threshold": RATIO,
        },
        strength=RATIO / max(ratio, 1e-30),
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.STARVED_LAYER,
    "starved-layer",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.UPDATE_RATIO,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.RATE_TOO_LOW,
            Code.STILL_IMPROVING,
        }
    ),
)
