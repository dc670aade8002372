"""The loss functions of torch that are observed, and how the arguments of each are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from torch import Tensor

from relume.observe.plain import has_plain_storage


class Form(StrEnum):
    """What a loss compares."""

    CLASSES = "classes"  # a row of scores with one class: an index, or a distribution
    ELEMENTS = "elements"  # each number with one of the target's
    ROWS = "rows"  # the distribution in a row with that of the target
    ALONE = "alone"  # outputs with each other, or with sequences: there is no target to count


@dataclass(frozen=True, slots=True)
class LossFunction:
    """One loss function of ``torch.nn.functional``.

    Args:
        name: Its name there.
        form: What it compares.
        threshold: Of two classes, the second is predicted above it; None where it says no class.
        is_signed: Whether two classes are told by -1 and 1 rather than by 0 and 1.
        is_amount: Whether whole numbers in the target are amounts all the same.
        prediction: Name of the argument that the model made.
        target: Name of the target, if there is one.
        target_at: Its position.
    """

    name: str
    form: Form
    threshold: float | None = None
    is_signed: bool = False
    is_amount: bool = False
    prediction: str = "input"
    target: str = "target"
    target_at: int = 1

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """The names under which torch has it, as ``(namespace, attribute)``."""
        return (("torch.nn.functional", self.name),)


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a loss was called with; not kept beyond the call.

    Args:
        prediction: What the model made.
        target: What it is compared with; None where there is none that can be read.
        ignore_index: Targets of this class are left out.
        reduction: ``mean``, ``sum`` or ``none``.
        is_weighted: Whether class weights were given.
    """

    prediction: Tensor
    target: Tensor | None
    ignore_index: int = -100
    reduction: str = "mean"
    is_weighted: bool = False


@dataclass(frozen=True, slots=True)
class LossContext:
    """What the code around a loss knows of it.

    Args:
        place: Where it is, as it is to be said.
        is_weighted: Whether rows weigh by their class.
    """

    place: str | None = None
    is_weighted: bool = False


def read_call(
    function: LossFunction, args: Sequence[Any], named: Mapping[str, Any]
) -> Given | None:
    """Read the arguments of a call; None where the prediction is no tensor."""
    prediction = args[0] if args else named.get(function.prediction)
    if not isinstance(prediction, Tensor):
        return None
    at = function.target_at
    target = args[at] if len(args) > at else named.get(function.target)
    is_read = function.form is not Form.ALONE and isinstance(target, Tensor)
    return Given(
        prediction,
        _plain_target(target, named) if is_read else None,
        ignore_index=_ignored(function, args, named),
        reduction=_reduction(function, args, named),
        is_weighted=_is_weighted(function, args, named),
    )


def _plain_target(target: Any, named: Mapping[str, Any]) -> Tensor | None:
    """Return a target, not as logarithms; None where it cannot be read."""
    if not has_plain_storage(target) or target.is_complex():
        return None
    plain: Tensor = target.detach().exp() if named.get("log_target") else target
    return plain


def _ignored(function: LossFunction, args: Sequence[Any], named: Mapping[str, Any]) -> int:
    if function.name not in {"cross_entropy", "nll_loss"}:
        return -100
    return int(args[4] if len(args) > 4 else named.get("ignore_index", -100))


def _is_weighted(function: LossFunction, args: Sequence[Any], named: Mapping[str, Any]) -> bool:
    if function.name not in _WEIGHTED:
        return False
    at = _WEIGHTED[function.name]
    given = [args[at] if len(args) > at else named.get("weight"), named.get("pos_weight")]
    return any(each is not None for each in given)


def _reduction(function: LossFunction, args: Sequence[Any], named: Mapping[str, Any]) -> str:
    """Return the reduction; what the old ``size_average`` and ``reduce`` say goes before it."""
    if named.get("reduce") is False:
        return "none"
    if named.get("size_average") is False:
        return "sum"
    at = _REDUCTION_AT.get(function.name)
    if at is not None and len(args) > at:
        return str(args[at])
    return str(named.get("reduction", "mean"))


_WEIGHTED = {
    "cross_entropy": 2, "nll_loss": 2, "binary_cross_entropy": 2,
    "binary_cross_entropy_with_logits": 2, "multi_margin_loss": 4, "multilabel_soft_margin_loss": 2,
}  # fmt: skip
"""Position of the class weights."""

_REDUCTION_AT = {
    "cross_entropy": 6, "nll_loss": 6, "binary_cross_entropy": 5,
    "binary_cross_entropy_with_logits": 5, "mse_loss": 4, "l1_loss": 4, "smooth_l1_loss": 4,
    "huber_loss": 2, "kl_div": 4, "gaussian_nll_loss": 5, "poisson_nll_loss": 7,
    "soft_margin_loss": 4, "multi_margin_loss": 7, "multilabel_margin_loss": 4,
    "multilabel_soft_margin_loss": 5, "hinge_embedding_loss": 5, "margin_ranking_loss": 6,
    "cosine_embedding_loss": 6, "triplet_margin_loss": 8, "ctc_loss": 5,
}  # fmt: skip
"""Position of the reduction, where it can be given without its name."""


LOSSES: tuple[LossFunction, ...] = (
    LossFunction("cross_entropy", Form.CLASSES),
    LossFunction("nll_loss", Form.CLASSES),
    LossFunction("multi_margin_loss", Form.CLASSES),
    LossFunction("binary_cross_entropy", Form.ELEMENTS, 0.5),
    LossFunction("binary_cross_entropy_with_logits", Form.ELEMENTS, 0.0),
    LossFunction("multilabel_soft_margin_loss", Form.ELEMENTS, 0.0),
    LossFunction("soft_margin_loss", Form.ELEMENTS, 0.0, is_signed=True),
    LossFunction("mse_loss", Form.ELEMENTS, 0.5),
    LossFunction("l1_loss", Form.ELEMENTS, 0.5),
    LossFunction("smooth_l1_loss", Form.ELEMENTS, 0.5),
    LossFunction("huber_loss", Form.ELEMENTS, 0.5),
    LossFunction("gaussian_nll_loss", Form.ELEMENTS, is_amount=True),
    LossFunction("poisson_nll_loss", Form.ELEMENTS, is_amount=True),
    LossFunction("kl_div", Form.ROWS),
    LossFunction("hinge_embedding_loss", Form.ELEMENTS, is_signed=True),
    LossFunction(
        "margin_ranking_loss", Form.ELEMENTS, is_signed=True, prediction="input1", target_at=2
    ),
    LossFunction(
        "cosine_embedding_loss", Form.ALONE, is_signed=True, prediction="input1", target_at=2
    ),
    LossFunction("multilabel_margin_loss", Form.ALONE),
    LossFunction("triplet_margin_loss", Form.ALONE, prediction="anchor"),
    LossFunction("triplet_margin_with_distance_loss", Form.ALONE, prediction="anchor"),
    LossFunction("ctc_loss", Form.ALONE, prediction="log_probs", target="targets"),
)
"""Every loss function that is observed; the modules of ``torch.nn`` are seen through it."""
