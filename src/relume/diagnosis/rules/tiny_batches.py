"""Batch norm over a handful of rows: its means and variances are mostly noise.

What it detects
    Batch-norm layers in a training of fewer than eight rows a batch on average, or of which a
    batch, such as the last one of a pass, had one or two rows.

Why it matters
    The mean of n values is off by 1/sqrt(n) of their deviation: at four rows, by half of it. Each
    row's output then depends on its neighbours, and evaluation differs from training.

What else it could be
    Frozen norms. Images and sequences have many values a channel, but those of one row resemble
    each other: rows count.

Remedies, with safety
    Batches of at least 16 rows (changes training); ``drop_last=True`` for a short last batch
    (changes training); group or layer norm (changes model); freeze pretrained norms (changes
    training).

Options
    ``FEW_ROWS`` 8: from there on training is known to suffer little. ``TINY_ROWS`` 4: a warning
    from there down. ``LEFT_OVER`` 2 rows in a single batch.

References:
    Wu & He, "Group normalization", ECCV 2018, figure 1 (error against batch size).
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.norms import trained_norms
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import NormFacts
from relume.runs.wording import count, short

FEW_ROWS = 8
TINY_ROWS = 4
LEFT_OVER = 2

REMEDIES = (
    Advice("use batches of at least 16 rows", Safety.CHANGES_TRAINING),
    Advice("use group or layer norm", Safety.CHANGES_MODEL),
)
DROP_LAST = (Advice("leave out a short last batch: drop_last=True", Safety.CHANGES_TRAINING),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield one finding where batches are too small for batch norm."""
    norms = trained_norms(reading)
    if not norms:
        return
    if not reading.inputs or not reading.inputs[0].batches:
        yield NotJudged(Code.TINY_BATCHES, "no input was observed")
        return
    fact = min(norms, key=lambda each: each.least_values)
    rows = reading.inputs[0].rows / reading.inputs[0].batches
    if rows < FEW_ROWS:
        yield _found(fact, rows)
    elif fact.least_rows <= LEFT_OVER:
        yield _left_over(fact, rows)


def _found(fact: NormFacts, rows: float) -> Finding:
    return Finding(
        code=Code.TINY_BATCHES,
        severity=Severity.WARNING if rows <= TINY_ROWS else Severity.NOTE,
        message=f"{fact.name} normalises batches of {short(rows)} rows: its means and variances "
        f"are mostly noise",
        where=fact.name,
        first_step=1,
        evidence={
            "rows": rows,
            "least_rows": fact.least_rows,
            "least_values": fact.least_values,
            "threshold": FEW_ROWS,
        },
        cause="the batch size",
        strength=FEW_ROWS / max(rows, 1.0),
        remedies=REMEDIES,
    )


def _left_over(fact: NormFacts, rows: float) -> Finding:
    return Finding(
        code=Code.TINY_BATCHES,
        severity=Severity.NOTE,
        message=f"{fact.name} normalised a batch of {count(fact.least_rows, 'row')} among batches "
        f"of {short(rows)}",
        where=fact.name,
        evidence={
            "rows": rows,
            "least_rows": fact.least_rows,
            "least_values": fact.least_values,
            "threshold": LEFT_OVER,
        },
        cause="the last batch of a pass over the rows",
        remedies=DROP_LAST,
    )


RULE = Rule(
    Code.TINY_BATCHES,
    "tiny-batches",
    __doc__ or "",
    check,
    explains=frozenset(
        {
            Code.TRAIN_EVAL_GAP,
            Code.CHANNEL_DRIFT,
            Code.VANISHING_GRADIENT,
            Code.STARVED_LAYER,
            Code.OSCILLATING,
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.OVER_FITTING,
        }
    ),
)
