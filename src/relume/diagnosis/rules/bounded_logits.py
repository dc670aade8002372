"""An activation cuts off the logits before the loss.

What it detects
    ``cross_entropy``, ``binary_cross_entropy_with_logits`` or the mean of ``softplus(z) - z * y``
    by hand, whose prediction comes straight out of a ReLU, tanh, sigmoid, clamp or another bounded
    activation.

Why it matters
    Logits want the whole line. A ReLU there lets classes die: a logit that is negative on every
    row stays 0 and gets no gradient. Tanh and sigmoid bound how sure the network can be.

What else it could be
    A scaled tanh to bound logits on purpose, as some attention and search models do.

Remedies, with safety
    Take the last activation out (changes model).

Options
    None.

References:
    torch.nn.CrossEntropyLoss, on unnormalized logits.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import head_evidence, is_of_log_odds, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule

BOUNDED = frozenset(
    {"relu", "relu6", "tanh", "hardtanh", "sigmoid", "hardsigmoid", "clamp", "softplus", "abs"}
)
REMEDIES = (Advice("take the activation after the last layer out", Safety.CHANGES_MODEL),)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss with logits that come out of a bounded activation."""
    known = [fact for fact in reading.training_losses if fact.head is not None]
    if not known:
        yield NotJudged(Code.BOUNDED_LOGITS, "no head was observed")
    for loss in known:
        last = next(iter(loss.head or ()), "")
        is_squashed = last == "sigmoid" and loss.function != "cross_entropy"  # RLM012
        takes_logits = loss.function == "cross_entropy" or is_of_log_odds(loss)
        if not takes_logits or last not in BOUNDED or is_squashed:
            continue
        yield Finding(
            code=Code.BOUNDED_LOGITS,
            severity=Severity.WARNING,
            message=f"the logits of {place_of(loss)} come out of a {last}: they lie between "
            f"{loss.prediction.least:.3g} and {loss.prediction.greatest:.3g}",
            where=place_of(loss),
            first_step=loss.step,
            evidence=head_evidence(loss),
            cause=f"the network ends in a {last}",
            strength=8.0,
            remedies=REMEDIES,
        )


RULE = Rule(
    Code.BOUNDED_LOGITS,
    "bounded-logits",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.RELU_ON_OUTPUT, Code.NO_GRADIENT},
)
