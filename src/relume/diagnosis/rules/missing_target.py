"""Targets are missing: nan, infinite, or all of them ignored.

What it detects
    Targets that are no finite numbers, or a loss that left out at least 99.9 % of its targets by
    ``ignore_index``.

Why it matters
    A nan among the targets makes the loss nan and with it every weight; a loss without targets
    has nothing to learn from.

What else it could be
    Masked language models leave out most targets on purpose: only nearly all of them count here.

Remedies, with safety
    Drop rows without a target; check ``ignore_index`` against the encoding (advice).

Options
    ``MOST_IGNORED``: share of ignored targets.

References:
    torch.nn.CrossEntropyLoss, parameter ``ignore_index``.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Severity
from relume.diagnosis.loss_reading import place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

MOST_IGNORED = 0.999

REMEDIES = (Advice("drop the rows without a target, or check ignore_index and the encoding"),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss with targets that are missing."""
    if not any(fact.target_kind for fact in reading.training_losses):
        yield NotJudged(Code.MISSING_TARGET, "no target was observed")
    for loss in reading.training_losses:
        bad, ignored = _nonfinite(loss), loss.ignored
        total = loss.target.count + bad
        share = (bad + ignored) / max(1, total, ignored)
        if not bad and share < MOST_IGNORED:
            continue
        what = "nan or infinite" if bad else "left out by ignore_index"
        yield Finding(
            code=Code.MISSING_TARGET,
            severity=Severity.ERROR,
            message=f"{bad or ignored:,} of {max(total, ignored):,} targets of {place_of(loss)} "
            f"are {what}",
            where=place_of(loss),
            first_step=loss.step,
            evidence={"nonfinite": bad, "ignored": ignored, "targets": total},
            cause="rows without a target reach the loss",
            strength=1.0 + share,
            remedies=REMEDIES,
        )


def _nonfinite(loss: LossFacts) -> int:
    """Return how many targets are no finite numbers.

    The targets of a loss by hand are read off its difference to the prediction: where that is not
    finite, neither are they.
    """
    bad = loss.target.nonfinite
    is_read_off = loss.function == "by hand" and bad <= loss.prediction.nonfinite
    return 0 if is_read_off else bad


RULE = Rule(
    Code.MISSING_TARGET,
    "missing-target",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.NO_GRADIENT},
)
