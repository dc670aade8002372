"""Repairing the running statistics of a trained model's batch norms, and proving that it helped."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from relume.errors import DataError
from relume.remedies.circuit import BATCH_NORMS
from relume.remedies.patient import Patient
from relume.remedies.rows import Loss, Rows, samples, scores
from relume.remedies.running_statistics import NormChange, estimate_
from relume.remedies.snapshot import Snapshot
from relume.remedies.verdict import Verdict, judge
from relume.runs.wording import count, short, times

DIVERGENCE = 0.5
"""Nats a channel from which on running statistics do not describe the data: the variance is off by
a factor of 4, or the mean by a deviation."""


@dataclass(frozen=True, slots=True)
class BatchNormRepair:
    """What was wrong with the running statistics, and what their repair gained.

    Args:
        changes: Of each batch norm, the worst first.
        verdict: On held-out rows.
    """

    changes: tuple[NormChange, ...]
    verdict: Verdict

    @property
    def off(self) -> tuple[NormChange, ...]:
        """The batch norms whose statistics did not describe the data, the worst first."""
        return tuple(each for each in self.changes if each.divergence >= DIVERGENCE)

    @property
    def sentence(self) -> str:
        """What happened, for a person, with the numbers."""
        if not self.off:
            said = f"the running statistics of {count(len(self.changes), 'batch norm')} fit"
        else:
            worst = self.off[0]
            more = f" and {len(self.off) - 1} more" if len(self.off) > 1 else ""
            said = (
                f"the running statistics of {worst.name or 'the batch norm'}{more} did not fit: "
                f"variance {times(worst.spread_ratio)} times that of the rows, mean off by "
                f"{short(worst.shift)} deviations"
            )
        return f"{said}; {self.verdict.sentence}"


def repair_batch_norm(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    held_out: Iterable[Any] | None = None,
    loss: Loss | None = None,
) -> BatchNormRepair:
    """Estimate the running statistics of batch norms anew, in place; weights stay bitwise.

    The loss on rows that were not used is measured in eval mode before and after; if it is worse,
    the old statistics are put back.

    Args:
        model: Any module with batch norms that keep running statistics.
        loader: Batches of (inputs, targets), prepared as in training, the larger the better.
        held_out: Batches to judge by; every tenth batch of the loader if left out.
        loss: From outputs and targets to the loss of each row, or to one number; by the targets if
            left out.

    Raises:
        DataError: The model has no such batch norm, or there are no rows or targets.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
        >>> _ = model[1].running_var.fill_(25.0)
        >>> x = torch.randn(320, 2)
        >>> with torch.no_grad():
        ...     y = model.train()(x)
        >>> _ = model[1].running_var.fill_(25.0)
        >>> found = repair_batch_norm(model, list(zip(x.split(32), y.split(32))))
        >>> found.off[0].name, found.verdict.is_better
        ('1', True)
    """
    norms = [each for each in model.modules() if isinstance(each, BATCH_NORMS)]
    if not any(each.running_mean is not None for each in norms):
        raise DataError(f"{type(model).__name__} has no batch norm with running statistics")
    rows = Rows.of(loader, held_out)
    before = Snapshot(Patient(model))
    untreated = scores(model, rows.held_out, loss, by_accuracy=False)
    try:
        changes = estimate_(model, samples(rows.train, model))
        treated = scores(model, rows.held_out, loss, by_accuracy=False)
    except BaseException:
        before.restore()
        raise
    verdict = judge(
        untreated.values,
        treated.values,
        metric=untreated.metric,
        higher_is_better=False,
        pairs_of=untreated.pairs_of,
    )
    if not verdict.is_kept:
        before.restore()
    return BatchNormRepair(changes, verdict)
