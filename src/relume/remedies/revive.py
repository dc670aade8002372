"""Bringing the dead units of a trained model back, and proving that it helped."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.errors import SettingsError
from relume.observe.examine import Examination, ExaminedLayer, examine
from relume.remedies import application
from relume.remedies.actions import get_action
from relume.remedies.fine_tuning import fine_tune
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.rows import Loss, Rows, samples, scores
from relume.remedies.snapshot import Snapshot
from relume.remedies.verdict import Verdict, judge
from relume.runs.wording import count

MOST_BATCHES = 512
"""Batches that the units are looked at on."""
ACTIONS = ("revive_units", "lift_biases")


@dataclass(frozen=True, slots=True)
class RevivedLayer:
    """What became of the dead units of a layer.

    Args:
        name: Of the layer.
        units: How many it has.
        dead_before: Dead on all rows looked at, before.
        dead_after: Likewise, of what was kept.
        plan: What was done; None where nothing could be.
    """

    name: str
    units: int
    dead_before: int
    dead_after: int
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class Revival:
    """What a revival did, and what it gained.

    Args:
        layers: Those with dead units.
        rows: Rows that the units were looked at on.
        verdict: On held-out rows; None where no unit was dead, or none could be revived.
    """

    layers: tuple[RevivedLayer, ...]
    rows: int
    verdict: Verdict | None

    @property
    def dead_before(self) -> int:
        """Dead units before."""
        return sum(layer.dead_before for layer in self.layers)

    @property
    def dead_after(self) -> int:
        """Dead units of the model that was kept."""
        return sum(layer.dead_after for layer in self.layers)

    @property
    def sentence(self) -> str:
        """What happened, for a person, with the numbers."""
        if not self.layers:
            return f"no unit is dead on {count(self.rows, 'row')}: nothing to revive"
        dead = f"{count(self.dead_before, 'unit')} of {count(len(self.layers), 'layer')}"
        if self.verdict is None:
            return f"{dead} are dead, and none could be revived: the model is as it was"
        change = f"{self.dead_before:,} dead units → {self.dead_after:,}"
        return f"{change} on {count(self.rows, 'row')}; {self.verdict.sentence}"


def revive(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    held_out: Iterable[Any] | None = None,
    loss: Loss | None = None,
    epochs: int = 1,
    lr: float = 1e-3,
    seed: int = 0,
) -> Revival:
    """Revive the dead units of a trained model, in place, and keep that only if it is not worse.

    Units that fire on no row get fresh incoming weights and outgoing zeros, which leaves the
    function as it was; where other things than layers read them their biases are lifted instead.
    Then the model trains ``epochs`` more, and is scored before and after on rows that it did not
    train on: accuracy for classes, squared error for amounts, row by row. If it is worse, the model
    is put back bitwise. The activations stay what they are.

    Args:
        model: Any module; its modes and torch's random numbers stay.
        loader: Batches of (inputs, targets), such as a DataLoader.
        held_out: Batches to judge by; every tenth batch of the loader if left out.
        loss: From outputs and targets to the loss of each row, or to one number; by the targets if
            left out. Where it gives one number, batches are compared in place of rows.
        epochs: Passes over the batches; 0: units are revived and nothing is trained.
        lr: Peak of the rate (Adam, short warm-up, half a cosine).
        seed: Of the weights drawn.

    Returns:
        What was done, and what was gained with n and an interval.

    Raises:
        DataError: There are no rows to judge by, or no targets.
        SettingsError: The rate or the epochs make no sense, or nothing can be trained.
        SnapshotError: The model does not fit into memory twice.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> _ = nn.init.constant_(model[0].bias, -100.0)
        >>> x = torch.randn(640, 2)
        >>> y = (x[:, 0] * x[:, 1] > 0).long()
        >>> found = revive(model, list(zip(x.split(16), y.split(16))), epochs=20, lr=0.01)
        >>> found.dead_before, found.dead_after, found.verdict.is_better
        (8, 0, True)
    """
    _check(epochs, lr)
    rows = Rows.of(loader, held_out)
    looked_at = _looked_at(model, rows)
    if not _with_dead(looked_at):
        return Revival((), looked_at.rows, None)
    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(parameters or model.parameters(), lr)
    patient = Patient(model, (optimizer,), sample=next(samples(rows.train, model)), step=seed)
    before = Snapshot(patient)
    untreated = scores(model, rows.held_out, loss, by_accuracy=True)
    try:
        plans = _revive_all(patient, looked_at)
        if not any(plans.values()):
            return _revival(looked_at, looked_at, plans, None)

        def between() -> None:
            _revive_all(patient, _looked_at(model, rows))

        fine_tune(patient, rows.train, epochs=epochs, lr=lr, loss=loss, between=between)
        treated = scores(model, rows.held_out, loss, by_accuracy=True)
    except BaseException:
        before.restore()
        raise
    verdict = judge(
        untreated.values,
        treated.values,
        metric=untreated.metric,
        higher_is_better=untreated.higher_is_better,
        pairs_of=untreated.pairs_of,
    )
    if not verdict.is_kept:
        before.restore()
    return _revival(looked_at, _looked_at(model, rows), plans, verdict)


def _check(epochs: int, lr: float) -> None:
    if not isinstance(epochs, int) or epochs < 0:
        raise SettingsError(f"epochs must be a whole number of at least 0; got {epochs!r}")
    if not 0 < lr < float("inf"):
        raise SettingsError(f"lr must be a positive number; got {lr!r}")


def _looked_at(model: nn.Module, rows: Rows) -> Examination:
    inputs = (
        each.args[0] if each.args else each.kwargs
        for each in samples(itertools.islice(rows.train, MOST_BATCHES), model)
    )
    return examine(model, inputs)


def _with_dead(found: Examination) -> list[ExaminedLayer]:
    return [each for each in found.layers if each.dead]


def _revive_all(patient: Patient, found: Examination) -> dict[str, Plan | None]:
    """Revive the dead units layer by layer; the first of the actions that has a plan is taken."""
    plans: dict[str, Plan | None] = {}
    for each in _with_dead(found):
        plans[each.layer.name] = None
        finding = Finding(
            code=Code.DEAD_UNITS,
            severity=Severity.WARNING,
            message="",
            where=each.layer.name,
            units=each.dead or (),
        )
        for name in ACTIONS:
            plan = get_action(name).plan(finding, patient)
            if plan is not None:
                application.apply(plan, patient)
                plans[each.layer.name] = plan
                break
    return plans


def _revival(
    before: Examination,
    after: Examination,
    plans: dict[str, Plan | None],
    verdict: Verdict | None,
) -> Revival:
    dead_after = {each.layer.name: len(each.dead or ()) for each in after.layers}
    layers = tuple(
        RevivedLayer(
            name=each.layer.name,
            units=each.layer.units,
            dead_before=len(each.dead or ()),
            dead_after=dead_after.get(each.layer.name, 0),
            plan=plans[each.layer.name],
        )
        for each in _with_dead(before)
    )
    return Revival(layers, before.rows, verdict)
