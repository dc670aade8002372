"""The numbers of a training with a step of one's own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from relume.errors import SettingsError, UnknownNameError

OTHER_OPTIONS = (
    "step", "out", "overwrite", "optimizer", "validate", "validation", "examine", "audience",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSettings:
    """Every number of a training with a step of one's own; ``None`` means: chosen, and said.

    Args:
        epochs: Passes over the data; 10, or 1 where the data can be read only once.
        batch_size: Rows a step; 64 where the batches do not come made.
        lr: Peak learning rate of our optimizer, AdamW; 2e-3.
        weight_decay: Decoupled decay of matrices and kernels by our optimizer; 1e-2.
        warmup: Share of the steps over which the rate of our optimizer rises to its peak; 0.05.
        clip: Greatest norm of the whole gradient in an update of ours; ``None`` or 0 clips nothing.
        seed: Of the order of rows, and of torch's random numbers in the steps.
        every: Every how many steps the units are measured.
        repair: Whether cures are tried where the rules find a fault, by the loss of ``validation``;
            where there is none, nothing is.

    Raises:
        SettingsError: With the option's name, what was given and what is allowed.
    """

    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    warmup: float | None = None
    clip: float | None = None
    seed: int = 0
    every: int = 10
    repair: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.repair, bool | None):
            raise SettingsError(f"repair must be True or False; got {self.repair!r}")
        for name, (kind, is_allowed, demand) in _DEMANDS.items():
            value = getattr(self, name)
            if value is None and name not in {"seed", "every"}:
                continue
            if isinstance(value, bool) or not isinstance(value, kind) or not is_allowed(value):
                raise SettingsError(f"{name} must be {demand}; got {value!r}")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "OwnSettings":
        """Return settings from options by name.

        Raises:
            UnknownNameError: There is no such option; the nearest are offered.
            SettingsError: A value makes no sense.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                kind = "option of a training with a step of your own"
                raise UnknownNameError(kind, name, [*known, *OTHER_OPTIONS])
        return cls(**options)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


_COUNT = (int, lambda value: value >= 1, "a whole number of at least 1")
_ABOVE_ZERO = ((int, float), lambda value: 0 < value < math.inf, "a number above 0")
_NOT_NEGATIVE = ((int, float), lambda value: 0 <= value < math.inf, "a number of at least 0")
_DEMANDS: dict[str, tuple[type | tuple[type, ...], Callable[[Any], bool], str]] = {
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "lr": _ABOVE_ZERO,
    "weight_decay": _NOT_NEGATIVE,
    "warmup": ((int, float), lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    "clip": _NOT_NEGATIVE,
    "seed": (int, lambda value: 0 <= value < 2**63, "a whole number of at least 0"),
    "every": _COUNT,
}
