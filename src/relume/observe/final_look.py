"""What every unit of a model does at fixed weights, and the sites at which it is seen."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from relume.observe.intercept import Switch
from relume.observe.model_tap import ModelTap, armed
from relume.observe.modes import evaluating, uncompiled
from relume.observe.tally import LazyLifetimes
from relume.observe.unobserved import Unobserved
from relume.runs.records import UnitActivity


def find_sites(tap: ModelTap, call: Callable[[Any], object], batch: Any) -> None:
    """Find the sites with gradients, which lead to the weights, and forget what they showed."""
    with torch.enable_grad():
        call(batch[:2] if isinstance(batch, Tensor) else batch)
    _check(tap)
    for tally in tap.tallies:
        tally.end_window(0)
        tally.lifetimes = LazyLifetimes(tally.layer.units)


def activities(
    model: nn.Module,
    batches: Iterable[Any],
    switch: Switch,
    call: Callable[[Any], object] | None = None,
) -> dict[str, UnitActivity]:
    """Return what the units of each site do: eval mode, no gradients, each row once.

    Args:
        model: The trained model.
        batches: What it is called with.
        switch: Where a tap is put; torch is patched already.
        call: What is called with each batch instead of the model.
    """
    tap = ModelTap(model, Unobserved(), in_evaluation=True)
    with uncompiled(), evaluating(model), armed(tap, switch):
        for number, batch in enumerate(batches):
            if number == 0:
                find_sites(tap, call or model, batch)
            tap.begin_step()
            with torch.no_grad():
                (call or model)(batch)
            _check(tap)
    return {tally.layer.name: tally.end_window(0).activity for tally in tap.tallies}


def _check(tap: ModelTap) -> None:
    fault = tap.fault or tap.calls.fault
    if fault is not None:
        raise fault
