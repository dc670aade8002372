"""A softmax before cross-entropy, which applies one itself.

What it detects
    ``cross_entropy`` whose prediction comes out of a softmax, by the autograd graph; where there
    is no graph to see, predictions that were probabilities of rows summing to 1 on every call. A
    log-softmax there changes nothing, and is a note.

Why it matters
    Softmax of probabilities lies between 1/(K-1+e) and e/(K-1+e): the loss cannot fall below about
    ln(1 + (K-1)/e), and gradients shrink with confidence. It learns, slowly and badly.

What else it could be
    A temperature or a mixture of experts made on purpose.

Remedies, with safety
    Give the loss the logits; apply the softmax only when probabilities are wanted (changes model).

Options
    ``FEWEST_ROWS``: rows of probabilities that are proof enough without a graph.

References:
    torch.nn.CrossEntropyLoss: "The input is expected to contain the unnormalized logits".
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import head_evidence, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

FEWEST_ROWS = 64

REMEDIES = (
    Advice(
        "give cross-entropy the logits: take the softmax out of the network", Safety.CHANGES_MODEL
    ),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each cross-entropy of something that went through a softmax."""
    if reading.loss is None:
        yield NotJudged(Code.SOFTMAX_TWICE, "no loss was observed")
    for loss in reading.training_losses:
        found = _softmax_before(loss)
        if found is None or loss.head_width == 1:
            continue
        is_harmless = found == "log_softmax"
        yield Finding(
            code=Code.SOFTMAX_TWICE,
            severity=Severity.NOTE if is_harmless else Severity.WARNING,
            message=f"{place_of(loss)} is given the output of a {found}, and applies a softmax "
            + ("again, which changes nothing here" if is_harmless else "to it again"),
            where=place_of(loss),
            first_step=loss.step,
            evidence=head_evidence(loss),
            cause="the network ends in a softmax of its own",
            strength=10.0,
            remedies=REMEDIES,
        )


def _softmax_before(loss: LossFacts) -> str | None:
    """Return which softmax the prediction came from; None if from none."""
    if loss.function == "by hand":
        return _softmax_before_softmax(loss.operations)
    if loss.function != "cross_entropy":
        return None
    if loss.head is not None:
        return next((each for each in loss.head[:2] if each in {"softmax", "log_softmax"}), None)
    is_probable = loss.is_unit_interval and loss.is_normalised and loss.rows >= FEWEST_ROWS
    return "softmax" if is_probable else None


def _softmax_before_softmax(operations: tuple[str, ...]) -> str | None:
    """Return the inner one of two softmaxes in a loss by hand; the last operation comes first."""
    found = [each for each in operations if each in {"softmax", "log_softmax"}]
    return found[1] if len(found) > 1 else None


RULE = Rule(Code.SOFTMAX_TWICE, "softmax-twice", __doc__ or "", check, explains=SYMPTOMS)
