"""What a shown run is made of: frozen plain data, down to lists, strings and numbers."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from relume.diagnosis.deaths import DeathGroup
from relume.report.cells import UnitCells
from relume.report.events import Event
from relume.report.findings import ShownFinding
from relume.report.heatmap import HeatMap
from relume.report.verdict import UNJUDGED, Verdict
from relume.report.wording import at_place
from relume.runs.summary import WATCH, LayerSummary


@dataclass(frozen=True, slots=True)
class Baseline:
    """The score of a simpler model on the same rows; the difference is the network's minus its."""

    name: str
    score: float
    interval: tuple[float, float] | None
    difference: float | None
    difference_interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Result:
    """The score on the test part; ``target`` says of what, where there are several targets."""

    metric: str
    score: float
    interval: tuple[float, float] | None
    confidence: float
    rows: int | None
    baselines: tuple[Baseline, ...]
    target: str = ""

    @property
    def rivals(self) -> tuple[Baseline, ...]:
        """The baselines, the nearest score first."""
        return tuple(sorted(self.baselines, key=lambda part: abs(part.score - self.score)))


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """How many units are dead, over all layers that were seen and whose units can die.

    ``rows`` is the smallest number of rows that a layer was seen on; ``dying`` is ``None`` where
    no layer had windows enough to tell.
    """

    units: int
    dead: int
    dying: int | None
    rows: int
    at_final_weights: bool


@dataclass(frozen=True, slots=True)
class IdleCounts:
    """How many units are saturated, or dormant, over the layers of which that can be said."""

    idle: int
    units: int


@dataclass(frozen=True, slots=True)
class MetricCurve:
    """A score that the watched script recorded, over the steps."""

    name: str
    step: tuple[int, ...]
    value: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Overhead:
    """What watching cost, as shares of the time of a step; ``None``: not known or no bound."""

    measured_share: float | None
    budget: float | None
    period: int | None


@dataclass(frozen=True, slots=True)
class DeadUnit:
    """A dead or saturated unit, with what is known of its death.

    Args:
        unit: Its number.
        last_fired: The last armed step at which it was not; None: not once.
        first_silent: The first armed step of its silence; None where not known.
        cause: Name of a ``Cause``, in lower case; empty where not known.
        row_change: Change of its weights and bias then, in norms of them; None: not known.
    """

    unit: int
    last_fired: int | None
    first_silent: int | None = None
    cause: str = ""
    row_change: float | None = None


@dataclass(frozen=True, slots=True)
class LayerPart:
    """One layer: its line of the table, its dead units, and its course over the columns.

    ``gradient_norm`` and ``update_ratio`` have one mean a column, nan where not observed. They are
    empty and ``heat`` is ``None`` where the layer is not drawn. ``cells`` holds the units as they
    stood at the end, and is ``None`` where they were not observed.
    """

    summary: LayerSummary
    owner: str | None
    can_die: bool
    firing_probability_bound: float | None
    dead: tuple[DeadUnit, ...]
    gradient_norm: tuple[float, ...]
    update_ratio: tuple[float, ...]
    heat: HeatMap | None
    saturates: bool = False
    cells: UnitCells | None = None

    @property
    def shown_name(self) -> str:
        """Its name, with the place where it is applied."""
        return at_place(self.summary.name, self.summary.place)


@dataclass(frozen=True, slots=True)
class WindowCurves:
    """Loss (mean, least, greatest) and learning rate over steps, one value a group of windows."""

    step: tuple[float, ...]
    loss: tuple[float, ...]
    loss_least: tuple[float, ...]
    loss_greatest: tuple[float, ...]
    learning_rate: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EpochCurves:
    """What is known after each epoch."""

    epoch: tuple[int, ...]
    step: tuple[int, ...]
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_score: tuple[float, ...]
    units_alive: tuple[int, ...]
    units: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A run, ready to be shown.

    ``columns`` holds the first and last step of each column of the layers' courses. ``result`` is
    that of the first target, ``further_results`` are those of the others. ``deaths`` begins with
    the largest group. ``not_observed`` names what was called and not measured, one line each; a
    watched training in which there is no such thing has one line that says so. ``processes`` were
    added up. ``repairs`` says of each remedy that was applied when, why and with what verdict.
    ``verdict`` says how the training stands, ``events`` what happened when.
    """

    format: str
    version: int
    title: str
    kind: str
    status: str
    headline: str
    comparisons: tuple[str, ...]
    missing: tuple[str, ...]
    remarks: tuple[str, ...]
    measurement: tuple[str, ...]
    steps: int
    armed_steps: int
    result: Result | None
    best_epoch: int | None
    stopped: str | None
    network: str | None
    units: UnitCounts | None
    window_curves: WindowCurves
    epoch_curves: EpochCurves
    columns: tuple[tuple[int, int], ...]
    layers: tuple[LayerPart, ...]
    settings: dict[str, Any]
    data: dict[str, Any]
    environment: dict[str, Any]
    further_results: tuple[Result, ...] = ()
    deaths: tuple[DeathGroup, ...] = ()
    not_observed: tuple[str, ...] = ()
    metrics: tuple[MetricCurve, ...] = ()
    overhead: Overhead | None = None
    saturated: IdleCounts | None = None
    dormant: IdleCounts | None = None
    processes: int = 1
    findings: tuple[ShownFinding, ...] = ()
    repairs: tuple[tuple[str, ...], ...] = ()
    verdict: Verdict = UNJUDGED
    events: tuple[Event, ...] = ()

    @property
    def is_watched(self) -> bool:
        """Whether this is somebody's own training, watched: it need not have a score or epochs."""
        return self.kind == WATCH

    @property
    def results(self) -> tuple[Result, ...]:
        """The scores on the test part, one for each target."""
        return () if self.result is None else (self.result, *self.further_results)

    def drawing(self, most: int, most_cells: int | None = None) -> "Document":
        """Return the document with the courses of fewer layers, those with the most idle units.

        Args:
            most: Layers that keep their course.
            most_cells: Layers that keep their units as they stood at the end; all if None.
        """
        summaries = [part.summary for part in self.layers]
        courses = neediest(summaries, most)
        celled = neediest(summaries, len(summaries) if most_cells is None else most_cells)
        layers = []
        for index, part in enumerate(self.layers):
            shown = part if index in celled else replace(part, cells=None)
            if index not in courses:
                shown = replace(shown, gradient_norm=(), update_ratio=(), heat=None)
            layers.append(shown)
        return replace(self, layers=tuple(layers))

    def to_data(self) -> dict[str, Any]:
        """Return the document as dicts, lists, strings and finite numbers; nan becomes None."""
        data = plain(self)
        assert isinstance(data, dict)  # noqa: S101
        return data

    def to_json(self) -> str:
        """Return the document as strict JSON on one line."""
        return json.dumps(self.to_data(), allow_nan=False)


def neediest(summaries: Sequence[LayerSummary], most: int) -> set[int]:
    """Return the indices of at most ``most`` layers: all, or those with the most idle units."""
    by_need = sorted(range(len(summaries)), key=lambda i: (-len(summaries[i].idle_units), i))
    return set(by_need[:most])


def plain(value: Any) -> Any:
    """Return a value as JSON-able data; numbers that are not finite become None."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value
