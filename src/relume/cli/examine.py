"""``relume examine``: what the units of a trained model do on rows, and what noise does to it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from relume.observe.examine import Examination

MOST_SHOWN = 12


def examine(
    model: Annotated[Path, typer.Argument(help="Folder that relume fit wrote.")],
    data: Annotated[
        str,
        typer.Argument(help="CSV or Parquet file, images, sequences (.npz), or a built-in name."),
    ],
    *,
    weight_noise: Annotated[
        list[float] | None,
        typer.Option(
            "--weight-noise",
            help="Also score the model with relative noise of this deviation on all weights; "
            "repeatable.",
        ),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", min=2, help="Draws of each noise.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Of the noise.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Examine every unit of a trained model at its fixed weights: dead, saturated, dormant, twins.

    Give rows that had no part in the training: a unit silent on n of them fires on fewer than 3/n
    of rows like them (95 %).
    """
    from relume.observe.examine import examine as examine_model
    from relume.training.loop import blocks
    from relume.training.model_folder import load_model
    from relume.training.predict import network_inputs, read_rows

    saved = load_model(model)
    rows = read_rows(saved, data)
    score = _score_of(saved, rows) if weight_noise else None
    found = examine_model(
        saved.network,
        blocks(network_inputs(saved, rows), saved.network),
        score=score,
        weight_noise=weight_noise or (),
        draws=draws,
        seed=seed,
    )
    if as_json:
        sys.stdout.write(json.dumps(_described(found, saved.metric), indent=1) + "\n")
    else:
        _print(found, saved.metric)


def _score_of(saved: Any, rows: Any) -> Any:
    """Return what scores a network on the rows; of several targets the mean."""
    from dataclasses import replace

    from relume.errors import DataError
    from relume.training.predict import predict_rows

    def score(network: Any) -> float:
        each = predict_rows(replace(saved, network=network), rows).scores
        known = [one.score.value for one in each if one.score is not None]
        if not known:
            raise DataError("--weight-noise needs rows with their target, to score the model")
        return float(sum(known) / len(known))

    return score


def _print(found: "Examination", metric: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from relume.report.wording import count, printable, share

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold", min_width=20)
    table.add_column("function", overflow="fold", min_width=8)
    headings = ("units", "fires", "dead", "saturated", "dormant", "always on", "twins")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for each in found.layers:
        layer = each.layer
        table.add_row(
            Text(printable(layer.name, 120)),
            Text(printable(layer.activation, 60)),
            f"{layer.units:,}",
            share(float(each.firing_rate.mean())),
            *map(_cell, (each.dead, each.saturated, each.dormant, each.always_on)),
            "—" if each.duplicates is None else f"{sum(map(len, each.duplicates)):,}",
        )
    console.print(f"n = {count(found.rows, 'row')}, at fixed weights", highlight=False)
    console.print(table)
    for sentence in _sentences(found, metric):
        console.print(Text(sentence), soft_wrap=True)


def _sentences(found: "Examination", metric: str) -> list[str]:
    from relume.report.wording import number, printable, upper_bound

    said = []
    for each in found.layers:
        name = printable(each.layer.name, 120)
        for what, units in (("dead", each.dead), ("saturated", each.saturated)):
            if units:
                said.append(f"{name}: {what} units {_listed(units)}")
        twins = (each.duplicates or ())[:MOST_SHOWN]
        said += [f"{name}: units {_listed(group)} do the same" for group in twins]
    bounds = [each.firing_probability_bound for each in found.layers if each.dead]
    if bounds:
        said.append(
            "A dead unit fires on fewer than 3/n of rows like these, "
            f"{upper_bound(max(bound or 0.0 for bound in bounds))} (95 %), if they had no part in "
            "fitting the weights."
        )
    said += [f"not observed: {what} {place} ({times}x)" for what, place, times in found.unobserved]
    if found.clean_score is not None:
        said.append(f"{metric} without noise: {number(found.clean_score)}")
    for point in found.noise:
        low, high = point.interval
        said.append(
            f"{metric} with noise of {point.deviation:.3g} on the weights: {number(point.mean)} "
            f"(95 % interval of the mean over {len(point.scores)} draws {number(low)} to "
            f"{number(high)})"
        )
    return said


def _cell(units: tuple[int, ...] | None) -> str:
    return "—" if units is None else f"{len(units):,}"


def _listed(units: tuple[int, ...]) -> str:
    more = len(units) - MOST_SHOWN
    return ", ".join(map(str, units[:MOST_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


def _described(found: "Examination", metric: str) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "layers": [
            {
                "name": each.layer.name,
                "place": each.layer.place,
                "activation": each.layer.activation,
                "units": each.layer.units,
                "rows": each.rows,
                "firing_rate": [round(float(rate), 6) for rate in each.firing_rate],
                "dead": each.dead,
                "saturated": each.saturated,
                "dormant": each.dormant,
                "always_on": each.always_on,
                "duplicates": each.duplicates,
                "firing_probability_bound": each.firing_probability_bound,
            }
            for each in found.layers
        ],
        "not_observed": [
            {"what": what, "place": place, "count": times}
            for what, place, times in found.unobserved
        ],
        "metric": metric if found.clean_score is not None else None,
        "score": found.clean_score,
        "weight_noise": [
            {"deviation": point.deviation, "mean": point.mean, "interval": list(point.interval),
             "scores": list(point.scores)}
            for point in found.noise
        ],
    }  # fmt: skip
