"""A run as tidy tables: one row a thing, one column a fact of it, each column described."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from relume.runs.fact_json import kind_of, plain_json
from relume.runs.query import Run
from relume.runs.records import NEVER, Cause, Moments
from relume.runs.summary import LayerSummary, summarise_layers

Rows = Iterable[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its kind (``int``, ``float``, ``text`` or ``flag``), what it says."""

    name: str
    kind: str
    about: str


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One table. A value is None where nothing was observed; a nan is one that was recorded.

    Args:
        name: Of the table.
        about: What a row is.
        columns: In order.
        rows: Tuples as long as there are columns.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def by_column(self) -> dict[str, list[Any]]:
        """Return the values of each column."""
        values = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return {column.name: list(each) for column, each in zip(self.columns, values, strict=True)}

    def described(self) -> dict[str, Any]:
        """Return what the table and its columns say, as plain data."""
        columns = {each.name: {"kind": each.kind, "about": each.about} for each in self.columns}
        return {"about": self.about, "rows": len(self.rows), "columns": columns}


def tables(run: Run) -> tuple[Table, ...]:
    """Return everything that a run file holds; the windows of units are summed up by layer.

    Cost: linear in the size of the record.
    """
    return tuple(
        Table(name, about, _columns(columns), tuple(rows(run)))
        for name, about, columns, rows in _TABLES
    )


def _columns(text: str) -> tuple[Column, ...]:
    """Read ``name kind what it says`` line by line."""
    lines = (line.split(maxsplit=2) for line in text.strip().splitlines())
    return tuple(Column(*parts) for parts in lines)


def described_moments(name: str, what: str) -> str:
    """Return the columns of the moments of a number."""
    return (
        f"{name}_count int {what}: how often it was seen\n"
        f"{name} float {what}: mean\n"
        f"{name}_least float {what}: least\n"
        f"{name}_greatest float {what}: greatest\n"
    )


def _moments(moments: Moments) -> tuple[Any, ...]:
    if not moments.count:
        return (0, None, None, None)
    return (moments.count, moments.mean, moments.least, moments.greatest)


def _info(run: Run) -> Rows:
    for part, value in asdict(run.info).items():
        given = value if isinstance(value, dict) else {"": value}
        yield from ((part, name, json.dumps(plain_json(each))) for name, each in given.items())


def _layers(run: Run) -> Rows:
    summaries = summarise_layers(run)
    for index, layer in enumerate(run.layers):
        summary = summaries[index] if summaries else None
        said = (layer.name, layer.activation, layer.units, layer.can_die, layer.saturates)
        yield (index, *said, layer.owner, layer.place, *_summary(summary))


def _summary(summary: LayerSummary | None) -> tuple[Any, ...]:
    if summary is None:
        return (None,) * 8
    states = (
        summary.dead_units,
        summary.dying_units,
        summary.saturated_units,
        summary.dormant_units,
    )
    return (
        summary.rows,
        summary.held_out_rows,
        summary.at_final_weights,
        _known(summary.firing_rate),
        *(None if units is None else len(units) for units in states),
    )


def _windows(run: Run) -> Rows:
    for window in run.windows:
        steps = (window.first_step, window.last_step, window.armed_steps)
        yield (*steps, *_moments(window.loss), _known(window.learning_rate))


def _layer_windows(run: Run) -> Rows:
    for window in run.windows:
        for index, part in enumerate(window.layers):
            seen = part.activity
            whole = (
                (
                    float(seen.firing_rate.mean()),
                    int((seen.fired == 0).sum()),
                    float(seen.mean.mean()),
                    float(np.sqrt(np.mean(seen.root_mean_square**2))),
                )
                if seen.positions and seen.units
                else (None,) * 4
            )
            flow = (part.gradient_norm, part.update_ratio, part.slope)
            moments = (value for each in flow for value in _moments(each))
            steps = (window.first_step, window.last_step)
            yield (*steps, index, seen.rows, seen.positions, *whole, *moments)


def _units(run: Run) -> Rows:
    for index, (layer, summary) in enumerate(zip(run.layers, summarise_layers(run), strict=False)):
        states = _states(summary)
        examined = run.examination[index] if index < len(run.examination) else None
        life = run.lifetimes[index] if index < len(run.lifetimes) else None
        deaths = run.deaths[index] if index < len(run.deaths) else None
        for unit in range(layer.units):
            yield (
                index,
                unit,
                states.get(unit, "active" if summary.rows else None),
                None if life is None else _step(life.last_fired[unit]),
                None if life is None else _step(life.first_silent[unit]),
                None if life is None else int(life.silent_rows[unit]),
                None if deaths is None else Cause(int(deaths.cause[unit])).name.lower(),
                None if deaths is None else _known(float(deaths.row_change[unit])),
                None if examined is None else int(examined.fired[unit]),
                None if examined is None else examined.rows,
            )


def _states(summary: LayerSummary) -> dict[int, str]:
    named = (
        ("dying", summary.dying_units),
        ("dormant", summary.dormant_units),
        ("saturated", summary.saturated_units),
        ("dead", summary.dead_units),
    )
    return {unit: state for state, units in named for unit in units or ()}


def _weights(run: Run) -> Rows:
    for window in run.windows:
        for name, part in zip(run.weights, window.weights, strict=False):
            flow = (part.gradient_norm, part.update_ratio, part.norm)
            moments = (value for each in flow for value in _moments(each))
            yield (window.first_step, window.last_step, name, *moments)


def _curve(run: Run) -> Rows:
    curve = run.curve
    columns = (curve.losses, curve.least, curve.greatest, curve.rates)
    for index, last_step in enumerate(curve.steps.tolist()):
        values = (_known(float(column[index])) for column in columns)
        first_step = last_step - curve.bucket_steps + 1
        yield (first_step, last_step, *values, int(curve.nonfinite[index]))


def _epochs(run: Run) -> Rows:
    return (tuple(asdict(each).values()) for each in run.epochs)


def _losses(run: Run) -> Rows:
    return (
        (epoch, name, mean) for epoch, means in run.losses.items() for name, mean in means.items()
    )


def _scores(run: Run) -> Rows:
    return (
        (each.step, each.phase, each.rows, each.loss, _known(each.right)) for each in run.scores
    )


def _metrics(run: Run) -> Rows:
    return ((each.name, each.step, each.value) for each in run.metrics)


def _facts(run: Run) -> Rows:
    return (
        (kind_of(fact), fact.key, json.dumps(plain_json(asdict(fact)), allow_nan=False))
        for fact in run.facts
    )


def _remedies(run: Run) -> Iterator[tuple[Any, ...]]:
    for each in run.remedies:
        texts = (json.dumps(plain_json(dict(part))) for part in (each.plan, each.evidence))
        gain = map(_known, (each.gain, each.low, each.high))
        yield (each.step, each.action, *texts, each.verdict or None, *gain, each.is_kept)


def _unobserved(run: Run) -> Rows:
    return ((each.what, each.place, each.count) for each in run.unobserved)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _step(step: int) -> int | None:
    return None if step == NEVER else int(step)


_SPAN = "first_step int first step of the window, from 1\nlast_step int its last step\n"
_FLOW = described_moments("gradient_norm", "L2 norm of the gradient") + described_moments(
    "update_ratio", "L2 norm of the update over that of the parameters"
)

_TABLES: Sequence[tuple[str, str, str, Callable[[Run], Rows]]] = (
    (
        "info",
        "something said of the run as a whole",
        """part text kind, status, settings, data, environment, result or overhead
        name text what it is of that part
        value text as JSON""",
        _info,
    ),
    (
        "layers",
        "a layer of activations, and how its units stand at the end",
        """layer int number of the layer, which other tables name it by
        name text qualified name of the module
        activation text name in the catalogue
        units int neurons or channels
        can_die flag whether a unit can output a constant with gradient zero
        saturates flag whether the output is bounded on both sides
        owner text the module whose weights feed it
        place text file:line where it is applied
        rows int independent rows that the states below rest on
        held_out_rows int how many of them had no influence on the weights
        at_final_weights flag whether they were seen at fixed, final weights
        firing_rate float mean over units of the share of values on which they fired
        dead int units that fired on none of the rows
        dying int units that hardly fired, with a falling trend
        saturated int units that were saturated on all of the rows
        dormant int units with hardly any output""",
        _layers,
    ),
    (
        "windows",
        "consecutive steps whose statistics were added up",
        f"""{_SPAN}armed_steps int steps whose units were measured
        {described_moments("loss", "training loss")}learning_rate float of the last step""",
        _windows,
    ),
    (
        "layer_windows",
        "a layer in a window",
        f"""{_SPAN}layer int number of the layer
        rows int rows seen on armed steps
        positions int values seen per unit
        firing_rate float mean over units of the share of values on which they fired
        silent_units int units that fired on none of those values
        mean float mean activation
        root_mean_square float root mean square of the activations
        {_FLOW}{described_moments("slope", "slope of a parametric ReLU below zero")}""",
        _layer_windows,
    ),
    (
        "units",
        "a unit, its life and its death",
        """layer int number of the layer
        unit int number of the unit
        state text active, dead (or silent while training), dying, saturated or dormant
        last_fired int last armed step at which it fired; none if not once
        first_silent int first armed step of its present silence; none while it fires
        silent_rows int rows seen since it last fired
        cause text why it fell silent, as far as the evidence goes
        row_change float change of its weights and bias between those steps, over their norm
        examined_fired int values on which it fired at the final weights
        examined_rows int rows seen at the final weights""",
        _units,
    ),
    (
        "weights",
        "a weight in a window",
        f"""{_SPAN}weight text qualified name of the parameter
        {_FLOW}{described_moments("norm", "L2 norm of the weight")}""",
        _weights,
    ),
    (
        "curve",
        "a stretch of equally many steps of the whole training",
        """first_step int first step of the stretch
        last_step int its last step
        loss float mean training loss
        loss_least float least loss
        loss_greatest float greatest loss
        learning_rate float of its last step
        nonfinite int losses in it that were no finite number""",
        _curve,
    ),
    (
        "epochs",
        "a pass over the training part of a fit",
        """epoch int from 1
        step int its last step
        train_loss float mean training loss
        validation_loss float on the validation part
        validation_score float on the validation part
        learning_rate float of its last step
        units_alive int units that fired within the last 1,000 armed rows
        units int units that can die""",
        _epochs,
    ),
    (
        "losses",
        "the mean of a loss with a name over an epoch",
        "epoch int from 1\nname text of the loss\nmean float over the epoch",
        _losses,
    ),
    (
        "scores",
        "what the model's own loss said of rows",
        """step int the last update before
        phase text training or evaluation
        rows int rows that were looked at
        loss float mean loss over them
        right float share of them whose class was predicted""",
        _scores,
    ),
    (
        "metrics",
        "a score that the script recorded",
        "name text of the score\nstep int the last update before\nvalue float as recorded",
        _metrics,
    ),
    (
        "facts",
        "a fact of an input, loss, module, weight, optimizer or norm",
        "kind text of the fact\nkey text what it is of\nvalue text as JSON",
        _facts,
    ),
    (
        "remedies",
        "a remedy that was applied",
        """step int the last update before
        action text name of the action
        plan text what it was to do, as JSON
        evidence text why, as JSON
        verdict text what came of it
        gain float above 0 where it helped
        gain_low float of its interval (95 %)
        gain_high float of its interval (95 %)
        is_kept flag whether it stayed""",
        _remedies,
    ),
    (
        "unobserved",
        "calls that could not be measured",
        "what text what was called\nplace text file:line\ncount int how often",
        _unobserved,
    ),
)
