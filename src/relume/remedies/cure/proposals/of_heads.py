"""Proposals for the head and the loss: what stands between the last weights and the score."""

import math
from collections.abc import Iterator, Mapping

from relume.diagnosis.finding import Safety
from relume.remedies.cure.case import Case, short
from relume.remedies.cure.treatment import Kind, Treatment

RECTIFIERS = frozenset({"relu", "relu6", "leaky_relu", "elu", "selu", "softplus"})
BOUNDED = frozenset({"tanh", "sigmoid"})
NORMALISERS: Mapping[str, frozenset[str]] = {
    "cross_entropy": frozenset({"softmax", "log_softmax"}),
    "binary_cross_entropy_with_logits": frozenset({"sigmoid"}),
}
"""What a loss applies by itself."""
NEEDED: Mapping[str, frozenset[str]] = {
    "binary_cross_entropy": frozenset({"sigmoid"}),
    "nll_loss": frozenset({"log_softmax"}),
}
"""What a loss asks for before it."""
WEIGHABLE = frozenset({"cross_entropy", "nll_loss", "binary_cross_entropy_with_logits"})
"""Losses that take weights of classes."""
ADDED = 1e-12
"""Under a square root, which becomes 1e-6 at least."""
IMBALANCED = 2.0
"""Times the rows of the rarest class that the commonest one has, for weights to matter."""


def skip_normaliser(case: Case) -> Iterator[Treatment]:
    """Propose to leave out what the loss applies by itself; one by hand, whatever it is."""
    any_of_them = frozenset().union(*NORMALISERS.values())
    by_hand = frozenset() if case.loss_function else any_of_them
    functions = NORMALISERS.get(case.loss_function, by_hand)
    yield from _skip(case, functions, changes_loss=True)


def skip_bounded(case: Case) -> Iterator[Treatment]:
    """Propose to leave out what bounds the output."""
    yield from _skip(case, RECTIFIERS | BOUNDED, changes_loss=False)


def skip_before_logits(case: Case) -> Iterator[Treatment]:
    """Propose to leave out what bounds logits, which a loss takes from minus to plus infinity."""
    if case.loss_function in NORMALISERS:
        yield from skip_bounded(case)


def skip_rectifier(case: Case) -> Iterator[Treatment]:
    """Propose to leave out what cuts the output off."""
    yield from _skip(case, RECTIFIERS, changes_loss=False)


def _skip(case: Case, functions: frozenset[str], *, changes_loss: bool) -> Iterator[Treatment]:
    needed = NEEDED.get(case.loss_function, frozenset())
    for key in case.head:
        name = str(key["function"])
        if name in functions and name not in needed:
            yield Treatment(
                kind=Kind.SKIP,
                label=f"no {name} before {case.loss_function or 'the loss'}",
                numbers={"keys": [dict(key)]},
                changes_loss=changes_loss,
            )


def log_softmax(case: Case) -> Iterator[Treatment]:
    """Propose the logarithms that a negative log-likelihood takes."""
    if case.loss_function != "nll_loss":
        return
    is_share = any(each["function"] == "softmax" for each in case.head)
    yield Treatment(
        kind=Kind.LOG_SOFTMAX,
        label=f"{'log' if is_share else 'log-softmax'} before nll_loss",
        numbers={"of_probabilities": is_share},
        changes_loss=True,
    )


def probabilities(case: Case) -> Iterator[Treatment]:
    """Propose softmax, or sigmoid for outputs judged one by one, behind the model."""
    loss = case.loss
    if loss is None or loss.function == "kl_div":
        return
    is_binary = loss.function == "binary_cross_entropy" or loss.target_kind == "binary"
    to = "sigmoid" if is_binary or loss.head_width == 1 else "softmax"
    yield Treatment(
        kind=Kind.PROBABILITIES,
        label=f"{to} of what the model gives",
        numbers={"function": to},
        changes_loss=True,
    )


def one_output(case: Case) -> Iterator[Treatment]:
    """Propose a sigmoid for a softmax over one unit, or the loss that takes one logit."""
    keys = [dict(each) for each in case.head if each["function"] in {"softmax", "log_softmax"}]
    if case.loss_function == "binary_cross_entropy" and keys:
        yield Treatment(
            kind=Kind.SWAP,
            label=f"sigmoid in place of {keys[0]['function']}",
            numbers={"keys": keys[:1], "to": "sigmoid"},
            changes_loss=True,
        )
    shapes = _shapes(case)
    if case.loss_function == "cross_entropy" and shapes is not None and shapes[0] == shapes[1]:
        yield Treatment(
            kind=Kind.ONE_LOGIT,
            label="binary cross-entropy with logits in place of cross_entropy",
            changes_loss=True,
        )


def squeeze(case: Case) -> Iterator[Treatment]:
    """Propose one shape for both sides of the loss."""
    shapes = _shapes(case)
    if (
        shapes is not None
        and shapes[0] != shapes[1]
        and math.prod(shapes[0]) == math.prod(shapes[1])
    ):
        yield Treatment(
            kind=Kind.SQUEEZE,
            label="prediction and target in one shape",
            numbers={"prediction": shapes[0], "target": shapes[1]},
            changes_loss=True,
        )


def difference(case: Case) -> Iterator[Treatment]:
    """Propose one shape for both sides of a subtraction by hand that compares all with all."""
    differences = case.survey.get("differences", ())
    if differences:
        yield Treatment(
            kind=Kind.DIFFERENCE,
            label="prediction and target in one shape",
            numbers={"differences": [dict(each) for each in differences]},
            changes_loss=True,
        )


def _shapes(case: Case) -> tuple[list[int], list[int]] | None:
    loss = case.survey.get("loss", {})
    prediction, target = loss.get("prediction_shape"), loss.get("target_shape")
    return None if prediction is None or target is None else (prediction, target)


def root(case: Case) -> Iterator[Treatment]:
    """Propose to keep off 0, where its slope is infinite, what stands under a square root."""
    if case.roots:
        yield Treatment(
            kind=Kind.ROOT,
            label=f"{ADDED:g} under the square root",
            numbers={"places": [dict(each) for each in case.roots], "added": ADDED},
        )


def class_weights(case: Case) -> Iterator[Treatment]:
    """Propose to weight the rare classes, where the loss takes weights."""
    counts = case.loss.class_counts if case.loss is not None else ()
    if case.loss_function not in WEIGHABLE:
        return
    present = [count for count in counts if count]
    if len(present) < 2 or max(present) < IMBALANCED * min(present):
        return
    most = max(counts)
    for power, name in ((1.0, "1 / share"), (0.5, "1 / root of share")):
        weights = [short((most / count) ** power) if count else 1.0 for count in counts]
        yield Treatment(
            kind=Kind.CLASS_WEIGHTS,
            label=f"classes weighted by {name}",
            numbers={"weights": weights},
            changes_loss=True,
        )


def swap(case: Case, functions: frozenset[str], to: str) -> Iterator[Treatment]:
    """Propose another activation in the hidden layers."""
    keys = [dict(each) for each in case.hidden if each["function"] in functions]
    if keys:
        yield Treatment(
            kind=Kind.SWAP,
            label=f"{to} in place of {keys[0]['function']}",
            numbers={"keys": keys, "to": to},
            safety=Safety.CHANGES_MODEL,
        )
