"""The choices left open, made from the size of the data alone; each is said to the person."""

import math
from dataclasses import replace
from typing import Any

from relume.training.architecture import USUAL
from relume.training.data.prepared import Form
from relume.training.settings import FitSettings

_STEPS = 12_000  # about how many updates a training gets
_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 150
_SMALL_STEP = 2**25  # multiplications below which a second thread waits more than it works
_MOST_TEXT_EPOCHS = 15  # a rate that falls early keeps rare words from being learnt by heart
_ARRAY_STEPS = 6_000  # the same for images and sequences: a step learns and costs more
_LARGEST_BATCHES = {Form.TABLE: 1024, Form.IMAGES: 128, Form.SEQUENCES: 128, Form.TEXTS: 128}
_DEFAULT_HIDDEN = {
    "mlp": (256, 128), "cnn": (32, 64), "resnet": (32, 64), "rnn": (64,), "transformer": (64, 64),
    "autoencoder": (128, 64),
}  # fmt: skip
_DEFAULT_TEXT_HIDDEN = (128,)
_DEFAULT_INIT = {"rnn": "identity"}  # Le et al. 2015, arXiv:1504.00941
_DEFAULT_CLIP = {"rnn": 1.0, "transformer": 1.0}
_DROPOUT = 0.3  # not for an autoencoder: its code is its limit
_WEIGHT_DECAY, _TABLE_WEIGHT_DECAY = 1e-2, 1e-1
_BINS, _MOST_PLACES = 8, 4096  # of each number, and of all together


def completed(
    settings: FitSettings,
    train_rows: int,
    form: Form = Form.TABLE,
    *,
    features: int = 1,
    numbers: int = 0,
) -> FitSettings:
    """Return the settings with everything chosen that was left open and hangs on the data.

    Args:
        settings: The choices made.
        train_rows: Rows of the training part.
        form: What the rows came as.
        features: How many numbers a row has; an autoencoder's code is the root of that.
        numbers: Features that are numbers of their own unit.

    Example:
        >>> done = completed(FitSettings(), 1078)
        >>> done.batch_size, done.epochs, done.hidden
        (32, 150, (256, 128))
        >>> done = completed(FitSettings(), 48_000, Form.IMAGES)
        >>> done.network, done.batch_size, done.epochs
        ('cnn', 128, 16)
    """
    network = settings.network or USUAL[form]
    batch_size = settings.batch_size or batch_size_for(train_rows, _LARGEST_BATCHES[form])
    steps = _ARRAY_STEPS if form in (Form.IMAGES, Form.SEQUENCES) else _STEPS
    most_epochs = _MOST_TEXT_EPOCHS if form is Form.TEXTS else _MOST_EPOCHS
    epochs = min(most_epochs, max(_FEWEST_EPOCHS, steps // math.ceil(train_rows / batch_size)))
    hidden = _DEFAULT_TEXT_HIDDEN if form is Form.TEXTS else _DEFAULT_HIDDEN.get(network)
    return replace(
        settings,
        network=network,
        batch_size=batch_size,
        epochs=settings.epochs or epochs,
        hidden=settings.hidden or hidden,
        init=settings.init or usual_init(network),
        clip=settings.clip if settings.clip is not None else _DEFAULT_CLIP.get(network),
        **_limits(settings, features),
        **_for_tables(settings, numbers, is_usual=network == "mlp" and form is Form.TABLE),
    )


def usual_init(network: str) -> str:
    """Return the initialisation that a network gets where none is chosen.

    Example:
        >>> usual_init("mlp"), usual_init("rnn")
        ('he', 'identity')
    """
    return _DEFAULT_INIT.get(network, "he")


def _limits(settings: FitSettings, features: int) -> dict[str, Any]:
    """What keeps the network from learning the rows by heart: dropout, or the code."""
    rebuilds = settings.is_autoencoder
    dropout = 0.0 if rebuilds else _DROPOUT
    code = max(1, round(math.sqrt(features))) if rebuilds else None
    return {
        "dropout": dropout if settings.dropout is None else settings.dropout,
        "code": settings.code or code,
    }


def _for_tables(settings: FitSettings, numbers: int, *, is_usual: bool) -> dict[str, Any]:
    """What dense layers on tables gain from: bins of numbers, strong decay, averaged weights."""
    bins = min(_BINS, _MOST_PLACES // max(1, numbers)) if is_usual and numbers else 0
    decay = _TABLE_WEIGHT_DECAY if is_usual else _WEIGHT_DECAY
    return {
        "bins": settings.bins if settings.bins is not None else bins if bins > 1 else 0,
        "weight_decay": decay if settings.weight_decay is None else settings.weight_decay,
        "averaging": float(is_usual) if settings.averaging is None else settings.averaging,
    }


def threads_for(settings: FitSettings, parameters: int, available: int) -> int:
    """Return how many threads a step should use: one, where it is small.

    Args:
        settings: Completed settings.
        parameters: Of the network.
        available: Threads that torch would use by itself.
    """
    if settings.threads is not None:
        return settings.threads
    dense = settings.network in {"mlp", "autoencoder", "rnn"}
    is_small = settings.network == "bag" or (
        dense and parameters * (settings.batch_size or 1) < _SMALL_STEP
    )
    return 1 if is_small else available


def batch_size_for(rows: int, largest: int) -> int:
    """Return the power of two nearest to a fortieth of the rows, from 16 to ``largest``."""
    return int(min(largest, max(16, 2 ** round(math.log2(max(1.0, rows / 40))))))
