"""A plain recurrent layer with tanh in a network of ReLU: the default may not have been meant.

What it detects
    ``nn.RNN`` or ``nn.RNNCell`` with its default nonlinearity in a model whose other activations
    are all ReLU or its like. A warning where the training left more than three tenths of a
    constant answer's loss, a note where it did better.

Why it matters
    ``nn.RNN`` applies tanh unless told otherwise: states are bounded, and gradients fade where it
    saturates. In a network of ReLU that is often an oversight.

What else it could be
    Meant: tanh is the usual choice for recurrent layers, and what is left may be noise.

Remedies, with safety
    ``nonlinearity="relu"`` with the recurrent matrix started as the identity (changes model); or
    leave it, if tanh was meant.

Options
    ``LEARNED``: the share of a constant answer's loss that is gone.

References:
    Le et al., "A simple way to initialize recurrent networks of rectified linear units",
    arXiv:1504.00941.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import RecurrentFacts

RECURRENT = frozenset({"RNN", "RNNCell"})
RECTIFIERS = frozenset(
    {"relu", "relu6", "leaky_relu", "prelu", "rrelu", "squared_relu", "thresholded_relu"}
)

LEARNED = 0.7

REMEDIES = (
    Advice(
        'give nonlinearity="relu", and start the recurrent matrix as the identity',
        Safety.CHANGES_MODEL,
    ),
    Advice("leave it as it is, if tanh was meant"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each recurrent layer that has the default tanh among ReLUs."""
    found = _by_default(reading)
    others = {
        layer.activation
        for layer in reading.run.layers
        if layer.name not in found and layer.owner not in found
    }
    if not others or not others <= RECTIFIERS:
        return
    for name, kind in found.items():
        yield Finding(
            code=Code.DEFAULT_TANH,
            severity=Severity.WARNING if reading.learned < LEARNED else Severity.NOTE,
            message=f"{name} ({kind}) applies tanh, its default, while the rest of the network "
            f"applies {' and '.join(sorted(others))}",
            where=name,
            first_step=1,
            evidence={"nonlinearity": "tanh", "others": tuple(sorted(others))},
            cause="nonlinearity is tanh unless it is given",
            remedies=REMEDIES,
        )


def _by_default(reading: Reading) -> dict[str, str]:
    """Return names and kinds of the plain recurrent layers with tanh."""
    of_modules = {
        name: fact.kind
        for name, fact in reading.modules.items()
        if fact.kind in RECURRENT and fact.details.get("nonlinearity") == "tanh"
    }
    of_passes = {
        fact.name: fact.kind
        for fact in reading.run.of(RecurrentFacts)
        if fact.kind in RECURRENT and fact.nonlinearity == "tanh"
    }
    return of_modules | of_passes


RULE = Rule(
    Code.DEFAULT_TANH,
    "default-tanh",
    __doc__ or "",
    check,
    explains=frozenset({Code.SATURATED_UNITS}),
)
