"""Layers with weights follow one another without a nonlinearity between them.

What it detects
    A linear layer or convolution whose input is a linear function of another one's output: views,
    sums, dropout and mean pooling lie between them and nothing else. Where no activation was seen
    in the whole network it is an error; what is factorised or projected on purpose is a note: a
    first layer with at most half of the units on both sides, an embedding, depthwise and separable
    convolutions, the projections of attention. Batch norm is linear too, once it is trained: where
    no activation was seen and only batch norm lies between the layers, it is a warning.

Why it matters
    Two linear maps are one linear map: the second layer adds parameters and no functions.

What else it could be
    Factorised or low-rank layers, depthwise before pointwise convolutions, tied projections.

Remedies, with safety
    Put a ReLU between them, or merge them (changes model).

Options
    None.

References:
    Baldi & Hornik, "Neural networks and principal component analysis", Neural Networks 2, 1989.
"""

import re
from collections.abc import Iterator

from relume.diagnosis.codes import CURVE_SYMPTOMS, RATES, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import ModuleFacts

_WEIGHTED = re.compile(r"Linear|Conv[123]d")
_BATCH_NORM = re.compile(r"BatchNorm[123]d")
_LINEAR = re.compile(r"Identity|Dropout[123]?d?|Flatten|Unflatten|(Adaptive)?AvgPool[123]d")

REMEDIES = (Advice("put an activation between them, or merge them", Safety.CHANGES_MODEL),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each pair of layers that is one linear map."""
    if not reading.modules:
        yield NotJudged(Code.LINEAR_STACK, "no module was observed")
    pairs = [
        (reading.modules[module.follows], module)
        for module in reading.modules.values()
        if module.follows is not None and module.follows in reading.modules
    ]
    if not pairs and not reading.run.layers:
        yield from _normalised(reading)
    for first, second in pairs:
        yield Finding(
            code=Code.LINEAR_STACK,
            severity=_severity(reading, first, second),
            message=f"nothing but linear operations lies between {first.name} and {second.name}",
            where=second.name,
            first_step=1,
            evidence={"first": first.name, "second": second.name, "pairs": len(pairs)},
            cause="an activation is missing",
            strength=2.0 + len(pairs),
            remedies=REMEDIES,
        )


def _normalised(reading: Reading) -> Iterator[Finding]:
    """Yield a finding for a network of weights and batch norms in turn, and nothing else."""
    parents = {name.rpartition(".")[0] for name in reading.modules} | {""}
    leaves = sorted(
        (m for m in reading.modules.values() if m.order >= 0 and m.name not in parents),
        key=lambda module: module.order,
    )
    weighted = [module for module in leaves if _WEIGHTED.fullmatch(module.kind)]
    norms = [module for module in leaves if _BATCH_NORM.fullmatch(module.kind)]
    others = [module for module in leaves if module not in weighted and module not in norms]
    if len(weighted) < 2 or not norms or any(not _LINEAR.fullmatch(m.kind) for m in others):
        return
    yield Finding(
        code=Code.LINEAR_STACK,
        severity=Severity.WARNING,
        message=f"no activation was seen: {len(weighted)} layers from {weighted[0].name} to "
        f"{weighted[-1].name} are one linear map, but for their batch norm",
        where=weighted[-1].name,
        first_step=1,
        evidence={"layers": tuple(module.name for module in weighted), "norms": len(norms)},
        cause="the activations are missing",
        strength=2.0 + len(weighted),
        remedies=REMEDIES,
    )


def _severity(reading: Reading, first: ModuleFacts, second: ModuleFacts) -> Severity:
    if not reading.run.layers:
        return Severity.ERROR
    is_meant = any(
        module.details.get("is_attention") or "factorised" in module.details
        for module in (first, second)
    )
    return Severity.WARNING if first.kind == second.kind and not is_meant else Severity.NOTE


RULE = Rule(
    Code.LINEAR_STACK,
    "linear-stack",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS | RATES,
)
