"""The loss does not fall.

What it detects
    A loss whose last tenth is no lower than its first one, beyond noise and 5 %, and no better
    than 90 % of that of a constant answer where that is known, after at least 50 updates.

Why it matters
    Nothing is learned: whatever comes after is a matter of the baseline.

What else it could be
    A network that was trained already begins low and stays there: not reported where the loss is
    known to be far below a constant answer's. Targets that the inputs say nothing of.

Remedies, with safety
    Try to over-fit ten rows: if that fails the fault is in the network, loss or optimizer; if it
    succeeds, in the data or the rate (advice).

Options
    ``FEWEST_STEPS``, ``FALL``, ``OF_CHANCE``.

References:
    Karpathy, "A recipe for training neural networks", 2019 ("overfit one batch").
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

FEWEST_STEPS = 50
FALL = 0.05
OF_CHANCE = 0.9

REMEDIES = (
    Advice("try to over-fit ten rows: if that fails, look at network, loss and optimizer"),
    Advice("try rates ten times lower and ten times higher"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where the loss stayed where it was."""
    if reading.is_adversarial:
        yield NotJudged(Code.NOT_DECREASING, "several optimizers whose losses may be opposed")
        return
    if reading.steps < FEWEST_STEPS or len(reading.losses) < 10:
        yield NotJudged(Code.NOT_DECREASING, f"fewer than {FEWEST_STEPS} updates")
        return
    early, late, chance = reading.early_loss, reading.late_loss, reading.chance
    if late < 0 or early - late > max(2 * reading.noise, FALL * abs(early)):
        return
    if math.isfinite(chance) and late < OF_CHANCE * chance:
        return
    yield Finding(
        code=Code.NOT_DECREASING,
        severity=Severity.WARNING,
        message=f"the loss went from {early:.3g} to {late:.3g} in {reading.steps:,} steps"
        + (f"; a constant answer has {chance:.3g}" if math.isfinite(chance) else ""),
        first_step=1,
        evidence={
            "early": early,
            "late": late,
            "noise": reading.noise,
            "constant": chance,
            "steps": reading.steps,
        },
        strength=1.0,
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.NOT_DECREASING,
    "not-decreasing",
    __doc__ or "",
    check,
    explains=frozenset({Code.PLATEAU, Code.CLASS_NEVER_PREDICTED, Code.OSCILLATING}),
)
