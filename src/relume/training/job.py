"""What a fit is given, checked and completed before anything is trained or written."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from relume.errors import OutputError, SettingsError
from relume.files import check_writable, free_folder
from relume.training.architecture import TEXT_NETWORKS, USUAL, number_positions
from relume.training.checkpoint import read_about
from relume.training.data.prepare import DataOptions, Prepared, prepare
from relume.training.data.task import Task
from relume.training.device import find_device
from relume.training.recipe import completed
from relume.training.settings import FitSettings

if TYPE_CHECKING:
    import polars as pl

RUN_NAME, MODEL_NAME, REPORT_NAME = "run.sqlite", "model", "report.html"
CHECKPOINT_NAME, WEIGHTS_NAME = "checkpoint.safetensors", "weights.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One fit, ready to train."""

    data: Prepared
    source: str | None  # where the data can be read again; None if it came as a frame
    settings: FitSettings  # completed
    folder: Path
    device: torch.device
    resumed: bool


def new_job(
    data: "str | Path | pl.DataFrame | None", options: Mapping[str, Any], out: Path | str | None
) -> Job:
    """Return a fit that begins, its data read and its open choices made."""
    if data is None:
        raise SettingsError(
            "no data given; name a built-in data set, a CSV, Parquet or .npz file, or a folder of "
            "images"
        )
    settings = FitSettings.from_mapping(options)
    _check_reads_text(settings)
    prepared = prepare(data, _data_options(settings))
    _check_has_classes(prepared, settings)
    folder = (
        Path(out) if out is not None else free_folder(Path(f"relume-{prepared.name.split('.')[0]}"))
    )
    features = len(prepared.preprocessing.features)
    done = completed(
        settings,
        len(prepared.train.y),
        prepared.form,
        features=features,
        numbers=len(number_positions(prepared)),
    )
    return Job(
        data=_with_network_note(prepared, done, chosen=settings.network is None),
        source=_source(data),
        settings=done,
        folder=folder,
        device=find_device(settings.device),
        resumed=False,
    )


def resumed_job(
    data: "str | Path | pl.DataFrame | None", folder: Path, options: Mapping[str, Any]
) -> Job:
    """Return a fit that goes on, with the data and the choices it was started with."""
    if options:
        raise SettingsError(
            f"a resumed training keeps its settings; leave out {', '.join(sorted(options))}"
        )
    if not (folder / CHECKPOINT_NAME).is_file() and (folder / MODEL_NAME).is_dir():
        raise SettingsError(f"the training in {folder} is finished; there is nothing to resume")
    about = read_about(folder / CHECKPOINT_NAME)
    source = data if data is not None else about["source"]
    if source is None:
        raise SettingsError("that training was started on a frame; give the same frame again")
    settings = FitSettings.from_mapping(about["settings"], "the checkpoint")
    prepared = prepare(source, _data_options(settings))
    if prepared.fingerprint != about["fingerprint"]:
        raise SettingsError(
            f"{prepared.name} is not the data that this training was started on; "
            "give the same data, or start anew without --resume"
        )
    is_usual = settings.network == USUAL[prepared.form]
    return Job(
        data=_with_network_note(prepared, settings, chosen=is_usual),
        source=_source(source),
        settings=settings,
        folder=folder,
        device=find_device(settings.device),
        resumed=True,
    )


def _data_options(settings: FitSettings) -> DataOptions:
    return DataOptions(
        target=settings.target,
        test=Path(settings.test) if settings.test else None,
        task=tuple(map(Task, settings.tasks)) or None,
        drop=settings.drop,
        categorical=settings.categorical,
        text=settings.text,
        read_texts=settings.network in (None, *TEXT_NETWORKS),
        missing=settings.missing,
        validation_fraction=settings.validation_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.seed,
        unsupervised=settings.is_autoencoder,
    )


def _check_has_classes(data: Prepared, settings: FitSettings) -> None:
    if settings.class_weights == "balanced" and not any(
        target.classes for target in data.preprocessing.targets
    ):
        raise SettingsError(
            f"--class-weights balanced is for classes, and of {data.name} none are predicted: "
            "leave it out"
        )


def _check_reads_text(settings: FitSettings) -> None:
    if settings.text and settings.network not in (None, *TEXT_NETWORKS):
        raise SettingsError(
            f"--network {settings.network} reads no text, but --text names a column: "
            f"use {' or '.join(TEXT_NETWORKS)}, or leave --text out"
        )


def _with_network_note(data: Prepared, settings: FitSettings, *, chosen: bool) -> Prepared:
    """Say which network the shape of the data asks for, and how short a code is."""
    if settings.is_autoencoder:
        note = (
            f"{len(data.preprocessing.features):,} features are rebuilt from a code of "
            f"{settings.code:,}; --code sets its width"
        )
    elif chosen:
        note = f"network {USUAL[data.form]}: the data are {data.form}; --network names another"
    else:
        return data
    return replace(data, notes=(*data.notes, note))


def _source(data: "str | Path | pl.DataFrame") -> str | None:
    if not isinstance(data, str | Path):
        return None
    path = Path(data)
    return str(path.resolve()) if path.exists() else str(data)


def claim_folder(folder: Path, *, overwrite: bool) -> None:
    """Make the output folder ready, or say why it cannot be."""
    check_writable(folder)
    names = (RUN_NAME, CHECKPOINT_NAME, MODEL_NAME, WEIGHTS_NAME, REPORT_NAME)
    ours = [folder / name for name in names]
    present = [path for path in ours if path.exists()]
    if present and not overwrite:
        raise OutputError(
            f"{folder} holds an earlier fit ({present[0].name}); choose another --out, "
            "--overwrite it, or --resume it if it is unfinished"
        )
    for path in (*present, *folder.glob(f"{RUN_NAME}-*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
