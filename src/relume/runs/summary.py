"""The layer table: how the units of each layer stand, from the records of a run alone."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.runs.records import NEVER, Layer, Lifetimes, UnitActivity, Window
from relume.runs.run_file import Run

WATCH = "watch"
"""The kind of run that watched somebody's training: its weights were still moving at the end."""

ENOUGH_ROWS = 1000
ENOUGH_FIRINGS, FEWEST_ROWS = 100, 256
"""In a watched training, rows on which a unit must have been silent (or all, if there were fewer).

One that fires on 1 % of rows is silent on so many with a probability of 4e-5.
"""
DORMANT_SHARE = 0.025
TREND_WINDOWS = 20
FEWEST_TREND_WINDOWS = 6


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """How the units of one layer stand at the end of what was recorded.

    Args:
        name: Qualified module name.
        activation: Name in the catalogue.
        units: Number of units.
        rows: Independent rows that the counts below rest on.
        at_final_weights: Whether those rows were seen at fixed, final weights. If not, they are
            the last rows that were seen while the weights still moved: a description.
        firing_rate: Mean over units of the share of values above the dead half-line, in [0, 1].
        dead_units: Units that fired on none of the rows, so that each got gradient exactly zero;
            ``None`` where this activation has no dead half-line.
        dying_units: Units that still fired, on under 1 % of values and under a quarter of their
            best, with a falling trend; ``None`` where they cannot die or too few windows exist.
        held_out_rows: How many of ``rows`` had no influence on the weights.
        place: ``file:line`` where the activation is applied; ``None`` where not known.
        saturated_units: Of an activation that saturates, the units whose slope was under 1 % of
            the greatest on all of the rows; ``None`` for others. There "fires" means the opposite.
        dormant_units: Of an activation that neither dies nor saturates, the units whose root mean
            square is at most 0.025 of the mean over the layer's units; ``None`` for others.

    References:
        Sokar et al., "The dormant neuron phenomenon in deep reinforcement learning", ICML 2023,
        arXiv:2302.12902, definition 3.1 (there with the mean absolute activation).
    """

    name: str
    activation: str
    units: int
    rows: int
    at_final_weights: bool
    firing_rate: float
    dead_units: tuple[int, ...] | None
    dying_units: tuple[int, ...] | None
    held_out_rows: int = 0
    place: str | None = None
    saturated_units: tuple[int, ...] | None = None
    dormant_units: tuple[int, ...] | None = None

    @property
    def idle_units(self) -> tuple[int, ...]:
        """The units that are dead, saturated or dormant, whichever applies to the layer."""
        return self.dead_units or self.saturated_units or self.dormant_units or ()

    @property
    def firing_probability_bound(self) -> float | None:
        """Bound (95 %) on the firing probability of a dead unit: the rule of three, 3/m.

        m counts the held-out rows alone: the weights were fitted to the others, which therefore
        prove nothing about further rows. ``None`` where there are none.

        References:
            Hanley & Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249(13),
            1983.
        """
        if not (self.at_final_weights and self.held_out_rows):
            return None
        return min(1.0, 3.0 / self.held_out_rows)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; a rate that was not observed as None."""
        rate = None if math.isnan(self.firing_rate) else self.firing_rate
        bound = {"firing_probability_bound": self.firing_probability_bound}
        return asdict(self) | {"firing_rate": rate} | bound


def summarise_layers(run: Run) -> tuple[LayerSummary, ...]:
    """Return the layer table of a run; empty if no unit was ever observed."""
    if not run.windows and not run.examination:
        return ()
    return tuple(_summarise(run, index, layer) for index, layer in enumerate(run.layers))


def _summarise(run: Run, index: int, layer: Layer) -> LayerSummary:
    final = index < len(run.examination)
    seen = run.examination[index] if final else last_seen(run, index)
    is_seen = seen.rows > 0
    can_tell = layer.can_die and is_seen
    rows, silent = _silent(run, index, seen, final=final)
    is_smooth = not (layer.can_die or layer.saturates)
    return LayerSummary(
        name=layer.name,
        activation=layer.activation,
        units=layer.units,
        rows=rows,
        at_final_weights=final,
        firing_rate=float(np.mean(seen.firing_rate)),
        dead_units=silent if can_tell else None,
        dying_units=_dying(run.windows, index, seen) if can_tell else None,
        held_out_rows=run.held_out_rows if final else 0,
        place=layer.place,
        saturated_units=silent if layer.saturates and is_seen and not layer.can_die else None,
        dormant_units=dormant_units(seen) if is_smooth and is_seen else None,
    )


def dormant_units(seen: UnitActivity) -> tuple[int, ...]:
    """Return the units with hardly any output: RMS at most 0.025 of the layer's mean RMS.

    In a layer of which the values are not finite none is said to be.
    """
    size = seen.root_mean_square
    usual = np.mean(size)
    if not np.isfinite(usual):
        return ()
    return tuple(np.flatnonzero(size <= DORMANT_SHARE * usual).tolist())


def _silent(
    run: Run, index: int, seen: UnitActivity, *, final: bool
) -> tuple[int, tuple[int, ...]]:
    """Return on how many rows silence was asked for, and the units that were silent on them.

    In a watched training the lifetimes tell: they are exact where windows have merged. Silent is
    what fired on none of the last ``ENOUGH_ROWS`` rows, or on none of fewer, but ``FEWEST_ROWS``,
    on which it would have fired ``ENOUGH_FIRINGS`` times at its earlier rate: had that fallen to a
    tenth, the chance would still be exp(-10).
    """
    if final or run.info.kind != WATCH or index >= len(run.lifetimes):
        return seen.rows, tuple(np.flatnonzero(seen.fired == 0).tolist())
    rows = min(ENOUGH_ROWS, seen.rows)
    life = run.lifetimes[index]
    is_enough = life.silent_rows >= rows
    has_missed = _missed_firings(run, index, life) >= ENOUGH_FIRINGS
    is_enough |= has_missed & (life.silent_rows >= FEWEST_ROWS)
    silent = np.flatnonzero((life.first_silent != NEVER) & is_enough)
    least = int(life.silent_rows[silent].min()) if len(silent) else rows
    return min(rows, least), tuple(silent.tolist())


def _missed_firings(run: Run, index: int, life: Lifetimes) -> NDArray[np.float64]:
    """Return how many silent rows of each unit would have had it fire at its earlier rate.

    Values of the same row are taken to fire together, so that this is rather too few.
    """
    seen = [window.layers[index].activity for window in run.windows]
    rows = sum(activity.rows for activity in seen)
    values_per_row = sum(activity.positions for activity in seen) / max(1, rows)
    fired = np.sum([activity.fired for activity in seen], axis=0)
    before = np.maximum(1, rows - life.silent_rows)
    share = np.minimum(1.0, fired / (before * max(1.0, values_per_row)))
    return np.asarray(share * life.silent_rows)


def last_seen(run: Run, index: int) -> UnitActivity:
    """Return the activity of the last window with an armed step: the last of all may have none.

    In a watched training windows may be short: there it is that of as many of the last ones as
    hold enough rows.
    """
    seen = [window.layers[index].activity for window in reversed(run.windows)]
    if run.info.kind != WATCH:
        return next((activity for activity in seen if activity.rows), seen[0])
    total = seen[0]
    for activity in seen[1:]:
        if total.rows >= ENOUGH_ROWS:
            break
        total += activity
    return total


def _dying(windows: Sequence[Window], index: int, seen: UnitActivity) -> tuple[int, ...] | None:
    observed = [window for window in windows if window.layers[index].activity.rows]
    recent = observed[-min(TREND_WINDOWS, max(FEWEST_TREND_WINDOWS, len(observed) // 2)) :]
    if len(recent) < FEWEST_TREND_WINDOWS:
        return None
    best = np.max([window.layers[index].activity.firing_rate for window in observed], axis=0)
    nearly_zero = (seen.fired > 0) & (seen.firing_rate < 0.01) & (seen.firing_rate < best / 4)
    suspects = np.flatnonzero(nearly_zero)
    rates = np.stack([window.layers[index].activity.firing_rate[suspects] for window in recent])
    return tuple(suspects[falling_trend(rates) < 0.01].tolist())


def falling_trend(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the one-sided p-value of a falling trend in each column (Mann-Kendall).

    ``S`` counts rising minus falling pairs; under no trend it is nearly normal with the variance
    below, corrected for ties.

    Args:
        rates: Shape (windows, units), in the order of time.

    Returns:
        Shape (units,): the probability of so falling a sequence if there were no trend; 1 where
        nothing falls.

    References:
        Mann, "Nonparametric tests against trend", Econometrica 13(3), 1945; Kendall, "Rank
        Correlation Methods", 1975 (variance under ties).
    """
    from scipy.special import ndtr

    count = len(rates)
    later, earlier = np.triu_indices(count, 1)[::-1]
    rising = np.sign(rates[later] - rates[earlier]).sum(axis=0)
    variance = np.array([_tied_variance(column) for column in rates.T])
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (rising + 1.0) / np.sqrt(variance)  # + 1: the continuity correction
    return np.where((variance > 0) & (rising < 0), ndtr(z), 1.0)


def _tied_variance(column: NDArray[np.float64]) -> float:
    count = len(column)
    _, ties = np.unique(column, return_counts=True)
    free = count * (count - 1) * (2 * count + 5)
    return float(free - np.sum(ties * (ties - 1) * (2 * ties + 5))) / 18.0
