"""Which network fits the shape of the data, and what its builder is called with."""

from typing import Any

from relume.errors import SettingsError
from relume.training.data.prepared import Form, Prepared
from relume.training.data.preprocessing import AnyPreprocessing, Preprocessing
from relume.training.data.sequence_preprocessing import SequencePreprocessing
from relume.training.data.wording import counted
from relume.training.settings import FitSettings
from relume.training.several import head_width

USUAL = {Form.TABLE: "mlp", Form.IMAGES: "cnn", Form.SEQUENCES: "rnn", Form.TEXTS: "bag"}
"""The network for data of each form."""

SEQUENCE_NETWORKS = ("rnn", "transformer")

TEXT_NETWORKS = ("bag", "transformer", "rnn")
"""The networks that read the texts of a table."""

WORD_DROPOUT = 0.5
"""The share of a text's words left out in training: a text has many that say the same."""


def builder_name(data: Prepared, settings: FitSettings) -> str:
    """Return the name of the builder that makes the chosen network for data of this form."""
    return "reader" if data.form is Form.TEXTS else str(settings.network)


def network_arguments(data: Prepared, settings: FitSettings) -> dict[str, Any]:
    """Return what the builder of the chosen network is called with, as JSON data.

    Raises:
        SettingsError: The data, or an option, do not go with the network.
    """
    _check_bins(data, settings)
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
    if settings.network in SEQUENCE_NETWORKS:
        return arguments | _sequence_arguments(data, settings)
    if settings.network == "mlp":
        arguments |= {"inputs": features, "hidden": widths, "dropout": settings.dropout}
        return arguments | _bins(data, settings)
    channels, *sides = input_shape(data, str(settings.network))
    arguments |= {"channels_in": channels, "channels": widths}
    if settings.network == "cnn":
        arguments |= {"image_size": sides, "dropout": settings.dropout}
    return arguments


def number_positions(data: Prepared) -> list[int]:
    """Return which features of a table are numbers of their own unit: amounts, parts of dates.

    Example:
        >>> from relume.training.data.prepare import DataOptions, prepare
        >>> number_positions(prepare("iris", DataOptions()))
        [0, 1, 2, 3]
    """
    if not isinstance(data.preprocessing, Preprocessing) or data.image_shape is not None:
        return []
    found: list[int] = []
    start = 0
    for column in data.preprocessing.columns:
        found += range(start, start + column.numbers)
        start += len(column.features)
    return found


def _bins(data: Prepared, settings: FitSettings) -> dict[str, Any]:
    return {"bins": settings.bins, "binned": number_positions(data)} if settings.bins else {}


def _check_bins(data: Prepared, settings: FitSettings) -> None:
    if settings.bins and not (settings.network == "mlp" and number_positions(data)):
        raise SettingsError(
            f"--bins {settings.bins} is for a table with columns of numbers under mlp; {data.name} "
            f"is {data.form} with {counted(len(number_positions(data)), 'such feature')}, the "
            f"network {settings.network}: leave it out"
        )


def text_sizes(preprocessing: AnyPreprocessing) -> list[list[int]]:
    """Return vocabulary and steps of each column of text."""
    if not isinstance(preprocessing, Preprocessing):
        return []
    return [[column.vocabulary, column.steps] for column in preprocessing.texts]


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
    if network in {"mlp", "autoencoder"} or (network in TEXT_NETWORKS and data.form is Form.TEXTS):
        return (len(data.preprocessing.features),)
    if network in SEQUENCE_NETWORKS and isinstance(data.preprocessing, SequencePreprocessing):
        return data.preprocessing.shape
    if network in TEXT_NETWORKS or data.image_shape is None:
        raise _wrong_form(data, network)
    return tuple(data.image_shape)


def _wrong_form(data: Prepared, network: str) -> SettingsError:
    """Say what data are there instead, and what to do."""
    wanted = _WANTED.get(network, "images")
    if data.form is Form.TABLE:
        advice = f"{data.name} is a table: use mlp"
        if network in TEXT_NETWORKS:
            advice += ", or name a column of text with --text"
    else:
        advice = f"{data.name} was read as {data.form}: use {USUAL[data.form]} or mlp"
        if network not in TEXT_NETWORKS or network in SEQUENCE_NETWORKS:
            array = "sequences" if network in SEQUENCE_NETWORKS else "images"
            advice += f", or name its array {array} if it holds such"
    return SettingsError(f"--network {network} wants {wanted}; {advice}")


_WANTED = {"bag": "texts", "rnn": "sequences or texts", "transformer": "sequences or texts"}


def _sequence_arguments(data: Prepared, settings: FitSettings) -> dict[str, Any]:
    """What the networks for sequences take: one width, as many layers as widths are given."""
    input_shape(data, str(settings.network))
    assert isinstance(data.preprocessing, SequencePreprocessing)  # noqa: S101
    width, *others = settings.hidden or ()
    if any(other != width for other in others):
        given = ",".join(map(str, settings.hidden or ()))
        raise SettingsError(
            f"--hidden {given}: all layers of {settings.network} have one width; "
            f"for {len(others) + 1} layers give {','.join([str(width)] * (len(others) + 1))}"
        )
    if settings.norm is not None:
        raise SettingsError(f"--norm is not for {settings.network}; leave it out")
    arguments: dict[str, Any] = {
        "features": len(data.preprocessing.means),
        "padded": data.preprocessing.padded,
        "dropout": settings.dropout,
    }
    layers = len(others) + 1
    if settings.network == "rnn":
        return arguments | {"hidden": width, "layers": layers}
    return arguments | {"width": width, "depth": layers, "feedforward": 2 * width}
