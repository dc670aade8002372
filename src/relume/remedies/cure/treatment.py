"""What a trial does otherwise than the person's own run: plain data, from process to process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from relume.diagnosis.finding import Safety

TREATMENTS = "RELUME_TREATMENTS"
"""Environment variable that names the file in which a process finds its treatments."""


class Kind(StrEnum):
    """The kinds of treatment; each has one class inside the trial and one edit of the source."""

    RATE = "rate"
    ONE_RATE = "one rate"
    HOLD_RATE = "hold the rate"
    MOMENTUM = "momentum"
    WEIGHT_DECAY = "weight decay"
    WARM_UP = "warm up"
    CLIP = "clip gradients"
    FINITE_GRADIENTS = "finite gradients"
    ROOT = "root"
    ZERO_GRADIENTS = "zero gradients"
    TRAIN_MODE = "train mode"
    ADD_PARAMETERS = "add parameters"
    SCHEDULE = "schedule"
    SKIP = "skip an activation"
    SWAP = "swap activations"
    INSERT = "insert an activation"
    NONLINEARITY = "recurrent nonlinearity"
    INITIALISE = "initialise"
    DROPOUT = "dropout"
    BATCH_NORM = "batch norm"
    SQUEEZE = "squeeze"
    DIFFERENCE = "difference"
    PROBABILITIES = "probabilities"
    ONE_LOGIT = "one logit"
    LOG_SOFTMAX = "log-softmax"
    CLASS_WEIGHTS = "class weights"
    SCALE = "scale"
    DROP_ROWS = "drop rows"
    SEED = "seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """One change that is put in from outside.

    Args:
        kind: What is done.
        label: In words, for a person: ``learning rate x 0.1``.
        numbers: How much and where; plain JSON data.
        safety: What it touches.
        answers: Codes of the findings that it answers.
        changes_loss: Whether the loss is another one under it, so that losses cannot be compared.

    Example:
        >>> halved = Treatment(kind=Kind.RATE, label="learning rate x 0.5", numbers={"factor": 0.5})
        >>> Treatment.from_json(halved.to_json()) == halved
        True
    """

    kind: Kind
    label: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    safety: Safety = Safety.CHANGES_TRAINING
    answers: tuple[str, ...] = ()
    changes_loss: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "kind": self.kind.value,
            "label": self.label,
            "numbers": dict(self.numbers),
            "safety": self.safety.value,
            "answers": list(self.answers),
            "changes_loss": self.changes_loss,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Return what ``to_json`` gave."""
        return cls(
            kind=Kind(said["kind"]),
            label=said["label"],
            numbers=said["numbers"],
            safety=Safety(said["safety"]),
            answers=tuple(said["answers"]),
            changes_loss=said["changes_loss"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a process of a trial is told.

    Args:
        folder: Where it records.
        treatments: What is done otherwise; empty: nothing.
        offset: Added to every seed that the program sets; 0 leaves them.
        surveys: Whether the places of the code are taken down.
        watching: Module that watches the run besides; empty: none does.
        score: Name of the score that stops a trial early.
        pattern: Regular expression whose first group is a score in the output; None: none.
        marks: Least (or, where ``is_less_better``, greatest) score at certain steps; below it the
            trial ends there.
        is_less_better: Whether a score is better the less it is.
    """

    folder: str
    treatments: tuple[Treatment, ...] = ()
    offset: int = 0
    surveys: bool = False
    watching: str = ""
    score: str = ""
    pattern: str | None = None
    marks: Mapping[int, float] = field(default_factory=dict)
    is_less_better: bool = False

    def to_text(self) -> str:
        """Return it as JSON."""
        said = {name: getattr(self, name) for name in self.__dataclass_fields__}
        said["treatments"] = [each.to_json() for each in self.treatments]
        return json.dumps(said)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return what ``to_text`` gave."""
        said = json.loads(text)
        said["treatments"] = tuple(map(Treatment.from_json, said["treatments"]))
        said["marks"] = {int(step): score for step, score in said["marks"].items()}
        return cls(**said)
