"""Layers with weights follow one another without a nonlinearity between them.

What it detects
    A linear layer or convolution whose input is a linear function of another one's output: views,
    sums, dropout and mean pooling lie between them and nothing else. Where no activation was seen
    in the whole network it is an error; a narrow layer between two wider ones is a note.

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

from collections.abc import Iterator

from relume.diagnosis.codes import CURVE_SYMPTOMS, RATES, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import ModuleFacts

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


def _severity(reading: Reading, first: ModuleFacts, second: ModuleFacts) -> Severity:
    if not reading.run.layers:
        return Severity.ERROR
    shapes = [_shape(reading, module) for module in (first, second)]
    if not all(shapes) or first.details.get("is_factor") or second.details.get("is_factor"):
        return Severity.NOTE
    (inner, inputs), (outputs, _) = shapes[0][:2], shapes[1][:2]
    is_narrow = inner < min(inputs, outputs)
    is_plain = first.kind == second.kind
    return Severity.WARNING if is_plain and not is_narrow else Severity.NOTE


def _shape(reading: Reading, module: ModuleFacts) -> tuple[int, ...]:
    fact = reading.weights.get(f"{module.name}.weight")
    return fact.shape if fact is not None and len(fact.shape) >= 2 else ()


RULE = Rule(
    Code.LINEAR_STACK,
    "linear-stack",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS | RATES,
)
