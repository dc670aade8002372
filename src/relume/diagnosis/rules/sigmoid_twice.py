"""A sigmoid before binary cross-entropy with logits, which applies one itself.

What it detects
    ``binary_cross_entropy_with_logits``, or the mean of ``softplus(z) - z * y`` by hand, whose
    prediction comes out of a sigmoid or softmax, by the autograd graph; where there is no graph,
    predictions that all lay strictly between 0 and 1.

Why it matters
    The sigmoid of a probability lies between .5 and .73: the network cannot answer "no", and the
    loss cannot fall below that.

What else it could be
    Logits that happen to lie between 0 and 1: without a graph, many rows are asked for.

Remedies, with safety
    Give the loss the logits, or use ``binary_cross_entropy`` (changes training).

Options
    ``FEWEST_ROWS``: rows between 0 and 1 that are proof enough without a graph.

References:
    torch.nn.BCEWithLogitsLoss: "This loss combines a Sigmoid layer and the BCELoss".
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import head_evidence, is_of_log_odds, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

FEWEST_ROWS = 512
_SQUASHING = ("sigmoid", "softmax")

REMEDIES = (
    Advice("take the sigmoid out, and give the loss the logits", Safety.CHANGES_MODEL),
    Advice("or keep it, and use binary_cross_entropy", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each loss with logits that is given probabilities."""
    if reading.loss is None:
        yield NotJudged(Code.SIGMOID_TWICE, "no loss was observed")
    for loss in reading.training_losses:
        if not is_of_log_odds(loss) or not _is_squashed(loss):
            continue
        yield Finding(
            code=Code.SIGMOID_TWICE,
            severity=Severity.WARNING,
            message=f"{place_of(loss)} is given numbers between {loss.prediction.least:.3g} and "
            f"{loss.prediction.greatest:.3g} out of a sigmoid, and applies a sigmoid again",
            where=place_of(loss),
            first_step=loss.step,
            evidence=head_evidence(loss),
            cause="the network ends in a sigmoid of its own",
            strength=10.0,
            remedies=REMEDIES,
        )


def _is_squashed(loss: LossFacts) -> bool:
    if loss.head is not None:
        return any(each in _SQUASHING for each in loss.head[:2])
    return loss.is_unit_interval and loss.prediction.least > 0 and loss.rows >= FEWEST_ROWS


RULE = Rule(Code.SIGMOID_TWICE, "sigmoid-twice", __doc__ or "", check, explains=SYMPTOMS)
