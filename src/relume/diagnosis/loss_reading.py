"""A single loss as the rules read it: where it is called, of what it is, what guessing costs."""

import math

import numpy as np

from relume.runs.facts import LossFacts

OF_CLASSES = frozenset(
    {"cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"}
)
"""Losses of which the best constant prediction gives the entropy of the classes."""

OF_AMOUNTS = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
"""Losses that compare amounts."""


def place_of(loss: LossFacts) -> str:
    """Return how a loss is named to a person: its function and where it is called."""
    return f"{loss.function} ({loss.place})" if loss.place else loss.function


def head_evidence(loss: LossFacts) -> dict[str, tuple[str, ...] | float | int]:
    """Return what a finding about the head of a loss rests on."""
    return {
        "head": loss.head or (),
        "least": loss.prediction.least,
        "greatest": loss.prediction.greatest,
        "rows": loss.rows,
    }


def is_by_hand(loss: LossFacts, *operations: str) -> bool:
    """Whether a loss was put together by hand, from one of some operations among others."""
    return loss.function == "by hand" and bool(set(operations) & set(loss.operations))


def is_of_amounts(loss: LossFacts) -> bool:
    """Whether a loss compares amounts: by a function for them, or by hand as a difference."""
    is_difference = is_by_hand(loss, "sub") and not is_of_log_odds(loss)
    return loss.function in OF_AMOUNTS or is_difference


def is_of_log_odds(loss: LossFacts) -> bool:
    """Whether a loss is the cross-entropy of log odds: torch's, or softplus(z) - zy by hand."""
    is_written = is_by_hand(loss, "softplus") and loss.target_kind == "binary"
    return is_written or loss.function == "binary_cross_entropy_with_logits"


def chance_loss(loss: LossFacts) -> float:
    """Return the loss of the best constant prediction; nan where that is not known.

    For classes the entropy of their shares, in nats, and of equal shares where classes weigh; for
    amounts under the squared error their variance.
    """
    counts = np.array(loss.class_counts, float)
    is_squared = loss.function == "mse_loss" or (
        is_by_hand(loss, "pow") and "sub" in loss.operations
    )
    is_of_classes = (
        loss.function in OF_CLASSES
        or is_by_hand(loss, "log_softmax", "log")
        or is_of_log_odds(loss)
    )
    if is_of_classes and not is_squared and counts.sum() > 0:
        if loss.weighted:  # as a rule so that all classes count alike
            return float(np.log((counts > 0).sum()))
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())
    if is_squared and math.isfinite(loss.target.deviation):
        return loss.target.deviation**2
    return math.nan
