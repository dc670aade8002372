"""What the training sequences taught: one mean and deviation a feature, as plain data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.errors import DataError, ModelFormatError
from relume.training.data import plain
from relume.training.data.channel_scaling import BLOCK, channel_moments, scaled
from relume.training.data.sequence_set import SequenceSet, described
from relume.training.data.stored import target_from_json
from relume.training.data.target import Target
from relume.training.data.wording import counted, shown

KIND, VERSION = "sequences", 1
MOST_NUMBERS = 2**26
"""Numbers in one sequence above which a model's description cannot be meant."""


@dataclass(frozen=True, slots=True)
class SequencePreprocessing:
    """Scales sequences by ``(value - mean) / scale``, feature by feature; 0 where scale is 0.

    Where sequences may be shorter, the rest is padded with 0, and one more feature tells the
    steps: 1 where a step is there, 0 where it is padding.

    Args:
        steps: The steps of a sequence, or the most of them.
        padded: Whether sequences may be shorter.
        means: One a feature, over the steps of the training sequences, without padding.
        scales: One a feature, the standard deviation (ddof 0) of the same.
        target: What is predicted.
    """

    steps: int
    padded: bool
    means: tuple[float, ...]
    scales: tuple[float, ...]
    target: Target

    @classmethod
    def fit(
        cls, sequences: SequenceSet, rows: NDArray[np.int64], target: Target
    ) -> "SequencePreprocessing":
        """Learn from some of the sequences; no other is looked at.

        Args:
            sequences: All of them.
            rows: Which of them are trained on.
            target: What is predicted.

        Cost: two passes in blocks of 1,024 sequences.
        """
        values = sequences.values.transpose(0, 2, 1)
        means, scales = channel_moments(values, rows, sequences.present)
        padded = sequences.lengths is not None
        return cls(sequences.values.shape[1], padded, means, scales, target)

    @property
    def shape(self) -> tuple[int, int]:
        """(steps, features) of an encoded sequence, with the one that tells the steps."""
        return self.steps, len(self.means) + self.padded

    @property
    def features(self) -> tuple[str, ...]:
        """The name of every number of an encoded sequence, step by step."""
        names = [f"feature {feature}" for feature in range(len(self.means))]
        names += ["is there"] if self.padded else []
        return tuple(f"step {step} {name}" for step in range(self.steps) for name in names)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is predicted: one target."""
        return (self.target,)

    @property
    def described(self) -> str:
        """What the sequences are, for a person."""
        return described(self.steps, len(self.means), padded=self.padded)

    def check(self, sequences: SequenceSet) -> None:
        """Refuse sequences of other features, too many steps, or of fewer where none were padded.

        Raises:
            DataError: They are.
        """
        features = sequences.values.shape[2]
        lengths = sequences.lengths
        shortest = sequences.steps if lengths is None else int(lengths.min())
        fits = sequences.steps <= self.steps and (self.padded or shortest == self.steps)
        if features == len(self.means) and fits:
            return
        given = described(sequences.steps, features, padded=shortest < sequences.steps)
        advice = ""
        if features == len(self.means) and sequences.steps <= self.steps:
            advice = "; for shorter ones train with an array lengths beside the sequences"
        raise DataError(f"{sequences.name} holds {given}; {self.described} are needed{advice}")

    def encode(self, sequences: SequenceSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode some of the sequences that passed ``check``; (rows, steps · features), float32.

        Cost: one pass in blocks of 1,024 sequences; nothing of full size beside the result.
        """
        steps, features = sequences.steps, len(self.means)
        out = np.zeros((len(rows), *self.shape), np.float32)
        lengths = sequences.lengths
        for start in range(0, len(rows), BLOCK):
            chosen = rows[start : start + BLOCK]
            block, into = sequences.values[chosen, :steps], out[start : start + BLOCK, :steps]
            for feature in range(features):
                into[:, :, feature] = scaled(
                    block[:, :, feature], self.means[feature], self.scales[feature]
                )
            if lengths is not None:
                into[np.arange(steps) >= lengths[chosen, None]] = 0.0
            if self.padded:
                until = steps if lengths is None else lengths[chosen, None]
                into[:, :, features] = np.arange(steps) < until
        return out.reshape(len(rows), -1)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON data; floats survive bitwise."""
        fitted: dict[str, Any] = plain.as_plain(self)
        return {"kind": KIND, "version": VERSION, **fitted}

    @classmethod
    def from_json(cls, data: Any) -> "SequencePreprocessing":
        """Return what :meth:`to_json` gave.

        Raises:
            ModelFormatError: A field is missing, unknown, or of a wrong type or range.
        """
        checks: dict[str, plain.Check] = {
            "kind": plain.exactly(KIND),
            "version": plain.exactly(VERSION),
            "steps": _steps,
            "padded": plain.flag,
            "means": plain.sequence(plain.number, least=1),
            "scales": plain.sequence(plain.not_negative, least=1),
            "target": target_from_json,
        }
        given = plain.fields(data, "preprocessing", checks)
        del given["kind"], given["version"]
        features = len(given["means"])
        if features != len(given["scales"]):
            raise ModelFormatError(
                f"preprocessing: {counted(features, 'mean')} need as many scales"
            )
        if given["steps"] * (features + 1) > MOST_NUMBERS:
            raise ModelFormatError(f"preprocessing: {given['steps']} steps are too many")
        return cls(**given)


def _steps(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelFormatError(f"{where} is {shown(value)}, no number of steps")
    return value
