"""What is said of a run in plain words, from its numbers alone."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relume.report.parts import Baseline, LayerPart, Result, UnitCounts
from relume.report.wording import (
    count,
    interval,
    metric_name,
    number,
    printable,
    signed,
    upper_bound,
)
from relume.runs.query import Run

_ENDINGS = {
    "interrupted": "the run was interrupted",
    "failed": "the run failed",
    "running": "the run has not ended, or was killed",
}
_BAD_ENDINGS = {
    "running": "The run has not said that it ended: it is still going, or it was killed.",
    "interrupted": "The run was interrupted before its end.",
    "failed": "The run failed before its end.",
}
_UNEXAMINED = (
    "The units were not examined at fixed weights: what is said of dead units describes the last "
    "steps seen, while the weights still moved."
)
FIRING = (
    "A unit fires on a value where its output leaves the flat part of its activation (for ReLU: "
    "above zero). Its firing rate is the share of values on which it fires."
)
_MOST_NAMES = 8
_MOST_SCORES = 3  # in the headline


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentences are made from."""

    run: Run
    result: Result | None
    units: UnitCounts | None
    layers: Sequence[LayerPart]
    best_epoch: int | None
    further: Sequence[Result] = ()

    @property
    def results(self) -> tuple[Result, ...]:
        """The result of each target."""
        return () if self.result is None else (self.result, *self.further)


def headline(facts: Facts) -> str:
    """Return the result, what it is held against, and the dead units, in one sentence."""
    if facts.result is None:
        ending = _ENDINGS.get(facts.run.info.status, "none was recorded")
        return f"No test score: {ending}; {_units_clause(facts)}"
    clauses = []
    for result in facts.results[:_MOST_SCORES]:
        rivals = ", ".join(f"{part.name} {number(part.score)}" for part in result.rivals)
        clauses += [_of_target(result) + _score_clause(result), rivals]
    more = len(facts.results) - _MOST_SCORES
    unsaid = f"{count(more, 'more target')} below" if more > 0 else ""
    return "; ".join(filter(None, [*clauses, unsaid, _units_clause(facts)]))


def comparisons(facts: Facts) -> tuple[str, ...]:
    """Return one sentence a baseline: better, worse, or no difference shown."""
    return tuple(
        _of_target(result) + _comparison(part, result)
        for result in facts.results
        for part in result.rivals
    )


def missing(facts: Facts) -> tuple[str, ...]:
    """Return what was not observed, and why where that is known."""
    run = facts.run
    absences = [
        (facts.result is None, "Test score: not observed."),
        (not run.windows, "Training steps: not observed."),
        (not run.epochs, "Validation loss and score: not observed, since no epoch ended."),
        (
            bool(run.epochs) and all(math.isnan(epoch.validation_loss) for epoch in run.epochs),
            "Validation loss: not observed.",
        ),
        (not facts.layers, "Units: not observed."),
        (
            bool(facts.layers) and not run.examination,
            _UNEXAMINED,
        ),
    ]
    said = (text for holds, text in absences if holds)
    return (*endings(run), *said, *missing_flow(facts.layers))


def endings(run: Run) -> tuple[str, ...]:
    """Return how the run ended, if it did not end well."""
    ending = _BAD_ENDINGS.get(run.info.status)
    return () if ending is None else (ending,)


def missing_flow(layers: Sequence[LayerPart]) -> Iterator[str]:
    """Yield in which layers neither gradients nor updates were seen."""
    for what, name in (("Gradient norm", "gradient_norm"), ("Update ratio", "update_ratio")):
        unseen = [
            part.summary.name
            for part in layers
            if getattr(part, name) and all(math.isnan(value) for value in getattr(part, name))
        ]
        if unseen:
            yield f"{what}: not observed in {_names(unseen)}."


def remarks(facts: Facts) -> tuple[str, ...]:
    """Return what stands out and would be overlooked in a picture."""
    gradients = tuple(_gradient_remarks(facts))
    shown, more = gradients[:_MOST_NAMES], len(gradients) - _MOST_NAMES
    rest = (f"The same holds in {count(more, 'more layer')}.",) if more > 0 else ()
    return (*_loss_remarks(facts.run), *shown, *rest, *_slope_remarks(facts))


def measurement(facts: Facts) -> tuple[str, ...]:
    """Return how the numbers came about, and how far they reach."""
    run = facts.run
    said = [FIRING, *meanings(facts.layers)]
    if run.windows:
        armed = sum(window.armed_steps for window in run.windows)
        said.append(
            f"Units and gradients were measured on {armed:,} of {count(run.last_step, 'step')}. "
            "The weights move from step to step, so these counts describe the training and prove "
            "nothing about a fixed network."
        )
    if run.examination:
        said.append(_examination_sentence(facts))
    said.extend(_loss_sentences(run.info.settings))
    said.extend(_named_losses(run))
    return tuple(said)


def meanings(layers: Sequence[LayerPart]) -> Iterator[str]:
    """Yield what the words mean that are used of units which cannot die."""
    if any(part.summary.saturated_units is not None for part in layers):
        yield (
            "A unit whose output is bounded is called saturated if its slope was under 1 % of the "
            "greatest on all of the rows; where it was above, it is said to fire."
        )
    if any(part.summary.dormant_units is not None for part in layers):
        yield (
            "A unit that can neither die nor saturate is called dormant if the root mean square of "
            "its output is at most 0.025 of the mean over its layer (Sokar et al., 2023)."
        )


def _of_target(result: Result) -> str:
    return f"{result.target}: " if result.target else ""


def _score_clause(result: Result) -> str:
    rows = "the test rows" if result.rows is None else f"{count(result.rows, 'test row')}"
    text = f"{number(result.score)} {metric_name(result.metric)} on {rows}"
    if result.interval is None:
        return text
    return f"{text} ({_confidence(result)} interval {interval(result.interval)})"


def _units_clause(facts: Facts) -> str:
    units = facts.units
    if units is None:
        if any(part.summary.rows for part in facts.layers):
            return "its units cannot die"
        return "units not observed"
    if units.at_final_weights:
        return f"{units.dead:,} of {count(units.units, 'unit')} dead"
    rows = count(units.rows, "row")
    return f"{units.dead:,} of {count(units.units, 'unit')} silent on the last {rows} seen"


def _comparison(part: Baseline, result: Result) -> str:
    if part.difference is None:
        return f"{part.name}: {number(part.score)}; the difference was not observed."
    if part.difference_interval is None:
        return f"{signed(part.difference)} against {part.name}; its interval was not observed."
    low, high = part.difference_interval
    between = f"{_confidence(result)} interval {signed(low)} to {signed(high)}"
    if low > 0:
        return f"Better than {part.name} by {number(part.difference)} ({between})."
    if high < 0:
        return f"Worse than {part.name} by {number(-part.difference)} ({between})."
    return f"No difference from {part.name} is shown: {signed(part.difference)} ({between})."


def _confidence(result: Result) -> str:
    return f"{100 * result.confidence:.4g} %"


def _loss_remarks(run: Run) -> Iterator[str]:
    for window in run.windows:
        if window.loss.count and not math.isfinite(window.loss.total):
            yield (
                f"The training loss was not a finite number within steps {window.first_step:,} "
                f"to {window.last_step:,}."
            )
            return


def _gradient_remarks(facts: Facts) -> Iterator[str]:
    for index, part in enumerate(facts.layers):
        norms = [window.layers[index].gradient_norm for window in facts.run.windows]
        seen = [norm for norm in norms if norm.count]
        zero = sum(norm.greatest == 0.0 for norm in seen)
        if zero:
            yield (
                f"{part.summary.name}: the gradient of its weights was exactly zero in {zero:,} of "
                f"{count(len(seen), 'window')}."
            )


def _slope_remarks(facts: Facts) -> Iterator[str]:
    for index, part in enumerate(facts.layers):
        slopes = [window.layers[index].slope for window in facts.run.windows]
        last = next((slope for slope in reversed(slopes) if slope.count), None)
        if last is not None:
            yield (
                f"{part.summary.name}: its slopes below zero were lately between "
                f"{signed(last.least)} and {signed(last.greatest)}."
            )


def _examination_sentence(facts: Facts) -> str:
    rows = sorted({activity.rows for activity in facts.run.examination})
    seen = count(rows[0], "row")
    if len(rows) > 1:
        seen = f"{rows[0]:,} to {count(rows[-1], 'row')}, depending on the layer"
    weights = f"the weights of epoch {facts.best_epoch:,}" if facts.best_epoch else "fixed weights"
    said = f"After training, at {weights}, every unit was examined on n = {seen}."
    if rows[0] == 0:
        return said
    said = f"{said} Dead means: it fired on none of them."
    held_out = facts.run.held_out_rows
    if not held_out:
        return f"{said} All had a part in fitting the weights, so they bound nothing."
    return (
        f"{said} m = {held_out:,} of them were held out from fitting the weights: they show that "
        f"such a unit fires on fewer than 3/m of rows like them, here "
        f"{upper_bound(min(1.0, 3 / held_out))} (95 % confidence, the rule of three)."
    )


def _loss_sentences(settings: object) -> Iterator[str]:
    given = settings if isinstance(settings, Mapping) else {}
    names = [
        name.replace("_", " ") for name in ("dropout", "label_smoothing") if _positive(given, name)
    ]
    if names:
        yield (
            f"The training loss is taken with {' and '.join(names)}, the validation loss without: "
            "their levels differ for that reason too."
        )


def _named_losses(run: Run) -> Iterator[str]:
    if run.losses:
        last = max(run.losses)
        known = [f"{printable(name)} {number(mean)}" for name, mean in run.losses[last].items()]
        yield f"Mean of each loss over epoch {last:,}: {_names(known)}."


def _positive(settings: Mapping[str, object], name: str) -> bool:
    value = settings.get(name)
    return isinstance(value, int | float) and value > 0


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
