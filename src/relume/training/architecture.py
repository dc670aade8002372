"""Which network fits the shape of the data, and what its builder is called with."""

from typing import Any

from relume.errors import SettingsError
from relume.training.data.prepared import Form, Prepared
from relume.training.settings import FitSettings
from relume.training.several import head_width

USUAL = {Form.TABLE: "mlp", Form.IMAGES: "cnn"}
"""The network for data of each form."""


def network_arguments(data: Prepared, settings: FitSettings) -> dict[str, Any]:
    """Return what the builder of the chosen network is called with, as JSON data."""
    if settings.is_autoencoder:
        return _autoencoder_arguments(data, settings)
    widths_of = {target.name: head_width(target) for target in data.preprocessing.targets}
    arguments: dict[str, Any] = {
        "outputs": widths_of if len(widths_of) > 1 else next(iter(widths_of.values())),
        "activation": settings.activation,
        "init": settings.init,
    }
    if settings.norm is not None:
        arguments["norm"] = None if settings.norm == "none" else settings.norm
    widths = list(settings.hidden or ())
    if settings.network == "mlp":
        features = len(data.preprocessing.features)
        return arguments | {"inputs": features, "hidden": widths, "dropout": settings.dropout}
    channels, *sides = input_shape(data, str(settings.network))
    arguments |= {"channels_in": channels, "channels": widths}
    if settings.network == "cnn":
        arguments |= {"image_size": sides, "dropout": settings.dropout}
    return arguments


def _autoencoder_arguments(data: Prepared, settings: FitSettings) -> dict[str, Any]:
    return {
        "inputs": len(data.preprocessing.features),
        "hidden": list(settings.hidden or ()),
        "code": settings.code,
        "activation": settings.activation,
        "norm": None if settings.norm == "none" else settings.norm,
        "dropout": settings.dropout,
        "init": settings.init,
    }


def input_shape(data: Prepared, network: str) -> tuple[int, ...]:
    """Return the shape of one row as the network takes it.

    Raises:
        SettingsError: The network wants rows of another shape.
    """
    if network in {"mlp", "autoencoder"}:
        return (len(data.preprocessing.features),)
    if data.image_shape is None:
        raise SettingsError(f"--network {network} wants images; {data.name} is a table: use mlp")
    return tuple(data.image_shape)
