"""Some more epochs of training: Adam, a short warm-up, half a cosine to zero."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from relume.errors import SettingsError
from relume.remedies import application
from relume.remedies.circuit import call
from relume.remedies.patient import Patient, Sample
from relume.remedies.plan import Plan
from relume.remedies.rows import Loss, on_device, targets_of, usual_loss

WARM_UP = 0.1


def fine_tune(
    patient: Patient,
    batches: Iterable[Any],
    *,
    epochs: int,
    lr: float,
    loss: Loss | None,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Train a model further, in train mode, and skip updates that are not finite.

    Args:
        patient: With one optimizer.
        batches: Of inputs and targets.
        epochs: How often they are gone through.
        lr: The peak of the rate.
        loss: From outputs and targets; None: the usual one.
        between: Called between two epochs.

    Raises:
        SettingsError: Nothing of the model can be trained.
    """
    if not any(each.requires_grad for each in patient.parameters()):
        raise SettingsError("nothing of the model can be trained: every parameter is frozen")
    steps = epochs * max(1, sum(1 for _ in batches))
    application.apply(Plan("skip_nonfinite"), patient)
    modes = [(module, module.training) for module in patient.model.modules()]
    patient.model.train()
    numbers = itertools.count(1)
    try:
        for epoch in range(epochs):
            if epoch:
                between()
            for batch in _shuffled(batches, epoch):
                rate = lr * _share_of_peak(next(numbers), steps)
                _update(patient, on_device(batch, patient.model), rate, loss)
    finally:
        patient.finish()
        for module, mode in modes:
            module.training = mode


def _shuffled(batches: Iterable[Any], epoch: int) -> Iterator[Any]:
    """Return kept batches in another order each epoch; a loader's own order is its own."""
    if not isinstance(batches, list):
        return iter(batches)
    order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(epoch))
    return (batches[index] for index in order.tolist())


def _share_of_peak(step: int, steps: int) -> float:
    """Return what of the peak a step from 1 to ``steps`` is made with."""
    warm = WARM_UP * steps
    if step <= warm:
        return step / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def _update(patient: Patient, batch: Any, rate: float, loss: Loss | None) -> None:
    (optimizer,) = patient.optimizers
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    with torch.enable_grad():
        output = call(patient.model, Sample.of(batch))
        (loss or usual_loss)(output, targets_of(batch)).mean().backward()  # type: ignore[no-untyped-call]
    patient.before_update()
    optimizer.step()
    patient.after_update()
