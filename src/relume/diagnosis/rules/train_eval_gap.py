"""A network that does well in training mode and badly in evaluation, because of its batch norm.

What it detects
    Batch-norm layers whose running statistics are not those of the batches (means off by more
    than chance, as in ``channel-drift``, or variances off by a factor of two), while the evaluation
    loss is at least 1.5 times the training loss of the same steps. Where no evaluation loss was
    observed: the same of layers with a momentum so small that their running statistics follow
    within more steps than the training had.

Why it matters
    In training the batch's own mean and variance are used, in evaluation the running ones. Where
    these disagree, the network that is evaluated is not the one that was trained: the validation
    loss jumps, and so will the predictions in use.

What else it could be
    Over-fitting makes such a gap too, with running statistics that fit. Evaluation rows from
    another source shift it likewise: compare on training rows in evaluation mode.

Remedies, with safety
    The usual momentum, 0.1 (changes training); larger or shuffled batches (changes training);
    estimate the running statistics anew over the training rows before evaluation (safe); group or
    layer norm, which know no modes (changes model).

Options
    ``GAP`` 1.5, and a tenth of the loss of guessing at least; ``SHIFT`` 0.27 beyond the error of a
    mean of so many rows, since healthy running statistics stay below a tenth, and ``MOVING_SHIFT``
    0.75 where running means move; ``SPREAD`` 2; ``SMALL_MOMENTUM`` 0.02.

References:
    Ioffe & Szegedy, "Batch normalization", ICML 2015, algorithm 2; Wu & Johnson, "Rethinking
    'Batch' in BatchNorm", arXiv:2105.07576, section 3.
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.norms import (
    GAP,
    SMALL_MOMENTUM,
    evaluation_gap,
    is_off,
    shift_limit,
    trained_norms,
)
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import NormFacts
from relume.runs.wording import count, short, times

REMEDIES = (
    Advice("use the usual momentum of batch norm, 0.1", Safety.CHANGES_TRAINING),
    Advice("use larger batches, shuffled", Safety.CHANGES_TRAINING),
    Advice("estimate the running statistics anew before evaluation", Safety.SAFE),
    Advice("use group or layer norm, which know no modes", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield one finding if batch norm makes evaluation another network."""
    norms = trained_norms(reading)
    if not norms:
        return
    gap = evaluation_gap(reading)
    off = sorted((fact for fact in norms if is_off(fact)), key=lambda fact: -fact.shift)
    if math.isnan(gap):
        behind = [fact for fact in off if _is_behind(fact, reading.steps)]
        if behind:
            yield _found(reading, behind, gap)
        else:
            reason = "no evaluation loss was observed beside batch norm"
            yield NotJudged(Code.TRAIN_EVAL_GAP, reason)
    elif off and gap >= GAP:
        yield _found(reading, off, gap)


def _is_behind(fact: NormFacts, steps: int) -> bool:
    """Whether running statistics follow within more steps than there were."""
    return fact.momentum < SMALL_MOMENTUM and fact.momentum * steps < 1


def _found(reading: Reading, off: list[NormFacts], gap: float) -> Finding:
    worst = off[0]
    others = f" and of {count(len(off) - 1, 'other layer')}" if len(off) > 1 else ""
    seen = (
        ""
        if math.isnan(gap)
        else f"the evaluation loss is {times(gap)} times the training loss, and "
    )
    return Finding(
        code=Code.TRAIN_EVAL_GAP,
        severity=Severity.WARNING,
        message=f"{seen}the running statistics of {worst.name}{others} are not those of the "
        f"batches",
        where=worst.name,
        first_step=None if math.isnan(gap) else reading.evaluation_scores[0].step,
        evidence={
            "gap": gap,
            "shift": worst.shift,
            "spread_ratio": worst.spread_ratio,
            "momentum": worst.momentum,
            "layers": len(off),
            "threshold_gap": GAP,
            "threshold_shift": shift_limit(worst),
        },
        cause=_cause(worst),
        strength=1.0 if math.isnan(gap) else gap / GAP,
        remedies=REMEDIES,
    )


def _cause(fact: NormFacts) -> str:
    if fact.momentum < SMALL_MOMENTUM:
        return (
            f"with momentum {short(fact.momentum)} the running statistics follow within "
            f"{1 / fact.momentum:,.0f} steps"
            if fact.momentum > 0
            else "with momentum 0 the running statistics never follow"
        )
    return "batches differ from one another" if fact.shift > shift_limit(fact) else ""


RULE = Rule(
    Code.TRAIN_EVAL_GAP,
    "train-eval-gap",
    __doc__ or "",
    check,
    explains=frozenset({Code.OVER_FITTING, Code.OVER_TRAINING, Code.CLASS_NEVER_PREDICTED}),
)
