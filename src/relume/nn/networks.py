"""The networks by name, and how a saved one is built again from its name and arguments."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from relume.errors import SettingsError, UnknownNameError, nearest_names
from relume.nn.autoencoder import autoencoder
from relume.nn.cnn import cnn
from relume.nn.gan import gan
from relume.nn.mlp import mlp
from relume.nn.reader import reader
from relume.nn.resnet import resnet
from relume.nn.rnn import rnn
from relume.nn.transformer import transformer


@dataclass(frozen=True, slots=True)
class Network:
    """One kind of network: its name, its builder, and what it is for.

    A builder takes plain data only, as JSON has it: numbers, texts, lists, mappings, null.
    """

    name: str
    build: Callable[..., nn.Module]
    summary: str

    def arguments(self) -> tuple[str, ...]:
        """Return the names of the builder's arguments, in order."""
        return tuple(inspect.signature(self.build).parameters)


NETWORKS = (
    Network("mlp", mlp, "dense layers, for tables"),
    Network("cnn", cnn, "convolutions and a halving of the image, for images"),
    Network("resnet", resnet, "residual blocks of convolutions, for images"),
    Network("rnn", rnn, "a state that every step updates, for sequences"),
    Network("transformer", transformer, "attention and feed-forward blocks, for sequences"),
    Network("reader", reader, "texts by their words beside features, for tables with texts"),
    Network("autoencoder", autoencoder, "a short code and back, to compress or to find the odd"),
    Network("gan", gan, "a generator and a discriminator, to make examples"),
)


def network_names() -> tuple[str, ...]:
    """Return the names of the networks.

    Example:
        >>> network_names()
        ('mlp', 'cnn', 'resnet', 'rnn', 'transformer', 'reader', 'autoencoder', 'gan')
    """
    return tuple(network.name for network in NETWORKS)


def get_network(name: str) -> Network:
    """Return the network of that name.

    Raises:
        UnknownNameError: There is none; the nearest names are offered.
    """
    for network in NETWORKS:
        if network.name == name:
            return network
    raise UnknownNameError("network", str(name), network_names())


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network from its name and the arguments of its builder, all by name.

    Args:
        name: One of ``network_names()``.
        arguments: What the builder takes, as read from JSON.

    Raises:
        UnknownNameError: There is no such network.
        SettingsError: An argument is missing, is not known, or makes no sense.

    Example:
        >>> build_network("mlp", {"inputs": 4, "hidden": [], "outputs": 3}).head
        Linear(in_features=4, out_features=3, bias=True)
    """
    network = get_network(name)
    if not isinstance(arguments, Mapping):
        raise SettingsError(f"arguments of network {name} must be a mapping; got {arguments!r}")
    known = network.arguments()
    for given in arguments:
        if given not in known:
            offer = " or ".join(nearest_names(str(given), known)) or ", ".join(known)
            raise SettingsError(f"network {name} has no argument {given!r}; did you mean {offer}?")
    parameters = inspect.signature(network.build).parameters.values()
    missing = [
        each.name
        for each in parameters
        if each.default is inspect.Parameter.empty and each.name not in arguments
    ]
    if missing:
        raise SettingsError(f"network {name} needs {' and '.join(missing)}; give it")
    return network.build(**arguments)
