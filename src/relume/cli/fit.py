"""``relume fit``: train a ReLU network on data and leave model, run file and report."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relume.errors import SettingsError

if TYPE_CHECKING:
    from relume.report.parts import Document
    from relume.training.fit import FitResult

_DATA = "What is learned from"
_NETWORK = "The network"
_TRAINING = "The training"
_OUTPUT = "What comes out"

ListOption = list[str]


def fit(
    data: Annotated[
        str | None,
        typer.Argument(
            help="digits, wine, breast_cancer, iris, diabetes, fashion-mnist, mnist, a CSV or "
            "Parquet file, images in class subfolders, a folder of idx files, or an .npz file of "
            "images or sequences.",
            show_default=False,
        ),
    ] = None,
    *,
    target: Annotated[
        str | None,
        typer.Option(help="Column to predict; several: label,angle.", rich_help_panel=_DATA),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classification or regression, one for each target. [found out]",
            rich_help_panel=_DATA,
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(help="File or folder with an own test part.", rich_help_panel=_DATA),
    ] = None,
    drop: Annotated[
        ListOption | None, typer.Option(help="Column to leave out.", rich_help_panel=_DATA)
    ] = None,
    categorical: Annotated[
        ListOption | None,
        typer.Option(help="Column to read as categories.", rich_help_panel=_DATA),
    ] = None,
    text: Annotated[
        ListOption | None,
        typer.Option(help="Column to read word by word; prose is.", rich_help_panel=_DATA),
    ] = None,
    missing: Annotated[
        ListOption | None,
        typer.Option(help="Text that means a missing value.", rich_help_panel=_DATA),
    ] = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(help="Share of rows that chooses the epoch. [.1]", rich_help_panel=_DATA),
    ] = None,
    test_fraction: Annotated[
        float | None,
        typer.Option(help="Share of rows that is scored at the end. [.2]", rich_help_panel=_DATA),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="mlp; cnn or resnet for images; rnn or transformer for sequences; bag, "
            "transformer or rnn for texts; autoencoder: no target. [by data: mlp, cnn, rnn, bag]",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(
            help="Widths of hidden layers. [256,128; by network]", rich_help_panel=_NETWORK
        ),
    ] = None,
    bins: Annotated[
        int | None,
        typer.Option(help="Quantile bins of a number. [8 for tables]", rich_help_panel=_NETWORK),
    ] = None,
    code: Annotated[
        int | None,
        typer.Option(help="Width of an autoencoder's code. [by size]", rich_help_panel=_NETWORK),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(help="A name from 'relume activations'. [relu]", rich_help_panel=_NETWORK),
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(help="none, batch or layer. [by network]", rich_help_panel=_NETWORK),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            help="Share of hidden units dropped. [.3; autoencoder 0]", rich_help_panel=_NETWORK
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Initialisation. [he; identity for rnn]", rich_help_panel=_NETWORK),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate. [.002]", rich_help_panel=_TRAINING)
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(
            help="Largest norm of the gradient, 0 for none. [by network]",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(help="Decay of weights. [.1 for tables, .01]", rich_help_panel=_TRAINING),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Most passes over the data. [by size]", rich_help_panel=_TRAINING),
    ] = None,
    averaging: Annotated[
        float | None,
        typer.Option(help="Epochs to average over. [1 for tables, 0]", rich_help_panel=_TRAINING),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs to wait for a better one. [20]", rich_help_panel=_TRAINING),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows a step. [by size]", rich_help_panel=_TRAINING)
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(help="Share of steps of rising rate. [.05]", rich_help_panel=_TRAINING),
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Smoothing of labels. [.1]", rich_help_panel=_TRAINING)
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            help="auto (when imbalanced), balanced or none. [auto]", rich_help_panel=_TRAINING
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Same seed, same weights. [0]", rich_help_panel=_TRAINING),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, mps. [auto]", rich_help_panel=_TRAINING)
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of an operation. [by size]", rich_help_panel=_TRAINING),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(help="Measure units every how many steps. [10]", rich_help_panel=_TRAINING),
    ] = None,
    repair: Annotated[
        bool | None,
        typer.Option(
            "--repair/--no-repair",
            help="Try cures of what is wrong on the way, keep what helps. [on]",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with the same names as these options.", show_default=False),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of an unfinished fit to go on with.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results. [relume-NAME]", rich_help_panel=_OUTPUT),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a fit in --out.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_OUTPUT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUTPUT)
    ] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the report.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Train a ReLU network on a table, images or sequences: digits, a CSV file, an .npz file ...

    Scales the inputs, splits without leakage, trains with early stopping, scores the test part
    beside simple baselines, and shows which units are alive. An option left out takes the default
    in brackets.
    """
    given = {
        name: value
        for name, value in locals().items()
        if name not in _NOT_SETTINGS and value is not None
    }
    if hidden is not None:
        given["hidden"] = _widths(hidden)
    settings = _with_config(config, given)

    from relume.cli.fit_progress import Display
    from relume.report.document import build_document
    from relume.report.html import write_page
    from relume.training.fit import fit as train
    from relume.training.job import REPORT_NAME

    display = Display(quiet=quiet or as_json)
    with display:
        result = train(
            data, out=out, overwrite=overwrite, resume=resume, audience=display, **settings
        )
    report = result.folder / REPORT_NAME
    run = result.run
    document = build_document(run)
    write_page(document, report)
    if as_json:
        sys.stdout.write(json.dumps(_described(result, document), indent=1, allow_nan=False) + "\n")
    else:
        display.show(result, document, report)
    if open_page:
        from relume.cli.browser import open_in_browser

        open_in_browser(report)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


_NOT_SETTINGS = {
    "data", "config", "resume", "out", "overwrite", "as_json", "quiet", "open_page", "hidden",
}  # fmt: skip


def _widths(text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace("-", ",").split(",")]
    except ValueError:
        raise SettingsError(f"--hidden takes widths such as 256,128; got {text!r}") from None


def _with_config(config: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a file, where there is one, overridden by those given by hand."""
    if config is None:
        return given
    from relume.training.settings import FitSettings, read_config

    from_file = {name.replace("-", "_"): value for name, value in read_config(config).items()}
    FitSettings.from_mapping(from_file, str(config))
    return from_file | given


def _described(result: "FitResult", document: "Document") -> dict[str, Any]:
    from relume.runs.summary import summarise_layers

    return {
        "status": result.status,
        "folder": str(result.folder),
        "result": result.model.result,
        "notes": list(result.notes),
        "findings": [
            {"code": each.code, "severity": each.severity, "said": each.said}
            for each in document.findings
        ],
        "layers": [summary.to_json() for summary in summarise_layers(result.run)],
    }
