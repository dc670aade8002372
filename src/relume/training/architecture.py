"""Which network fits the shape of the data, and what its builder is called with."""

from typing import Any

from relume.errors import SettingsError
from relume.training.data.image_preprocessing import ImagePreprocessing
from relume.training.data.prepared import Form, Prepared
from relume.training.data.preprocessing import Preprocessing
from relume.training.settings import FitSettings

USUAL = {Form.TABLE: "mlp", Form.IMAGES: "cnn", Form.TEXTS: "bag"}
"""The network for data of each form."""

WORD_DROPOUT = 0.5
"""The share of a text's words left out in training: a text has many that say the same."""

TEXT_NETWORKS = ("bag", "transformer", "rnn")
"""The networks that read the texts of a table."""


def builder_name(data: Prepared, settings: FitSettings) -> str:
    """Return the name of the builder that makes the chosen network for data of this form."""
    return "reader" if data.form is Form.TEXTS else str(settings.network)


def network_arguments(data: Prepared, settings: FitSettings) -> dict[str, Any]:
    """Return what the builder of the chosen network is called with, as JSON data."""
    classes = data.preprocessing.classes
    arguments: dict[str, Any] = {
        "outputs": len(classes) if classes else 1,
        "activation": settings.activation,
        "init": settings.init,
    }
    if settings.norm is not None:
        arguments["norm"] = None if settings.norm == "none" else settings.norm
    widths = list(settings.hidden or ())
    features = len(data.preprocessing.features)
    if texts := text_sizes(data.preprocessing):
        return arguments | {
            "features": features - sum(steps for _, steps in texts),
            "texts": texts,
            "encoder": settings.network,
            "hidden": widths,
            "dropout": settings.dropout,
            "word_dropout": WORD_DROPOUT,
        }
    if settings.network == "mlp":
        return arguments | {"inputs": features, "hidden": widths, "dropout": settings.dropout}
    channels, *sides = input_shape(data, str(settings.network))
    arguments |= {"channels_in": channels, "channels": widths}
    if settings.network == "cnn":
        arguments |= {"image_size": sides, "dropout": settings.dropout}
    return arguments


def text_sizes(preprocessing: Preprocessing | ImagePreprocessing) -> list[list[int]]:
    """Return vocabulary and steps of each column of text."""
    if isinstance(preprocessing, ImagePreprocessing):
        return []
    return [[column.vocabulary, column.steps] for column in preprocessing.texts]


def input_shape(data: Prepared, network: str) -> tuple[int, ...]:
    """Return the shape of one row as the network takes it.

    Raises:
        SettingsError: The network wants rows of another shape.
    """
    if network == "mlp" or (network in TEXT_NETWORKS and data.form is Form.TEXTS):
        return (len(data.preprocessing.features),)
    if network in TEXT_NETWORKS:
        raise SettingsError(
            f"--network {network} wants a column of text, and {data.name} is {data.form} without: "
            f"use {USUAL[data.form]}, or name the column with --text"
        )
    if data.image_shape is None:
        raise SettingsError(f"--network {network} wants images; {data.name} is a table: use mlp")
    return tuple(data.image_shape)
