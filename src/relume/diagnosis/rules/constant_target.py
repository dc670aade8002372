"""All targets are the same.

What it detects
    One class, or one amount, in all targets that the losses of a training were given (at least 64
    rows).

Why it matters
    The network learns the constant at once: the loss looks splendid, and nothing was learned.

What else it could be
    A loss against a fixed target beside others, as those of a generator and its critic: several
    losses are read together, and are not reported where their targets differ.

Remedies, with safety
    Print the targets of a batch; look for a wrong column, a slice or a cast (advice).

Options
    ``FEWEST_ROWS``.

References:
    Islam et al., "A comprehensive study on deep learning bug characteristics", ESEC/FSE 2019.
"""

from collections.abc import Iterator

import numpy as np

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Severity
from relume.diagnosis.loss_reading import place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

FEWEST_ROWS = 64

REMEDIES = (Advice("print the targets of a batch: a wrong column, a slice, a cast to integers?"),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where the targets of all losses are one value."""
    losses = [fact for fact in reading.training_losses if fact.target_kind]
    if not losses:
        yield NotJudged(Code.CONSTANT_TARGET, "no target was observed")
        return
    values = [_only_value(fact) for fact in losses]
    rows = sum(fact.rows for fact in losses)
    if None in values or len(set(values)) > 1 or rows < FEWEST_ROWS:
        return
    loss = losses[0]
    yield Finding(
        code=Code.CONSTANT_TARGET,
        severity=Severity.ERROR,
        message=f"all targets of {place_of(loss)} are {values[0]:g} on {rows:,} rows",
        where=place_of(loss),
        first_step=loss.step,
        evidence={"value": values[0], "rows": rows},
        cause="the targets are not those that were meant",
        strength=rows / FEWEST_ROWS,
        remedies=REMEDIES,
    )


def _only_value(fact: LossFacts) -> float | None:
    """Return the one value or class of the targets; None where there are several."""
    if (fact.target_kind == "binary" and len(fact.class_counts) < 2) or fact.target.nonfinite:
        return None
    if fact.class_counts:
        classes = np.flatnonzero(fact.class_counts)
        return float(classes[0]) if len(classes) == 1 else None
    is_constant = fact.target.count > 0 and fact.target.least == fact.target.greatest
    return fact.target.least if is_constant else None


RULE = Rule(
    Code.CONSTANT_TARGET,
    "constant-target",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.FIRST_LOSS, Code.IMBALANCE, Code.OVER_FITTING},
)
