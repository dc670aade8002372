"""Batch norm with batches of one row.

What it detects
    A batch-norm layer that normalised training batches of a single row, in a training whose
    batches have fewer than two rows on average. A single such batch at the end of an epoch is not
    reported.

Why it matters
    Each row is normalised by its own statistics: what tells rows apart is subtracted, and in eval
    mode, with running statistics, the network computes something else.

What else it could be
    Video or segmentation models with one large example a batch: group norm is made for them.

Remedies, with safety
    Larger batches (changes training), or group norm (changes model).

Options
    ``MOST_ROWS``: mean rows of a batch.

References:
    Wu & He, "Group normalization", ECCV 2018.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import CURVE_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import NormFacts

MOST_ROWS = 1.5

REMEDIES = (
    Advice("use batches of at least 16 rows", Safety.CHANGES_TRAINING),
    Advice("use group norm", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield one finding where batches have one row."""
    norms = [fact for fact in reading.run.of(NormFacts) if fact.passes]
    if not norms:
        return
    if not reading.inputs:
        yield NotJudged(Code.BATCH_OF_ONE, "no input was observed")
        return
    first = reading.inputs[0]
    rows = first.rows / max(1, first.batches)
    if rows > MOST_ROWS or min(fact.least_rows for fact in norms) > 1:
        return
    yield Finding(
        code=Code.BATCH_OF_ONE,
        severity=Severity.WARNING,
        message=f"{norms[0].name} normalises batches of {rows:.1f} rows on average",
        where=norms[0].name,
        first_step=1,
        evidence={"rows": rows, "least_rows": norms[0].least_rows, "passes": norms[0].passes},
        cause="the batch size",
        strength=3.0,
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.BATCH_OF_ONE,
    "batch-of-one",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS
    | {Code.TINY_BATCHES, Code.TRAIN_EVAL_GAP, Code.CHANNEL_DRIFT, Code.OVER_FITTING},
)
