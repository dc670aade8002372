"""Rows that the model is scored on were among those that it learned from.

What it detects
    Evaluation rows that equal a training row bit for bit: at least ten, and at least 5 % of those
    that were compared, beyond what repeats among the training rows themselves.

Why it matters
    The score is no forecast: it tells how well rows are remembered.

What else it could be
    Tables of few values repeat by nature; scoring the training rows on purpose, beside others.

Remedies, with safety
    Split before copying, oversampling or augmenting; split by group (advice).

Options
    ``FEWEST_ROWS``, ``SHARE``, ``TIMES_REPEATS``.

References:
    Kapoor & Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science",
    Patterns 4(9), 2023.
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import OverlapFacts

FEWEST_ROWS = 10
SHARE = 0.05
TIMES_REPEATS = 3.0

REMEDIES = (
    Advice("split first, then copy, oversample or augment the training rows alone"),
    Advice("split by group where rows belong together"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where evaluation rows were learned from."""
    facts = [fact for fact in reading.run.of(OverlapFacts) if fact.evaluation_rows]
    if not facts:
        yield NotJudged(Code.LEAKED_ROWS, "no evaluation rows were observed")
    for fact in facts:
        share = fact.shared_rows / fact.evaluation_rows
        repeats = 0.0 if math.isnan(fact.training_repeats) else fact.training_repeats
        if fact.shared_rows < FEWEST_ROWS or share < max(SHARE, TIMES_REPEATS * repeats):
            continue
        yield Finding(
            code=Code.LEAKED_ROWS,
            severity=Severity.WARNING,
            message=f"{fact.shared_rows:,} of {fact.evaluation_rows:,} evaluation rows are among "
            f"the {fact.training_rows:,} training rows that were looked at",
            first_step=1,
            evidence={
                "shared": fact.shared_rows,
                "evaluation_rows": fact.evaluation_rows,
                "training_rows": fact.training_rows,
                "training_repeats": fact.training_repeats,
            },
            cause="the parts were not split apart, or rows were copied before the split",
            strength=share / SHARE,
            remedies=REMEDIES,
        )


RULE = Rule(Code.LEAKED_ROWS, "leaked-rows", __doc__ or "", check)
