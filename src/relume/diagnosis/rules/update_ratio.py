"""Weights that move too far, or hardly at all, in each update.

What it detects
    A trained weight matrix whose update is typically (median over the run's windows, the first
    left out) over a fifth of its own norm, or under 1e-6 of it, or under a thousandth of what
    the matrix that moves most does. Too little is said only of weights that get a gradient. Or a
    matrix that grew to eight times its first size beside the median of the others, and to rows of
    a norm of four, in a training that did not learn nearly all there is.

Why it matters
    An update of a fifth of the weight forgets as fast as it learns. One of 1e-6 needs a million
    steps to matter, and below 1e-7 it is lost to the rounding of float32.

What else it could be
    Small weights grow by large steps at first; a rate that is small by choice, or a part that is
    fine-tuned gently: at most a note while the training does well and the others move alike.

Remedies, with safety
    Change the learning rate, or that of the parameter group (changes training).

Options
    ``MOST`` 0.2: a hundredth to a thousandth is usual, and Adam on narrow layers reaches a tenth.
    ``LEAST`` 1e-6. ``BESIDE`` 1e-3 of the matrix that moves most: fine-tuning uses a tenth to a
    hundredth. ``GROWN`` 8 and ``ROW`` 4: a head at ten times the rate grows to five times its
    size, usual rows begin at a norm of about a half, and small initial weights end below four;
    ``LEARNED`` 0.9. What is beside the others is a warning; the first two are where the training
    does poorly, and notes where it does not.

References:
    Karpathy, "CS231n: neural networks part 3", 2015 (ratio of weights to updates, about 1e-3);
    You et al., "Large batch training of convolutional networks", arXiv:1708.03888.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.flow import FEWEST_STEPS, Flow, flows
from relume.diagnosis.progress import is_decayed, severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import OptimizerFacts, Spread
from relume.runs.wording import count, short, times

MOST = 0.2
LEAST = 1e-6
BESIDE = 1e-3
GROWN, ROW = 8.0, 4.0
LEARNED = 0.9
FEWEST_MATRICES = 2

LOWER = (Advice("lower the learning rate, or that of the group", Safety.CHANGES_TRAINING),)
RAISE = (Advice("raise the learning rate, or that of the group", Safety.CHANGES_TRAINING),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield at most one finding of weights that move too far, and one of too little."""
    chain = [
        flow for flow in flows(reading) if flow.fact.is_optimised and math.isfinite(flow.update)
    ]
    if is_decayed(reading):
        yield NotJudged(Code.UPDATE_RATIO, "weight decay shrank what updates are compared with")
        return
    if not chain:
        yield NotJudged(Code.UPDATE_RATIO, "the updates of weights were not recorded")
        return
    if min(flow.steps for flow in chain) < FEWEST_STEPS:
        yield NotJudged(Code.UPDATE_RATIO, f"fewer than {FEWEST_STEPS} armed steps")
        return
    far = [flow for flow in chain if flow.update > MOST]
    if far:
        yield _found(reading, far, is_far=True, is_beside=False)
    else:
        yield from _outgrown(reading, chain)
    greatest = max(flow.update for flow in chain)
    is_single = len(reading.run.of(OptimizerFacts)) <= 1
    limit = max(LEAST, BESIDE * min(greatest, MOST)) if is_single else LEAST
    still = [flow for flow in chain if flow.update < limit and flow.gradient > 0]
    if still:
        yield _found(reading, still, is_far=False, is_beside=len(still) < len(chain))


def _outgrown(reading: Reading, chain: Sequence[Flow]) -> Iterator[Finding]:
    """Yield a finding for the matrix that grew far beyond the others, if there is one."""
    growths = {flow.name: _size(flow.fact.final) / _size(flow.fact.initial) for flow in chain}
    known = [flow for flow in chain if 0 < growths[flow.name] < math.inf]
    if len(known) < FEWEST_MATRICES or not reading.learned < LEARNED:
        return
    most = max(known, key=lambda flow: growths[flow.name])
    others = median(growths[flow.name] for flow in known if flow is not most)
    fact = most.fact
    row = _size(fact.final) * math.sqrt(fact.final.count / max(1, fact.shape[0]))
    if growths[most.name] < GROWN * others or row < ROW:
        return
    yield Finding(
        code=Code.UPDATE_RATIO,
        severity=Severity.WARNING,
        message=f"{most.name} grew to {times(growths[most.name])} times its first size, and the "
        f"other weights to {short(others)}",
        where=most.name,
        first_step=reading.windows[0].first_step,
        evidence={"grown": growths[most.name], "others": others, "row_norm": row, "most": GROWN},
        cause="its rate is far above that of the others, or its gradient is",
        strength=growths[most.name] / others / GROWN,
        remedies=LOWER,
    )


def _size(spread: Spread) -> float:
    """Return the root mean square of the values; nan where it is not known, or 0."""
    return math.hypot(spread.mean, spread.deviation) or math.nan


def _found(reading: Reading, found: Sequence[Flow], *, is_far: bool, is_beside: bool) -> Finding:
    extreme = (max if is_far else min)(found, key=lambda flow: flow.update)
    others = f", and so do {count(len(found) - 1, 'other weight')}" if len(found) > 1 else ""
    how = "far" if is_far else "hardly at all"
    return Finding(
        code=Code.UPDATE_RATIO,
        severity=severity(reading, is_structural=is_beside),
        message=f"{extreme.name} moves {how}: typically by {short(extreme.update)} of its norm "
        f"in an update{others}",
        where=extreme.name,
        first_step=reading.windows[0].first_step,
        evidence={
            "update_ratio": extreme.update,
            "weights": tuple(flow.name for flow in found),
            "most": MOST,
            "least": LEAST,
        },
        strength=extreme.update / MOST if is_far else max(1.0, LEAST / max(extreme.update, 1e-30)),
        remedies=LOWER if is_far else RAISE,
    )


RULE = Rule(
    Code.UPDATE_RATIO,
    "update-ratio",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.NOT_DECREASING,
            Code.OSCILLATING,
            Code.PLATEAU,
            Code.STILL_IMPROVING,
        }
    ),
)
