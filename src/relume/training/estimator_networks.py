"""The networks of the estimators, with fresh weights."""

from typing import Any

import numpy as np
from torch import nn

from relume.nn.networks import build_network
from relume.training.estimator_parameters import InvalidParameterError


def drawn_network(
    estimator: Any, features: int, widths: tuple[int, ...], init: str | None = None
) -> nn.Module:
    """Return the network that an estimator's parameters name.

    Args:
        estimator: It, its outputs counted.
        features: Of its inputs.
        widths: Of its hidden layers.
        init: Name of another initialisation than its own.

    Raises:
        InvalidParameterError: There is no ``image_shape`` that the features fit.
    """
    arguments: dict[str, Any] = {
        "outputs": estimator.n_outputs_,
        "activation": estimator.activation,
        "init": init or estimator.init,
    }
    if estimator.norm is not None:
        arguments["norm"] = estimator.norm
    if estimator.network != "mlp":
        return _image_network(estimator, features, widths, arguments)
    arguments |= {"inputs": features, "hidden": list(widths), "dropout": estimator.dropout}
    return build_network("mlp", arguments)


def _image_network(
    estimator: Any, features: int, widths: tuple[int, ...], arguments: dict[str, Any]
) -> nn.Module:
    shape = estimator.image_shape
    if shape is None or int(np.prod(shape)) != features:
        raise InvalidParameterError(
            f"network={estimator.network!r} wants image_shape=(channels, height, width) with as "
            f"many numbers as X has features ({features}); got {shape}"
        )
    channels, *sides = (int(size) for size in shape)
    arguments |= {"channels_in": channels, "channels": list(widths)}
    if estimator.network == "cnn":
        arguments |= {"image_size": sides, "dropout": estimator.dropout}
    images = nn.Unflatten(1, (channels, *sides))
    return nn.Sequential(images, build_network(estimator.network, arguments))
