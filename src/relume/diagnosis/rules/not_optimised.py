"""Weights get gradients, and no optimizer holds them.

What it detects
    Trainable weight matrices of a watched model that had a gradient on armed steps, while no
    optimizer that stepped holds them.

Why it matters
    They stay as they were initialised: layers added after the optimizer was made, kept in a plain
    list, or of a model that was replaced since, never learn.

What else it could be
    Layers left frozen on purpose, without ``requires_grad_(False)``: then their gradients are
    computed in vain.

Remedies, with safety
    Make the optimizer after the model is complete, from ``model.parameters()``; keep layers in
    ``nn.ModuleList`` (changes training).

Options
    ``FEWEST_STEPS``: armed steps.

References:
    torch.optim, "Constructing it".
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import OptimizerFacts

FEWEST_STEPS = 2

REMEDIES = (
    Advice(
        "make the optimizer from model.parameters(), after the model is complete and moved",
        Safety.CHANGES_TRAINING,
    ),
    Advice("keep layers in nn.ModuleList or nn.Sequential, not in a list", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield one finding for all the weights that are left out."""
    if not reading.run.of(OptimizerFacts) or not reading.weights:
        yield NotJudged(Code.NOT_OPTIMISED, "no optimizer with weights was observed")
        return
    left_out = [
        fact
        for fact in reading.weights.values()
        if fact.is_trainable and not fact.is_optimised and fact.gradient_steps >= FEWEST_STEPS
    ]
    if not left_out:
        return
    names = tuple(fact.name for fact in left_out)
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    yield Finding(
        code=Code.NOT_OPTIMISED,
        severity=Severity.WARNING if len(left_out) < len(reading.weights) else Severity.ERROR,
        message=f"no optimizer holds {shown}, though they get gradients: they never learn",
        where=names[0],
        first_step=1,
        evidence={
            "weights": names[:50],
            "left_out": len(names),
            "of": len(reading.weights),
            "armed_steps": left_out[0].armed_steps,
        },
        cause="the optimizer was made from other parameters than the model's",
        strength=10.0,
        remedies=REMEDIES,
    )


RULE = Rule(
    Code.NOT_OPTIMISED,
    "not-optimised",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.GRADIENTS_KEPT, Code.IDENTICAL_UNITS},
)
