"""The inputs hold nan or infinite values.

What it detects
    Any value of a training input that is no finite number.

Why it matters
    One nan among the inputs of a row makes every output and, after one update, every weight nan.

What else it could be
    A network that masks missing values itself.

Remedies, with safety
    Fill or drop missing values before training, and guard divisions and logarithms (advice).

Options
    None: one value is enough.

References:
    IEEE 754-2019, section 6.2 (quiet nans propagate).
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import InputFacts

REMEDIES = (Advice("fill or drop what is missing, and look for divisions by zero and log(0)"),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each input that held something that is no finite number."""
    if not reading.inputs:
        yield NotJudged(Code.NONFINITE_INPUT, "no input was observed")
    for fact in reading.inputs:
        bad = fact.values.nonfinite
        if not bad:
            continue
        total = fact.values.count + bad
        yield Finding(
            code=Code.NONFINITE_INPUT,
            severity=Severity.ERROR,
            message=f"{fact.name} holds {bad:,} values of {total:,} that are nan or infinite",
            where=fact.name,
            first_step=_since(reading, fact),
            evidence={
                "nonfinite": bad,
                "values": total,
                "rows": fact.rows,
                "first_seen": fact.first_nonfinite_step,
            },
            cause="missing values, or a division or logarithm of zero before the network",
            strength=1.0 + bad,
            remedies=REMEDIES,
        )


def _since(reading: Reading, fact: InputFacts) -> int | None:
    """Return the first step that may have had such values: not every batch is looked at."""
    seen = fact.first_nonfinite_step
    return seen and max(1, seen - reading.steps // max(1, fact.batches))


RULE = Rule(
    Code.NONFINITE_INPUT,
    "nonfinite-input",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.NO_GRADIENT},
)
