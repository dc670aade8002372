"""What is said of a watched training: of its units, of what was not seen, of what it cost."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from relume.report.parts import IdleCounts, LayerPart, MetricCurve, Overhead
from relume.report.sentences import FIRING, Facts, endings, meanings, missing_flow
from relume.report.wording import at_place, budget_share, count, every, number, on_top, printable
from relume.runs.query import Run
from relume.runs.records import NEVER
from relume.runs.summary import WATCH

MOST_LISTED = 200
_NOTHING_MISSED = "Nothing that was called went unobserved."


def headline(facts: Facts, saturated: IdleCounts | None, dormant: IdleCounts | None) -> str:
    """Return how the units stand, in one sentence."""
    clauses = [_dead_clause(facts)]
    for counts, state in ((saturated, "saturated"), (dormant, "dormant")):
        if counts is not None and counts.idle:
            clauses.append(f"{counts.idle:,} of {count(counts.units, 'unit')} {state}")
    return "; ".join(clauses)


def missing(facts: Facts) -> tuple[str, ...]:
    """Return what could have been recorded and was not."""
    run = facts.run
    has_loss = any(window.loss.count for window in run.windows)
    absences = [
        (not run.windows, "Training steps: not observed."),
        (bool(run.windows) and not has_loss, "Training loss: not observed."),
        (not facts.layers, "Units: not observed."),
        (
            bool(run.other_shards),
            f"Not added up, for they saw other layers: {_files(run.other_shards)}.",
        ),
        (
            bool(run.damaged_shards),
            f"Not added up, for they cannot be read: {_files(run.damaged_shards)}.",
        ),
    ]
    said = (text for holds, text in absences if holds)
    return (*endings(run), *said, *missing_flow(facts.layers))


def not_observed(run: Run) -> tuple[str, ...]:
    """Return what was called and could not be measured, by what and where, the most often first."""
    listed = sorted(run.unobserved, key=lambda missed: -missed.count)
    shown = [
        f"{at_place(printable(missed.what, 120), _place(missed.place))}, "
        f"{count(missed.count, 'time')}"
        for missed in listed[:MOST_LISTED]
    ]
    more = len(listed) - len(shown)
    if more > 0:
        shown.append(f"and {more:,} more")
    if not shown and run.info.kind == WATCH:
        return (_NOTHING_MISSED,)
    return tuple(shown)


def measurement(facts: Facts, overhead: Overhead | None) -> tuple[str, ...]:
    """Return how the numbers came about, what they cost, and how far they reach."""
    run = facts.run
    said = [FIRING, *_dead_means(facts.layers), *meanings(facts.layers)]
    if run.windows:
        said.append(
            "Units were counted while the weights moved: what is said of them describes the rows "
            "that were seen, and proves nothing about a fixed network."
        )
    said.append(cost(run, overhead))
    if run.shards > 1:
        said.append(f"The records of {run.shards:,} processes were added up.")
    return tuple(said)


def cost(run: Run, overhead: Overhead | None) -> str:
    """Return what watching cost, in one sentence."""
    armed, steps = sum(window.armed_steps for window in run.windows), count(run.last_step, "step")
    measured = f"{armed:,} of {steps} were measured"
    if run.shards > 1:
        measured = f"{run.shards:,} processes of {steps} each measured {armed:,} in all"
    overhead = overhead or Overhead(None, None, None)
    rhythm = "" if overhead.period is None else f", {every(overhead.period)} at the end"
    allowed = "" if overhead.budget is None else f"; the budget was {budget_share(overhead.budget)}"
    if overhead.measured_share is None:
        return f"What watching cost was not measured; {measured}{rhythm}{allowed}."
    spent = on_top(overhead.measured_share)
    return f"Watching cost {spent} of step time: {measured}{rhythm}{allowed}."


def last_values(metrics: Sequence[MetricCurve]) -> tuple[str, ...]:
    """Return the last value of each score that the script recorded."""
    return tuple(
        f"{curve.name}: {number(curve.value[-1])} at step {curve.step[-1]:,}" for curve in metrics
    )


def _dead_clause(facts: Facts) -> str:
    units = facts.units
    if units is None:
        is_seen = any(part.summary.rows for part in facts.layers)
        return "no unit that was observed can die" if is_seen else "no unit was observed"
    if not units.dead:
        return f"no unit that was observed died (of {count(units.units, 'unit')})"
    are = "is" if units.dead == 1 else "are"
    state = "dead" if units.at_final_weights else "silent"
    return f"{units.dead:,} of {count(units.units, 'unit')} {are} {state}{_since(facts)}"


def _since(facts: Facts) -> str:
    """When the silent units fell silent; nothing where no lifetimes were recorded."""
    silent = [
        (int(life.last_fired[unit]), int(life.first_silent[unit]))
        for part, life in zip(facts.layers, facts.run.lifetimes, strict=False)
        for unit in part.summary.dead_units or ()
    ]
    if not silent:
        return ""
    if all(last_fired == NEVER for last_fired, _ in silent):
        return " since the first step that was seen"
    first, last = min(step for _, step in silent), max(step for _, step in silent)
    if first == last:
        return f" since step {first:,}"
    return f", the first since step {first:,}, the last since step {last:,}"


def _dead_means(layers: Sequence[LayerPart]) -> Iterator[str]:
    """Say on how many rows a unit is called dead."""
    rows = [part.summary.rows for part in layers if part.summary.dead_units is not None]
    if rows:
        low, high = min(rows), max(rows)
        span = count(high, "row") if low == high else f"{low:,} to {count(high, 'row')}"
        yield (
            f"A unit is called dead, or silent, if it fired on none of the last n = {span} that "
            "were seen."
        )


def _place(place: str | None) -> str | None:
    return None if place is None else printable(place, 120)


def _files(paths: Sequence[Path]) -> str:
    return ", ".join(printable(path.name, 60) for path in paths[:20])
