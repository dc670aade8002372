"""Gradients are not set to zero between updates.

What it detects
    Steps on which the gradients of the update before were still there when the first backward pass
    began: on at least half of the armed steps, of at least half of the trained weights.

Why it matters
    Every update repeats all gradients since the start: as with a momentum of 1, updates grow
    without bound, the loss swings and units die.

What else it could be
    Gradient accumulation, which keeps them between backward passes and not after an update, is
    not reported.

Remedies, with safety
    ``optimizer.zero_grad()`` before each ``backward()`` (changes training).

Options
    ``FEWEST_STEPS``, ``SHARE``.

References:
    torch.optim.Optimizer.zero_grad.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

FEWEST_STEPS = 3
SHARE = 0.5

REMEDIES = (Advice("call optimizer.zero_grad() before each backward()", Safety.CHANGES_TRAINING),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding where the gradients were kept."""
    held = [fact for fact in reading.weights.values() if fact.is_optimised and fact.gradient_steps]
    if not held or max(fact.armed_steps for fact in held) < FEWEST_STEPS:
        yield NotJudged(Code.GRADIENTS_KEPT, "too few updates of an optimizer were measured")
        return
    kept = [
        fact
        for fact in held
        if fact.left_over_steps >= max(FEWEST_STEPS, SHARE * (fact.armed_steps - 1))
    ]
    if len(kept) < SHARE * len(held):
        return
    most = max(kept, key=lambda fact: fact.left_over_steps)
    yield Finding(
        code=Code.GRADIENTS_KEPT,
        severity=Severity.ERROR,
        message=f"on {most.left_over_steps} of {most.armed_steps} armed steps the gradients of "
        "the step before were still there: they are never set to zero",
        where=most.name,
        first_step=2,
        evidence={
            "left_over_steps": most.left_over_steps,
            "armed_steps": most.armed_steps,
            "weights": len(kept),
            "of": len(held),
        },
        cause="zero_grad is not called, or for another optimizer",
        strength=10.0,
        remedies=REMEDIES,
    )


RULE = Rule(Code.GRADIENTS_KEPT, "gradients-kept", __doc__ or "", check, explains=SYMPTOMS)
