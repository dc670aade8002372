"""The inputs never change, or most of their features do not.

What it detects
    A float input of which every feature had one value on all rows that were looked at (at least
    32); one of which at least half the features did is a note, or a warning where less than .8
    of a constant answer's loss was learned away.

Why it matters
    A network that is told the same of every row can learn no more than the mean of the targets.

What else it could be
    Borders of images and one-hot columns of rare values are constant by nature.

Remedies, with safety
    Look at what the loader yields; drop constant features (advice).

Options
    ``FEWEST_ROWS``; ``NOTE_SHARE``: share of constant features; ``LEARNED``.

References:
    Sculley et al., "Hidden technical debt in machine learning systems", NeurIPS 2015.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

FEWEST_ROWS = 32
NOTE_SHARE = 0.5
LEARNED = 0.8

REMEDIES = (Advice("print a batch: is it what the data should be? drop features without values"),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each input with constant features."""
    if not reading.inputs:
        yield NotJudged(Code.CONSTANT_INPUT, "no input was observed")
    for fact in reading.inputs:
        if fact.rows < FEWEST_ROWS or not fact.features or fact.values.nonfinite:
            continue
        share = fact.constant_features / fact.features
        if share < NOTE_SHARE:
            continue
        yield Finding(
            code=Code.CONSTANT_INPUT,
            severity=_severity(reading, share),
            message=f"{fact.constant_features:,} of {fact.features:,} features of {fact.name} "
            f"have one value on all of {fact.rows:,} rows",
            where=fact.name,
            first_step=1,
            evidence={
                "constant": fact.constant_features,
                "features": fact.features,
                "rows": fact.rows,
            },
            cause="the same values reach the network for every row",
            strength=share / NOTE_SHARE,
            remedies=REMEDIES,
        )


def _severity(reading: Reading, share: float) -> Severity:
    if share == 1:
        return Severity.ERROR
    return Severity.WARNING if reading.learned < LEARNED else Severity.NOTE


RULE = Rule(
    Code.CONSTANT_INPUT,
    "constant-input",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.LEAKED_ROWS},
)
