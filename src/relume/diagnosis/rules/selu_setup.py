"""SELU without the initialisation and the dropout that it is made for.

What it detects
    A SELU network whose weights do not have variance 1 / fan_in at first, or that drops units by
    plain dropout.

Why it matters
    SELU keeps mean 0 and variance 1 from layer to layer only for such weights and alpha dropout;
    otherwise it is one activation among others.

What else it could be
    Torch's default initialisation has variance 1 / (3 fan_in): with few layers it costs little, so
    that this is a note; a warning from three such layers on, or with a plain dropout.

Remedies, with safety
    ``nn.init.kaiming_normal_(w, nonlinearity="linear")`` (changes training); ``nn.AlphaDropout``
    (changes model).

Options
    ``LOW`` and ``HIGH``: bounds on deviation times sqrt(fan_in); ``DEEP``.

References:
    Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
"""

import math
from collections.abc import Iterator

from relume.diagnosis.codes import CURVE_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

LOW, HIGH = 0.8, 1.25
DEEP = 3

REMEDIES = (
    Advice(
        'initialise with nn.init.kaiming_normal_(w, nonlinearity="linear")',
        Safety.CHANGES_TRAINING,
    ),
    Advice("drop units by nn.AlphaDropout", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield one finding for a SELU network that is not set up as one."""
    sites = [layer for layer in reading.run.layers if layer.activation == "selu"]
    if not sites:
        return
    owners = [reading.weights.get(f"{layer.owner}.weight") for layer in sites]
    scales = [
        fact.initial.deviation * math.sqrt(fact.fan_in) for fact in owners if fact and fact.fan_in
    ]
    drops = [m.name for m in reading.modules.values() if m.kind == "Dropout" and m.order >= 0]
    if not scales and not reading.modules:
        yield NotJudged(Code.SELU_SETUP, "no weights and modules were observed")
    off = [scale for scale in scales if not LOW <= scale <= HIGH]
    if not off and not drops:
        return
    is_harmful = bool(drops) or len(off) >= DEEP
    yield Finding(
        code=Code.SELU_SETUP,
        severity=Severity.WARNING if is_harmful else Severity.NOTE,
        message=f"SELU is used in {len(sites)} places, "
        + " and ".join(
            [f"{len(off)} of its layers begin with another variance than 1 / fan_in"] * bool(off)
            + [f"{len(drops)} plain dropouts disturb its mean and variance"] * bool(drops)
        ),
        where=sites[0].name,
        first_step=1,
        evidence={
            "layers": len(sites),
            "scales": tuple(scales),
            "dropouts": tuple(drops),
            "learned": reading.learned,
        },
        cause="the defaults of other activations",
        remedies=REMEDIES,
    )


RULE = Rule(Code.SELU_SETUP, "selu-setup", __doc__ or "", check, explains=CURVE_SYMPTOMS)
