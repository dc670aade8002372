"""The negative log-likelihood is given something that is no logarithm of a probability.

What it detects
    ``nll_loss`` whose prediction did not come out of a log-softmax or a logarithm, by the autograd
    graph; where there is no graph, predictions above 0.

Why it matters
    It only picks the output of the right class: without the logarithm it falls without bound
    (logits) or stops at -1 with a vanishing gradient (probabilities).

What else it could be
    A model of one's own whose outputs are log-probabilities by construction.

Remedies, with safety
    Use ``cross_entropy`` on the logits, or end in ``log_softmax`` (changes training).

Options
    ``TOLERANCE``: above 0, for rounding.

References:
    torch.nn.NLLLoss: "The input given through a forward call is expected to contain
    log-probabilities of each class".
"""

from collections.abc import Iterator

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import head_evidence, place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import LossFacts

TOLERANCE = 1e-4
_LOGARITHMS = {"log_softmax", "log", "logsigmoid", "logsumexp"}

REMEDIES = (
    Advice("use cross_entropy on the logits", Safety.CHANGES_TRAINING),
    Advice("or end the network in log_softmax", Safety.CHANGES_MODEL),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for each negative log-likelihood without a logarithm."""
    if reading.loss is None:
        yield NotJudged(Code.NLL_WITHOUT_LOG, "no loss was observed")
    for loss in reading.training_losses:
        if loss.function != "nll_loss" or _is_logarithm(loss):
            continue
        is_softmax = "softmax" in (loss.head or ()) or loss.is_unit_interval
        given = "probabilities" if is_softmax else "raw outputs"
        yield Finding(
            code=Code.NLL_WITHOUT_LOG,
            severity=Severity.ERROR,
            message=f"{place_of(loss)} wants logarithms of probabilities and is given {given}, "
            f"up to {loss.prediction.greatest:.3g}",
            where=place_of(loss),
            first_step=loss.step,
            evidence=head_evidence(loss),
            cause="no log-softmax stands between the last weights and the loss",
            strength=10.0,
            remedies=REMEDIES,
        )


def _is_logarithm(loss: LossFacts) -> bool:
    if loss.head and _LOGARITHMS & set(loss.head):
        return True
    if loss.head is not None and loss.head[:1] == ("softmax",):
        return False
    return not loss.prediction.greatest > TOLERANCE


RULE = Rule(
    Code.NLL_WITHOUT_LOG,
    "nll-without-log",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.FIRST_LOSS},
)
