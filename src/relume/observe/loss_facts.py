"""The running sums of one loss, computed from one place in one phase, and the facts they make."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from relume.observe.loss_values import Look, Number, add, keep_greatest
from relume.observe.losses import LossFunction
from relume.runs.facts import LossFacts, Phase, Spread

LEAST_CLASSES = 3
"""Whole numbers are taken for classes from so many on, if they are 0, 1, ... without a gap."""

_KINDS = {
    "normalised": "not normalised", "binary": "not binary", "whole": "not whole",
    "one hot": "not one hot", "distribution": "not a distribution",
}  # fmt: skip
"""What may be ruled out, and by what."""

_OF_PROBABILITIES = ("binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div")
"""Their targets are probabilities where they are nothing simpler."""


@dataclass(slots=True, eq=False)
class LossTotals:
    """One loss, from one place, in one phase.

    Args:
        function: What was called.
        phase: What for.
        place: ``file:line``, if known.
        step: The first step on which it was seen.
        prediction_shape: Of the first call.
        target_shape: Of the first call.
        width: Outputs per row.

    Attributes:
        head: Of the prediction.
        head_layer: Which module's weights made it.
        operations: Of a loss by hand.
    """

    function: LossFunction
    phase: Phase
    place: str | None
    step: int
    prediction_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    width: int
    head: tuple[str, ...] | None = None
    head_layer: str | None = None
    operations: tuple[str, ...] = ()
    is_broadcast: bool = False
    is_weighted: bool = False
    is_index: bool = False
    calls: int = 0
    rows: int = 0
    first_loss: Number = math.nan
    sums: dict[str, Number] = field(default_factory=dict)
    peaks: dict[str, Number] = field(default_factory=dict)
    read_out: frozenset[str] = frozenset()  # ruled out, as the facts before told
    modes: list[int] = field(default_factory=lambda: [0, 0])  # eval, training

    def add(self, look: Look) -> None:
        """Add one call."""
        if not self.calls:
            self.first_loss = look.loss
        self.calls += 1
        self.rows += look.rows
        if look.is_training is not None:
            self.modes[look.is_training] += 1
        add(self.sums, look.sums)
        keep_greatest(self.peaks, look.peaks)

    def ruled_out(self) -> frozenset[str]:
        """Return what is known not to be so, as far as it is known without waiting."""
        out = {kind for kind, peak in _KINDS.items() if self.peaks.get(peak) is True}
        if self.calls and self.width == 1:
            out |= {"one hot", "distribution"}
        elif self.calls:
            out.add("whole")
        return frozenset(out) | self.read_out

    def fact(self) -> LossFacts:
        """Return what is known by now; what lies on other devices is read."""
        self.read_out = frozenset(kind for kind, peak in _KINDS.items() if self._fails(peak))
        kind = self._target_kind()
        counts, predicted = self._counts(kind)
        prediction = self._spread("prediction")
        eval_calls, training_calls = self.modes
        known = eval_calls + training_calls
        return LossFacts(
            function=self.function.name,
            phase=self.phase,
            place=self.place,
            step=self.step,
            calls=self.calls,
            rows=self.rows,
            prediction_shape=self.prediction_shape,
            target_shape=self.target_shape,
            is_broadcast=self.is_broadcast,
            head=self.head,
            head_layer=self.head_layer,
            head_width=self.width,
            operations=self.operations,
            prediction=prediction,
            is_unit_interval=_is_unit(prediction),
            is_normalised=self._holds("not normalised"),
            target=self._spread("target"),
            target_kind=kind,
            class_counts=counts,
            predicted_counts=predicted,
            ignored=int(self.sums.get("ignored", 0)),
            first_loss=float(self.first_loss),
            is_in_training_mode=training_calls / known if known else math.nan,
            weighted=self.is_weighted,
        )

    def right(self) -> tuple[str, str] | None:
        """Return the names of the sums of right ones and of all; None without classes."""
        kind = self._target_kind()
        if kind in {"classes", "one hot"} and "judged" in self.sums:
            return "right", "judged"
        if kind == "binary" and "binary judged" in self.sums:
            return "binary right", "binary judged"
        return None

    def _holds(self, violation: str) -> bool:
        return violation in self.peaks and not bool(self.peaks[violation])

    def _fails(self, violation: str) -> bool:
        return violation in self.peaks and bool(self.peaks[violation])

    def _target_kind(self) -> str:
        if self.is_index:
            return "classes"
        is_known = "target count" in self.sums
        if not is_known or self.function.is_amount:
            return "amounts" if is_known else ""
        return self._kind_of_elements()

    def _kind_of_elements(self) -> str:
        is_binary = self._holds("not binary")
        is_distribution = self.width > 1 and self._holds("not a distribution")
        whole = self._holds("not whole") and self._classes_without_gap()
        kinds = {
            "one hot": is_binary and self._holds("not one hot"),
            "binary": is_binary,
            "probabilities": is_distribution or self.function.name in _OF_PROBABILITIES,
            "classes": whole,
        }
        return next((kind for kind, holds in kinds.items() if holds), "amounts")

    def _classes_without_gap(self) -> bool:
        counts = _numbers(self.sums["whole"])
        largest = max((value for value, count in enumerate(counts) if count), default=0)
        return largest + 1 >= LEAST_CLASSES and all(counts[: largest + 1])

    def _counts(self, kind: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if kind == "binary":
            return self._pick("binary"), self._pick("predicted binary")
        if kind == "classes" and "classes" not in self.sums and "whole" in self.sums:
            counts = self._pick("whole")
            return counts[: max(i for i, count in enumerate(counts) if count) + 1], ()
        if kind in {"classes", "one hot"}:
            return self._pick("classes"), self._pick("predicted classes")
        return (), ()

    def _pick(self, name: str) -> tuple[int, ...]:
        return tuple(int(each) for each in _numbers(self.sums.get(name, ())))

    def _spread(self, name: str) -> Spread:
        sums, peaks = self.sums, self.peaks
        count = int(sums.get(f"{name} count", 0))
        nonfinite = int(sums.get(f"{name} nonfinite", 0))
        if not count:
            return Spread(nonfinite=nonfinite)
        mean = float(sums[f"{name} total"]) / count
        variance = float(sums[f"{name} squares"]) / count - mean * mean
        return Spread(
            count=count,
            mean=mean,
            deviation=math.sqrt(max(0.0, variance)),
            least=-float(peaks[f"{name} least"]),
            greatest=float(peaks[f"{name} greatest"]),
            nonfinite=nonfinite,
        )


def _is_unit(spread: Spread) -> bool:
    return spread.count > 0 and not spread.nonfinite and spread.least >= 0 and spread.greatest <= 1


def _numbers(counts: Number) -> Sequence[int]:
    listed: list[int] = counts.tolist() if isinstance(counts, Tensor | np.ndarray) else list(counts)
    return listed
