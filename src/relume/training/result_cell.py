"""The result of a fit in a cell of a notebook: its scores, and how its units stand."""

from collections.abc import Sequence
from pathlib import Path

from relume import markup
from relume.errors import RelumeError
from relume.runs.query import read_run
from relume.runs.summary import LayerSummary, summarise_layers
from relume.runs.wording import count
from relume.training.scores import Score
from relume.training.verdict import Verdict

MOST_LAYERS = 40


def result_cell(status: str, verdicts: Sequence[Verdict], run_file: Path) -> str:
    """Return a result as HTML.

    Args:
        status: How the fit ended.
        verdicts: Scores, one for each target; none without a test part.
        run_file: The record of the training.
    """
    parts = [_scores(verdict) for verdict in verdicts]
    try:
        layers = summarise_layers(read_run(run_file))
    except RelumeError as error:
        parts.append(markup.line(error))
    else:
        headings = ["layer", "activation", "units", "firing rate", "dead", "rows n"]
        rows = [_row(layer) for layer in layers[:MOST_LAYERS]]
        parts.append(markup.table(headings, rows) if rows else markup.line("no unit was observed"))
    parts.append(markup.line(f"run file: {run_file}"))
    return markup.card(f"fit {status}", *parts)


def _scores(verdict: Verdict) -> str:
    of = f" of {verdict.target}" if verdict.target else ""
    title = f"{verdict.metric.replace('_', ' ')}{of} on {count(verdict.rows, 'test row')}"
    rows = [
        ("relume", _shown(verdict.score), ""),
        *((each.name, _shown(each.score), _shown(each.difference)) for each in verdict.comparisons),
    ]
    headings = ["model", "score, 95 % interval", "relume minus it"]
    return markup.line(title) + markup.table(headings, rows)


def _shown(score: Score) -> str:
    low, high = score.interval
    return f"{score.value:.3f} ({low:.3f} to {high:.3f})"


def _row(layer: LayerSummary) -> Sequence[object]:
    dead = "cannot die" if layer.dead_units is None else f"{len(layer.dead_units):,}"
    rate, rows = f"{layer.firing_rate:.0%}", f"{layer.rows:,}"
    if not layer.rows:
        rate = dead = "not observed"
    return layer.name, layer.activation, f"{layer.units:,}", rate, dead, rows
