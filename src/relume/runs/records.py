"""What a run file holds: frozen values that add where they are statistics.

Every statistic is a monoid: ``a + b`` is associative and commutative and ``zero`` is its identity,
so windows merge as a run grows and shards merge across processes. Counts add exactly; sums of
floats add to rounding. No torch here: a run is read without it.
"""

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Sums = NDArray[np.float64]

NEVER = -1
"""The step that stands for "not once" in a lifetime."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of activations: where it is, and how to read its units.

    Args:
        name: Qualified module name, for example ``hidden.0.activation``.
        activation: Name in the catalogue of activations.
        units: Number of units (neurons or channels).
        can_die: Whether a unit of this activation can output a constant with gradient zero.
        owner: Qualified name of the module whose weights feed it; ``None`` when not found.
        place: ``file:line`` where it is applied; ``None`` when not known.
        saturates: Whether its output is bounded on both sides, so that "fired" means: its slope
            was above 1 % of the greatest one.
    """

    name: str
    activation: str
    units: int
    can_die: bool
    owner: str | None = None
    place: str | None = None
    saturates: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class UnitActivity:
    """What the units of one layer did, added up.

    A *row* is an independent example; a *position* is one value of a unit (a pixel, a time step),
    so ``positions`` is ``rows`` times the positions per row. Dead is said of rows, firing rates
    are shares of positions.

    Args:
        rows: Rows seen.
        positions: Values seen per unit.
        fired: Values above the dead half-line, int64 of shape (units,).
        total: Sum of activations, float64 of shape (units,).
        total_square: Sum of squared activations, float64 of shape (units,).
        gradient_positions: Values per unit for which a gradient was seen.
        absolute_gradient: Sum of |dloss/da|, float64 of shape (units,).
    """

    rows: int
    positions: int
    fired: Counts
    total: Sums
    total_square: Sums
    gradient_positions: int
    absolute_gradient: Sums

    @classmethod
    def zero(cls, units: int) -> "UnitActivity":
        """Return the identity of ``+`` for a layer of ``units`` units."""
        nothing = np.zeros(units)
        return cls(0, 0, np.zeros(units, np.int64), nothing, nothing, 0, nothing)

    def __add__(self, other: "UnitActivity") -> "UnitActivity":
        return UnitActivity(
            self.rows + other.rows,
            self.positions + other.positions,
            self.fired + other.fired,
            self.total + other.total,
            self.total_square + other.total_square,
            self.gradient_positions + other.gradient_positions,
            self.absolute_gradient + other.absolute_gradient,
        )

    @property
    def units(self) -> int:
        """Number of units."""
        return len(self.fired)

    @property
    def firing_rate(self) -> Sums:
        """Share of positions on which each unit fired, in [0, 1]; nan where nothing was seen."""
        return _share(self.fired.astype(np.float64), self.positions)

    @property
    def mean(self) -> Sums:
        """Mean activation of each unit; nan where nothing was seen."""
        return _share(self.total, self.positions)

    @property
    def root_mean_square(self) -> Sums:
        """Root mean square of each unit's activation; nan where nothing was seen."""
        return np.sqrt(_share(self.total_square, self.positions))


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum, least and greatest of a number over steps.

    Example:
        >>> (Moments.of(2.0) + Moments.of(4.0)).mean
        3.0
    """

    count: int = 0
    total: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf

    @classmethod
    def of(cls, *values: float) -> "Moments":
        """Return the moments of some values; one that is not a number poisons the sum."""
        least, greatest = min((math.inf, *values)), max((-math.inf, *values))
        return cls(len(values), sum(values), least, greatest)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count,
            self.total + other.total,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
        )

    @property
    def mean(self) -> float:
        """Mean value; nan where nothing was seen."""
        return self.total / self.count if self.count else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class LayerWindow:
    """One layer over one window: its units, and the flow through the weights that feed it.

    Args:
        activity: What the units did on the armed steps.
        gradient_norm: L2 norm of the gradient of the owner's parameters, over armed steps.
        update_ratio: L2 norm of the update over the L2 norm of the parameters, over armed steps.
        slope: The slopes of a parametric ReLU below zero, over armed steps.
    """

    activity: UnitActivity
    gradient_norm: Moments = field(default_factory=Moments)
    update_ratio: Moments = field(default_factory=Moments)
    slope: Moments = field(default_factory=Moments)

    def __add__(self, other: "LayerWindow") -> "LayerWindow":
        return LayerWindow(
            self.activity + other.activity,
            self.gradient_norm + other.gradient_norm,
            self.update_ratio + other.update_ratio,
            self.slope + other.slope,
        )


@dataclass(frozen=True, slots=True)
class WeightWindow:
    """One parameter over one window, on armed steps.

    Args:
        gradient_norm: L2 norm of its gradient.
        update_ratio: L2 norm of its update over its own.
        norm: Its L2 norm.
    """

    gradient_norm: Moments = field(default_factory=Moments)
    update_ratio: Moments = field(default_factory=Moments)
    norm: Moments = field(default_factory=Moments)

    def __add__(self, other: "WeightWindow") -> "WeightWindow":
        return WeightWindow(
            self.gradient_norm + other.gradient_norm,
            self.update_ratio + other.update_ratio,
            self.norm + other.norm,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Consecutive steps whose statistics are added up.

    Steps count optimizer updates from 1. ``layers`` follows the order of the run's layers, and
    ``weights`` that of its weights; of weights found later, earlier windows hold nothing.
    """

    first_step: int
    last_step: int
    armed_steps: int
    loss: Moments
    learning_rate: float  # of the last step
    layers: tuple[LayerWindow, ...]
    weights: tuple[WeightWindow, ...] = ()

    def __add__(self, other: "Window") -> "Window":
        """Merge with another window of the same run; the order does not matter."""
        later = self if self.last_step >= other.last_step else other
        return Window(
            min(self.first_step, other.first_step),
            later.last_step,
            self.armed_steps + other.armed_steps,
            self.loss + other.loss,
            later.learning_rate,
            tuple(a + b for a, b in zip(self.layers, other.layers, strict=True)),
            add_weights(self.weights, other.weights),
        )


def add_weights(
    a: tuple[WeightWindow, ...], b: tuple[WeightWindow, ...]
) -> tuple[WeightWindow, ...]:
    """Add weight by weight; the longer one goes on where the other ends."""
    longer = a if len(a) >= len(b) else b
    return (
        *(one + other for one, other in zip(a, b, strict=False)),
        *longer[min(len(a), len(b)) :],
    )


@dataclass(frozen=True, slots=True)
class Score:
    """How well the model did over some rows, as its own loss told.

    Args:
        step: The last update before.
        phase: ``training``: on armed steps since the score before; ``evaluation``: one pass
            without gradients or in eval mode.
        rows: Rows that were looked at.
        loss: Mean loss over those rows.
        right: Share of them whose class was predicted; nan where there are no classes.
    """

    step: int
    phase: str
    rows: int
    loss: float
    right: float = math.nan


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training part, and the score on the validation part after it."""

    epoch: int  # from 1
    step: int
    train_loss: float
    validation_loss: float
    validation_score: float
    learning_rate: float
    units_alive: int  # fired within the last 1,000 armed rows
    units: int


@dataclass(frozen=True, slots=True, eq=False)
class Lifetimes:
    """Per unit of one layer, kept outside the windows, so that merging never blurs it.

    Args:
        last_fired: Last armed step at which the unit was seen to fire, int64 (units,);
            ``NEVER`` if not once.
        first_silent: First armed step of its present silence, int64 (units,); ``NEVER`` while it
            fires.
        silent_rows: Rows seen since it last fired, int64 (units,).
    """

    last_fired: Counts
    first_silent: Counts
    silent_rows: Counts

    @classmethod
    def unseen(cls, units: int) -> "Lifetimes":
        """Return the lifetimes before the first armed step."""
        never = np.full(units, NEVER, np.int64)
        return cls(never, never, np.zeros(units, np.int64))

    @classmethod
    def all_fired(cls, units: int, step: int) -> "Lifetimes":
        """Return the lifetimes after an armed step on which every unit fired."""
        return cls(
            np.full(units, step, np.int64),
            np.full(units, NEVER, np.int64),
            np.zeros(units, np.int64),
        )

    def after(self, step: int, fired: Counts | Sums, rows: int) -> "Lifetimes":
        """Return the lifetimes after an armed step on which each unit fired ``fired`` times."""
        fires = fired > 0
        still = np.where(self.first_silent == NEVER, step, self.first_silent)
        return Lifetimes(
            np.where(fires, step, self.last_fired),
            np.where(fires, NEVER, still),
            np.where(fires, 0, self.silent_rows + rows),
        )


class Cause(IntEnum):
    """Why a unit fell silent, as far as the evidence goes; the codes never change their meaning."""

    UNKNOWN = 0
    ALIVE = 1
    FROM_START = 2  # silent since the first step that was seen
    LARGE_UPDATE = 3
    GRADIENT_SPIKE = 4
    RATE_STEP = 5
    INPUT_DRIFT = 6
    UPSTREAM_DEATH = 7


@dataclass(frozen=True, slots=True, eq=False)
class Deaths:
    """The death certificates of the units of one layer; all arrays have the shape (units,).

    Args:
        last_fired: Last armed step at which the unit was seen to fire, int64; ``NEVER`` if not
            once.
        first_silent: First armed step of its present silence, int64; ``NEVER`` while it fires.
        row_change: L2 norm of the change of the unit's weight row and bias between those two
            steps, over the L2 norm of what they were; nan where not known. Kept as float32.
        cause: Codes of ``Cause``, int8.
    """

    last_fired: Counts
    first_silent: Counts
    row_change: Sums
    cause: NDArray[np.int8]

    @classmethod
    def unseen(cls, units: int) -> "Deaths":
        """Return the certificates before the first armed step: nothing is known."""
        never = np.full(units, NEVER, np.int64)
        unknown = np.full(units, Cause.UNKNOWN, np.int8)
        return cls(never, never, np.full(units, np.nan), unknown)


@dataclass(frozen=True, slots=True)
class Metric:
    """A score that the watched script recorded, at the step before which it did."""

    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Unobserved:
    """Calls that could not be measured: what was called, ``file:line`` if known, how often."""

    what: str
    place: str | None
    count: int


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is said of a run as a whole; each part is plain JSON data.

    ``overhead`` says what watching cost, as far as it was measured: ``budget`` and
    ``measured_share`` (shares of the step time), ``armed_steps``, ``period`` (steps from one armed
    step to the next, at the end), ``own_s`` and ``step_s`` (seconds spent by Relume, and by steps).
    """

    kind: str = "fit"
    status: str = "running"  # running, finished, interrupted, failed
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    overhead: dict[str, Any] = field(default_factory=dict)


def _share(sums: Sums, count: int) -> Sums:
    return sums / count if count else np.full(len(sums), np.nan)
