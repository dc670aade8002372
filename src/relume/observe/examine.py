"""Examining a trained model: what every unit does at fixed weights, and what noise does to them."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relume import markup
from relume.errors import DataError, SettingsError
from relume.observe.intercept import Interception, Switch
from relume.observe.model_tap import armed
from relume.observe.modes import evaluating
from relume.observe.naming import Names
from relume.observe.passes import leading_rows
from relume.observe.tally import Tally
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved
from relume.runs.records import Layer, UnitActivity
from relume.runs.wording import count

DORMANT_SHARE = 0.025
"""A unit whose mean magnitude is at most this share of its layer's mean is dormant."""
SAME = 1e-9
"""Two units are duplicates if the cosine between their outputs is nearer to 1 than this."""
MOST_COMPARED_UNITS = 4096
MOST_COMPARED_POSITIONS = 64
"""Positions of a row that are compared: pixels or time steps, evenly spread."""

Units = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExaminedLayer:
    """How the units of one layer stand on the rows that were examined.

    Args:
        layer: Which layer.
        rows: n, the independent rows that it was examined on.
        firing_rate: Share of values above the dead half-line for each unit, shape (units,); of an
            activation that saturates, share of values where its slope is above 1 % of the most.
        dead: Units that fired on no row; None where units of this activation cannot die.
        saturated: Units that were saturated on every row; None where they cannot.
        always_on: Units that fired on every value, so that the rectifier did nothing; None where
            firing has no such meaning.
        dormant: Units, not dead, whose mean magnitude is at most 2.5 % of the layer's mean.
        duplicates: Groups of units whose outputs were the same on all rows, up to a positive
            factor; None where there are too many units to compare.
    """

    layer: Layer
    rows: int
    firing_rate: NDArray[np.float64] = field(compare=False)
    dead: Units | None
    saturated: Units | None
    always_on: Units | None
    dormant: Units
    duplicates: tuple[Units, ...] | None

    @property
    def firing_probability_bound(self) -> float | None:
        """Bound (95 %) on how often a dead unit fires on rows like these: 3/n, the rule of three.

        It holds if the rows had no part in fitting the weights; None without a row.

        References:
            Hanley & Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249(13),
            1983.
        """
        return min(1.0, 3.0 / self.rows) if self.rows else None


@dataclass(frozen=True, slots=True)
class NoisePoint:
    """The score under noise on the weights.

    Args:
        deviation: Each weight is multiplied by 1 plus a normal number of this standard deviation.
        scores: Of each draw of the noise.
    """

    deviation: float
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean score over the draws."""
        return float(np.mean(self.scores))

    @property
    def interval(self) -> tuple[float, float]:
        """Interval (95 %) of that mean, by Student's t; infinite for a single draw."""
        from scipy.stats import t

        count = len(self.scores)
        if count < 2:
            return (-math.inf, math.inf)
        half = float(t.ppf(0.975, count - 1)) * float(np.std(self.scores, ddof=1)) / count**0.5
        return (self.mean - half, self.mean + half)


@dataclass(frozen=True, slots=True)
class Examination:
    """What an examination found.

    Args:
        layers: In the order in which they are applied.
        rows: Rows examined.
        unobserved: What could not be observed, with where and how often.
        clean_score: The score without noise; None if no score was asked for.
        noise: The score under noise, level by level.
    """

    layers: tuple[ExaminedLayer, ...]
    rows: int
    unobserved: tuple[tuple[str, str, int], ...] = ()
    clean_score: float | None = None
    noise: tuple[NoisePoint, ...] = ()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a row for each layer, and what was not observed."""
        headings = [
            "layer",
            "activation",
            "units",
            "dead",
            "fire at most on (95 %)",
            "saturated",
            "dormant",
        ]
        missed = [
            markup.line(f"not observed: {what} {place} ({times:,} times)")
            for what, place, times in self.unobserved
        ]
        rows = [_row(layer) for layer in self.layers]
        title = f"{count(len(self.layers), 'layer')} on {count(self.rows, 'row')}"
        return markup.card(title, markup.table(headings, rows), *missed)


def _row(found: ExaminedLayer) -> list[object]:
    return [
        found.layer.name,
        found.layer.activation,
        f"{found.layer.units:,}",
        "cannot die" if found.dead is None else f"{len(found.dead):,}",
        f"3/{found.rows:,} of rows" if found.dead and found.rows > 3 else "",
        "cannot be" if found.saturated is None else f"{len(found.saturated):,}",
        f"{len(found.dormant):,}",
    ]


def examine(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    call: Callable[[Any], object] | None = None,
    score: Callable[[nn.Module], float] | None = None,
    weight_noise: Sequence[float] = (),
    draws: int = 10,
    seed: int = 0,
) -> Examination:
    """Examine every unit of a trained model on rows, each seen once, in eval mode.

    Nothing of the model changes: mode, weights, running statistics and random numbers stay.

    Args:
        model: Any module.
        batches: What it is called with: tensors, or tuples and lists whose first part it takes, or
            dicts of its keyword arguments. Their first axis is the rows.
        call: What is called with each batch instead, where that is not how it is called.
        score: From the model to its score; for ``weight_noise``.
        weight_noise: Standard deviations of relative noise on all weights.
        draws: How often each level of noise is drawn.
        seed: Of the noise.

    Returns:
        What was found; bounds hold for rows that had no part in fitting the weights.

    Raises:
        DataError: There is no batch, or the model cannot be called with one.
        SettingsError: Noise without a score, or a level below 0.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> _ = nn.init.constant_(layer.bias, -100.0)
        >>> model = nn.Sequential(layer, nn.ReLU())
        >>> found = examine(model, [torch.rand(50, 2), torch.rand(50, 2)])
        >>> found.layers[0].dead, found.layers[0].firing_probability_bound
        ((0, 1, 2), 0.03)
    """
    if weight_noise and score is None:
        raise SettingsError("weight_noise needs score: a function from the model to its score")
    if any(not (math.isfinite(level) and level >= 0) for level in weight_noise):
        raise SettingsError(f"weight_noise must be at least 0; got {list(weight_noise)}")
    unobserved = Unobserved()
    tap = ArmedTap(Names(model), unobserved, in_evaluation=True)
    twins = _Twins()
    tap.on_output = twins.see
    with evaluating(model), torch.no_grad():
        rows = _pass_through(model, batches, call, tap)
        layers = tuple(_examined(tally, twins) for tally in tap.tallies)
        clean = None if score is None else float(score(model))
        noise = () if score is None else tuple(_noisy(model, score, weight_noise, draws, seed))
    missed = tuple((what, place, count) for (what, place), count in unobserved.counts.items())
    return Examination(layers, rows, missed, clean, noise)


def _pass_through(
    model: nn.Module, batches: Iterable[Any], call: Callable[[Any], object] | None, tap: ArmedTap
) -> int:
    switch, rows = Switch(), 0
    interception = Interception(switch)
    interception.install()
    try:
        with armed(tap, switch):
            for batch in batches:
                tap.begin_step()
                rows += leading_rows(batch) or 0
                _call(model, batch, call)
                if tap.fault is not None:
                    raise tap.fault
    finally:
        interception.remove()
    rows = rows or max((tally.rows for tally in tap.tallies), default=0)
    if not rows:
        raise DataError("there is no row to examine the model on; give at least one batch")
    return rows


def _call(model: nn.Module, batch: Any, call: Callable[[Any], object] | None) -> None:
    if call is not None:
        call(batch)
    elif isinstance(batch, dict):
        model(**batch)
    else:
        model(batch[0] if isinstance(batch, tuple | list) else batch)


def _examined(tally: Tally, twins: "_Twins") -> ExaminedLayer:
    seen = tally.end_window(0).activity
    layer, units = tally.layer, np.arange(tally.layer.units)
    silent = seen.fired == 0
    cannot_fire = silent & layer.can_die
    return ExaminedLayer(
        layer=layer,
        rows=seen.rows,
        firing_rate=seen.firing_rate,
        dead=_numbers(units[silent]) if layer.can_die else None,
        saturated=_numbers(units[silent]) if layer.saturates else None,
        always_on=None if layer.saturates else _numbers(units[seen.fired == seen.positions]),
        dormant=_numbers(units[_is_dormant(seen) & ~cannot_fire]),
        duplicates=twins.groups(tally, ~cannot_fire),
    )


def _is_dormant(seen: UnitActivity) -> NDArray[np.bool_]:
    size = np.sqrt(seen.total_square)
    return np.asarray(size <= DORMANT_SHARE * size.mean())


def _numbers(units: NDArray[np.int64]) -> Units:
    return tuple(int(unit) for unit in units)


class _Twins:
    """Sums of products of the outputs of all pairs of units of a layer."""

    def __init__(self) -> None:
        self._products: dict[Tally, Tensor] = {}

    def see(self, tally: Tally, a: Tensor) -> None:
        """Add the outputs of one call."""
        if tally.layer.units > MOST_COMPARED_UNITS:
            return
        values = a.detach().movedim(tally.axis, -1)
        if values.ndim > 2:
            values = values.reshape(len(values), -1, tally.layer.units)
            stride = -(-values.shape[1] // MOST_COMPARED_POSITIONS)
            values = values[:, ::stride]
        values = values.reshape(-1, tally.layer.units).double()
        product = values.T @ values
        self._products[tally] = self._products.get(tally, torch.zeros_like(product)) + product

    def groups(self, tally: Tally, wanted: NDArray[np.bool_]) -> tuple[Units, ...] | None:
        """Return the groups of units with the same outputs, up to a positive factor."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        products = self._products.get(tally)
        if products is None:
            return None
        size = products.diagonal().sqrt()
        is_there = torch.from_numpy(wanted).to(size.device) & (size > 0)
        cosine = products / size.clamp(min=torch.finfo(size.dtype).tiny).outer(size)
        same = (cosine >= 1 - SAME) & is_there & is_there[:, None]
        same.fill_diagonal_(fill_value=False)
        if not bool(same.any()):
            return ()
        _, labels = connected_components(csr_array(same.cpu().numpy()), directed=False)
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        return tuple(_numbers(group) for group in members if len(group) > 1)


def _noisy(
    model: nn.Module,
    score: Callable[[nn.Module], float],
    levels: Sequence[float],
    draws: int,
    seed: int,
) -> Iterator[NoisePoint]:
    for level in levels:
        generator = torch.Generator().manual_seed(seed)  # the same draws at every level
        scores = []
        for _ in range(draws):
            with _noise(model, level, generator):
                scores.append(float(score(model)))
        yield NoisePoint(level, tuple(scores))


@contextmanager
def _noise(model: nn.Module, level: float, generator: torch.Generator) -> Iterator[None]:
    """Multiply every parameter by 1 plus noise inside the block; bitwise put back after it."""
    kept = [(parameter, parameter.detach().clone()) for parameter in model.parameters()]
    try:
        for parameter, before in kept:
            draw = torch.randn(before.shape, generator=generator).to(before)
            parameter.copy_(before * (1 + level * draw))
        yield
    finally:
        for parameter, before in kept:
            parameter.copy_(before)
