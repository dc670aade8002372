"""``relume revive``: bring the dead units of a saved model back, and prove that it helped."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relume.errors import OutputError

if TYPE_CHECKING:
    from relume.training.revive_model import RevivedModel

MOST_SHOWN = 12


def revive(
    model: Annotated[Path, typer.Argument(help="Folder that relume fit wrote.")],
    *,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="CSV or Parquet file, images, sequences (.npz), or a built-in name, with targets.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where the new model goes. [MODEL-revived]"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
    epochs: Annotated[int, typer.Option("--epochs", help="Further epochs of training.")] = 1,
    lr: Annotated[float, typer.Option("--lr", help="Peak of the rate.")] = 1e-3,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the rows kept apart to judge by.")
    ] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Of all that is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Revive the dead units of a saved model, and write a new one if that is not worse.

    Dead units get fresh weights, in a way that changes no answer at that instant; then the model
    trains a further epoch. Before and after are scored on rows that it does not learn from. The
    activations stay, and so does the old model.
    """
    from relume.training.model_folder import load_model, save_model
    from relume.training.revive_model import revive_model

    place = out or model.parent / f"{model.resolve().name}-revived"
    _check_place(place, overwrite=overwrite)
    saved = load_model(model)
    found = revive_model(saved, data, epochs=epochs, lr=lr, held_out=held_out, seed=seed)
    verdict = found.revival.verdict
    is_written = verdict is not None and verdict.is_kept
    if is_written:
        save_model(found.model, place)
    if as_json:
        described = _described(found, place if is_written else None)
        sys.stdout.write(json.dumps(described, indent=1, allow_nan=False) + "\n")
    else:
        _print(found, place if is_written else None)


def _check_place(place: Path, *, overwrite: bool) -> None:
    """Refuse a place before anything is trained."""
    from relume.files import check_possible

    if place.exists() and not overwrite:
        raise OutputError(f"{place} exists; choose another --out or --overwrite it")
    if overwrite and place.exists() and not _is_model(place):
        raise OutputError(f"{place} is not a model folder, and is not overwritten; choose --out")
    check_possible(place)


def _is_model(place: Path) -> bool:
    return (place / "model.json").is_file() or (place.is_dir() and not any(place.iterdir()))


def _print(found: "RevivedModel", place: Path | None) -> None:
    from relume.report.wording import printable

    for note in found.notes:
        sys.stdout.write(f"{note}\n")
    for layer in found.revival.layers[:MOST_SHOWN]:
        sys.stdout.write(
            f"{printable(layer.name, 120)}: {layer.dead_before:,} of {layer.units:,} units dead, "
            f"then {layer.dead_after:,}\n"
        )
    sys.stdout.write(f"{found.revival.sentence}\n")
    if place is None:
        sys.stdout.write("no new model was written: there is none that is better\n")
    else:
        sys.stdout.write(f"the new model is in {place}\n")


def _described(found: "RevivedModel", place: Path | None) -> dict[str, Any]:
    revival = found.revival
    return {
        "model": None if place is None else str(place),
        "rows": revival.rows,
        "layers": [
            {
                "name": layer.name,
                "units": layer.units,
                "dead_before": layer.dead_before,
                "dead_after": layer.dead_after,
                "plan": None if layer.plan is None else layer.plan.to_json(),
            }
            for layer in revival.layers
        ],
        "verdict": None if revival.verdict is None else revival.verdict.to_json(),
        "sentence": revival.sentence,
        "notes": list(found.notes),
    }
