"""Runs put together by hand, as a watched training would leave them: what rules are tried on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from relume.diagnosis.finding import Finding, NotJudged
from relume.diagnosis.reading import Reading
from relume.runs.facts import Fact, LossFacts, ModuleFacts, Phase, Spread, WeightFacts
from relume.runs.loss_curve import Curve
from relume.runs.records import (
    NEVER,
    Cause,
    Deaths,
    Layer,
    LayerWindow,
    Lifetimes,
    Moments,
    RunInfo,
    Score,
    UnitActivity,
    WeightWindow,
    Window,
)
from relume.runs.run_file import Run

FALLING = 0.2 + 0.9 * np.exp(-np.arange(200) / 40)
"""Losses of a training of three classes that does well; guessing costs ln 3 = 1.0986."""

STUCK = np.full(200, 1.0986)


@dataclass(frozen=True, kw_only=True)
class Units:
    """One layer over the windows.

    ``fired`` and ``size`` broadcast to (windows, units): firing rates, and root mean squares.
    """

    name: str = "act"
    activation: str = "relu"
    units: int = 20
    fired: object = 0.5
    size: object = 1.0
    can_die: bool = True
    saturates: bool = False
    owner: str | None = "fc"
    slope: tuple[float, float, float] | None = None  # mean, least, greatest
    causes: Mapping[int, Cause] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One weight over the windows; numbers broadcast to (windows,)."""

    name: str
    gradient: object = 0.1
    update: object = 1e-3
    norm: object = 1.0
    greatest_gradient: float | None = None
    greatest_update: float | None = None
    fact: Mapping[str, object] = field(default_factory=dict)


def make_run(
    *,
    layers: Sequence[Units] = (),
    weights: Sequence[Matrix] = (),
    losses: Sequence[float] = FALLING,
    facts: Sequence[Fact] = (),
    scores: Sequence[Score] = (),
    windows: int = 10,
    batch: int = 64,
    armed: int = 10,
    of_classes: bool = True,
) -> Run:
    """Return a run of as many windows, with ``armed`` armed steps of ``batch`` rows in each."""
    length = len(losses) // windows
    known = [
        Layer(each.name, each.activation, each.units, each.can_die, each.owner, "train.py:7",
              each.saturates)
        for each in layers
    ]  # fmt: skip
    parts = tuple(
        Window(
            first_step=at * length + 1,
            last_step=(at + 1) * length,
            armed_steps=armed,
            loss=sum(map(Moments.of, map(float, losses[at * length : (at + 1) * length])),
                     Moments()),
            learning_rate=0.01,
            layers=tuple(_units(each, at, windows, batch * armed) for each in layers),
            weights=tuple(_weight(each, at, windows, armed) for each in weights),
        )
        for at in range(windows)
    )  # fmt: skip
    lives = [_lives(each, index, parts) for index, each in enumerate(layers)]
    modules = [
        ModuleFacts(name=each.name.rpartition(".")[0], kind="Linear", order=order)
        for order, each in enumerate(weights)
    ]
    said = [
        WeightFacts(**({"name": each.name, "kind": "Linear", "shape": (8, 8), "is_optimised": True,
                        "armed_steps": windows * armed, "gradient_steps": windows * armed,
                        "nonzero_gradient_steps": windows * armed} | dict(each.fact)))
        for each in weights
    ]  # fmt: skip
    own = [of_three_classes()] if of_classes else []
    return Run(
        path=Path("run.sqlite"),
        info=RunInfo(kind="watch"),
        layers=tuple(known),
        windows=parts,
        epochs=(),
        lifetimes=tuple(lives),
        examination=(),
        deaths=tuple(map(_deaths, layers, lives)),
        facts=(*own, *modules, *said, *facts),
        weights=tuple(each.name for each in weights),
        scores=tuple(scores),
        curve=curve_of(losses),
    )


def of_three_classes(**changed: object) -> LossFacts:
    """Return a plain cross-entropy on 6,000 rows of three balanced classes."""
    usual: dict[str, object] = {
        "function": "cross_entropy",
        "phase": Phase.TRAINING,
        "place": "train.py:9",
        "step": 1,
        "rows": 6000,
        "class_counts": (2000, 2000, 2000),
        "head": (),
        "head_layer": "out",
        "target": Spread(count=6000, mean=1.0, least=0, greatest=2),
    }
    return LossFacts(**(usual | changed))


def curve_of(losses: Sequence[float]) -> Curve:
    """Return a curve of one step a bucket."""
    values = np.asarray(losses, float)
    bad = ~np.isfinite(values)
    kept = np.where(bad, np.nan, values)
    return Curve(1, kept, kept, kept, np.full(len(values), 0.01), bad.astype(np.int64))


def asked(rule, run: Run) -> list[Finding]:
    """Return what a rule finds in a run."""
    return [said for said in rule.check(Reading(run)) if isinstance(said, Finding)]


def unjudged(rule, run: Run) -> list[NotJudged]:
    """Return what a rule could not judge in a run."""
    return [said for said in rule.check(Reading(run)) if isinstance(said, NotJudged)]


def _units(layer: Units, at: int, windows: int, rows: int) -> LayerWindow:
    fired = np.broadcast_to(np.asarray(layer.fired, float), (windows, layer.units))[at]
    size = np.broadcast_to(np.asarray(layer.size, float), (windows, layer.units))[at]
    counts = np.round(fired * rows).astype(np.int64)
    activity = UnitActivity(rows, rows, counts, counts * size, rows * size**2, rows, counts * 1e-3)
    slope = Moments()
    if layer.slope is not None:
        mean, least, greatest = layer.slope
        slope = Moments(layer.units, mean * layer.units, least, greatest)
    return LayerWindow(activity, slope=slope)


def _weight(weight: Matrix, at: int, windows: int, armed: int) -> WeightWindow:
    def moments(value: object, greatest: float | None) -> Moments:
        mean = float(np.broadcast_to(np.asarray(value, float), (windows,))[at])
        peak = greatest if greatest is not None and at == windows - 1 else mean
        return Moments(armed, mean * (armed - 1) + peak, mean, peak)

    return WeightWindow(
        moments(weight.gradient, weight.greatest_gradient),
        moments(weight.update, weight.greatest_update),
        moments(weight.norm, None),
    )


def _lives(layer: Units, index: int, windows: Sequence[Window]) -> Lifetimes:
    life = Lifetimes.unseen(layer.units)
    for window in windows:
        seen = window.layers[index].activity
        life = life.after(window.first_step, seen.fired, seen.rows)
    return life


def _deaths(layer: Units, life: Lifetimes) -> Deaths:
    cause = np.where(life.first_silent == NEVER, Cause.ALIVE, Cause.UNKNOWN).astype(np.int8)
    cause[life.last_fired == NEVER] = Cause.FROM_START
    for unit, why in layer.causes.items():
        cause[unit] = why
    return Deaths(life.last_fired, life.first_silent, np.full(layer.units, 0.5), cause)
