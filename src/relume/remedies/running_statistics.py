"""The running statistics of batch norms: estimated anew over all rows, and held against the old."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from relume.errors import DataError
from relume.observe.modes import evaluating
from relume.observe.naming import Names
from relume.remedies.circuit import BATCH_NORMS, BatchNorm, call
from relume.remedies.patient import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class NormChange:
    """How far the running statistics of a batch norm were off.

    Args:
        name: Of the module.
        shift: Distance between the old and the new running means, in new deviations: the greatest
            over the channels.
        spread_ratio: Old over new variance, of the channel where it is furthest from 1.
        divergence: Mean over the channels of KL(new || old) of two normal distributions, in nats.
        positions: Values of each channel that the new ones rest on.
    """

    name: str
    shift: float
    spread_ratio: float
    divergence: float
    positions: int


@torch.no_grad()
def estimate_(
    model: nn.Module,
    batches: Iterable[Sample],
    call_batch: Callable[[Sample], object] | None = None,
) -> tuple[NormChange, ...]:
    """Set the running statistics of every batch norm to the moments of its inputs over all rows.

    While they are taken, every batch norm normalises by the batch, as in training, and all else is
    as in evaluation, so that dropout does not widen them. Weights, modes, random numbers, and the
    counts of batches stay bitwise; only ``running_mean`` and ``running_var`` change.

    Args:
        model: With batch norms that keep running statistics.
        batches: Inputs of at least two rows each, the larger the better.
        call_batch: Calls the model with a batch, where that is not how it is called.

    Returns:
        How far each was off, the worst first; empty where there is no batch norm.

    Raises:
        DataError: There is no batch, or one with a value that is not finite.

    References:
        Wu, Johnson, "Rethinking 'Batch' in BatchNorm", arXiv:2105.07576, section 3.2 (PreciseBN).
    """
    names = Names(model)
    norms = [each for each in model.modules() if isinstance(each, BATCH_NORMS)]
    norms = [each for each in norms if each.running_mean is not None]
    sums = {norm: _Moments() for norm in norms}
    old = {norm: _statistics(norm) for norm in norms}
    devices = sorted({each.device.index or 0 for each in model.parameters() if each.is_cuda})
    try:
        with evaluating(model), torch.random.fork_rng(devices), _noting(sums):
            for norm in norms:
                norm.train()
            seen = _go_through(model, batches, call_batch)
    finally:
        for norm in norms:
            _set(norm, old[norm])
    if norms and not seen:
        raise DataError("there is no batch to estimate batch norms from; give at least one")
    reached = [norm for norm in norms if sums[norm].count > 1]
    for norm in reached:
        if not bool(torch.isfinite(sums[norm].variance).all()):
            raise DataError(f"what goes into {names.of_module(norm)} is not finite")
    changes = [_change(names.of_module(norm), old[norm], sums[norm]) for norm in reached]
    for norm in reached:
        _set(norm, (sums[norm].mean, sums[norm].variance))
    return tuple(sorted(changes, key=lambda each: -each.divergence))


def _go_through(
    model: nn.Module,
    batches: Iterable[Sample],
    call_batch: Callable[[Sample], object] | None,
) -> int:
    seen = 0
    for batch in batches:
        _ = call(model, batch) if call_batch is None else call_batch(batch)
        seen += 1
    return seen


class _Moments:
    """Count, mean and variance of each channel, added batch by batch in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0.0
        self._squares: Any = 0.0

    def add(self, values: Tensor) -> None:
        """Add the values of a batch, (positions, channels).

        References:
            Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
            variances", 1979, equation 2.1.
        """
        count, mean = len(values), values.mean(dim=0)
        squares = (values - mean).square().sum(dim=0)
        whole = self.count + count
        shift = mean - self.mean
        self._squares = self._squares + squares + shift.square() * (self.count * count / whole)
        self.mean = self.mean + shift * (count / whole)
        self.count = whole

    @property
    def variance(self) -> Tensor:
        """The unbiased one, which batch norms keep."""
        variance: Tensor = self._squares / (self.count - 1)
        return variance


@contextmanager
def _noting(sums: dict[BatchNorm, _Moments]) -> Iterator[None]:
    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        values = inputs[0].detach().movedim(1, -1)
        sums[module].add(values.reshape(-1, values.shape[-1]).double())  # type: ignore[index]

    handles = [norm.register_forward_pre_hook(note) for norm in sums]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def _statistics(norm: BatchNorm) -> list[Tensor]:
    return [getattr(norm, name).clone() for name in _BUFFERS]


def _set(norm: BatchNorm, statistics: Sequence[Tensor]) -> None:
    for name, value in zip(_BUFFERS, statistics, strict=False):
        getattr(norm, name).copy_(value)


def _change(name: str, old: Sequence[Tensor], new: _Moments) -> NormChange:
    tiny = 1e-12
    mean, variance = (each.double() for each in old[:2])
    variance, fresh = variance.clamp(min=tiny), new.variance.clamp(min=tiny)
    square = (new.mean - mean).square()
    ratio = variance / fresh
    divergence = 0.5 * (ratio.log() + (fresh + square) / variance - 1)
    furthest = int(ratio.log().abs().argmax())
    return NormChange(
        name=name,
        shift=float((square / fresh).sqrt().max()),
        spread_ratio=float(ratio[furthest]),
        divergence=_finite(float(divergence.mean())),
        positions=new.count,
    )


def _finite(value: float) -> float:
    return math.inf if math.isnan(value) else value
