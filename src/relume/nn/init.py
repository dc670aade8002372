"""Initialisation: the published schemes, with the gain of the activation that follows a layer.

A layer z' = W f(z) keeps the second moment of its pre-activations if Var(W) = g² / fan_in, where
g = 1 / sqrt(E[f(z)²]), z ~ N(0, 1), is the gain of f (He et al. 2015, arXiv:1502.01852, section
2.2).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from relume.errors import SettingsError, UnknownNameError
from relume.nn.catalogue.papers import HE_2015, LECUN_1998
from relume.nn.facts import Paper
from relume.nn.following import LAYERS, following_activations


@dataclass(frozen=True, slots=True)
class Fans:
    """How many inputs a unit reads, and how many outputs each of its inputs feeds."""

    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to draw the weights of a layer.

    ``variance`` is that of a weight at gain 1. ``reads_gain`` is whether the gain of the
    activation that follows counts; the variance of the other schemes is fixed.
    """

    name: str
    shape: Literal["normal", "uniform", "orthogonal"]
    variance: Callable[[Fans], float]
    reads_gain: bool
    paper: Paper


def _per_input(fans: Fans) -> float:
    return 1 / fans.inputs


def _per_output(fans: Fans) -> float:
    return 1 / fans.outputs


def _per_mean(fans: Fans) -> float:
    return 2 / (fans.inputs + fans.outputs)


GLOROT_2010 = Paper(
    "Xavier Glorot, Yoshua Bengio",
    "Understanding the difficulty of training deep feedforward neural networks",
    2010,
    "AISTATS 2010, PMLR 9:249-256",
)
SAXE_2014 = Paper(
    "Andrew M. Saxe, James L. McClelland, Surya Ganguli",
    "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
    2014,
    "ICLR 2014, arXiv:1312.6120",
)

SCHEMES = (
    Scheme("he", "normal", _per_input, reads_gain=True, paper=HE_2015),
    Scheme("he_uniform", "uniform", _per_input, reads_gain=True, paper=HE_2015),
    Scheme("he_fan_out", "normal", _per_output, reads_gain=True, paper=HE_2015),
    Scheme("he_uniform_fan_out", "uniform", _per_output, reads_gain=True, paper=HE_2015),
    Scheme("glorot", "normal", _per_mean, reads_gain=False, paper=GLOROT_2010),
    Scheme("glorot_uniform", "uniform", _per_mean, reads_gain=False, paper=GLOROT_2010),
    Scheme("lecun", "normal", _per_input, reads_gain=False, paper=LECUN_1998),
    Scheme("orthogonal", "orthogonal", _per_input, reads_gain=True, paper=SAXE_2014),
)


@dataclass(frozen=True, slots=True)
class LayerVariance:
    """The variance of a layer's outputs on a batch: with orthonormal weights, and once rescaled."""

    name: str
    before: float
    after: float


def scheme_names() -> tuple[str, ...]:
    """Return the names of the schemes of ``initialise_``."""
    return tuple(scheme.name for scheme in SCHEMES)


def get_scheme(name: str) -> Scheme:
    """Return the scheme of that name.

    Raises:
        UnknownNameError: There is none; the nearest names are offered.
    """
    for scheme in SCHEMES:
        if scheme.name == name:
            return scheme
    raise UnknownNameError("initialisation", str(name), scheme_names())


@torch.no_grad()
def initialise_(
    model: nn.Module,
    scheme: str = "he",
    activation: str = "relu",
    *,
    gain: float | None = None,
    generator: Generator | None = None,
) -> nn.Module:
    """Draw the weights of every linear and convolutional layer anew; set its bias to zero.

    The standard deviation of a weight is, with the gain g of the activation that follows,

    - he, he_uniform: g / sqrt(fan_in); he_fan_out, he_uniform_fan_out, which keep the variance of
      the gradients instead: g / sqrt(fan_out);
    - glorot, glorot_uniform: sqrt(2 / (fan_in + fan_out));
    - lecun: 1 / sqrt(fan_in), the scheme for SELU;
    - orthogonal: orthonormal rows times g; where there are more rows than columns, orthonormal
      columns times g sqrt(rows / columns), so that the second moment of a unit is kept there too.

    Which activation follows a layer is what ``following_activations`` says. Only layers of the
    types ``LAYERS`` are drawn; recurrent weights are the matter of ``identity_recurrent_``.

    Args:
        model: A layer, or any module with layers in it.
        scheme: One of ``scheme_names()``.
        activation: What follows a lone layer; and what a model that calls its activations as
            functions, with no module for them, applies after every layer but the last.
        gain: The factor g for every layer, in place of what scheme and activation say.
        generator: Where the random numbers come from; torch's own if None.

    Returns:
        The same ``model``.

    Raises:
        UnknownNameError: The scheme or the activation is not known.
        SettingsError: ``gain`` is not a positive number.

    Example:
        >>> layer = initialise_(nn.Linear(1000, 1000), "he", "relu")
        >>> abs(layer.weight.std().item() / math.sqrt(2 / 1000) - 1) < 0.01
        True
    """
    chosen = get_scheme(scheme)
    if gain is not None and not (math.isfinite(gain) and gain > 0):
        raise SettingsError(f"gain must be a positive number; got {gain!r}")
    for followed in following_activations(model, activation):
        layer = followed.layer
        factor = followed.gain if chosen.reads_gain else 1.0
        groups = 1 if isinstance(layer, nn.Linear) else layer.groups
        draw_(
            layer.weight,
            scheme,
            factor if gain is None else gain,
            groups=groups,
            generator=generator,
        )
        if layer.bias is not None:
            layer.bias.zero_()
    return model


@torch.no_grad()
def draw_(
    weight: Tensor,
    scheme: str,
    gain: float = 1.0,
    *,
    groups: int = 1,
    generator: Generator | None = None,
) -> None:
    """Draw one weight (outputs, inputs / groups, ...) by a scheme; see ``initialise_``."""
    chosen = get_scheme(scheme)
    outputs, *inputs = weight.shape
    places = math.prod(inputs[1:])
    fans = Fans(inputs=math.prod(inputs), outputs=outputs // groups * places)
    deviation = gain * math.sqrt(chosen.variance(fans))
    if chosen.shape == "normal":
        weight.normal_(0, deviation, generator=generator)
    elif chosen.shape == "uniform":
        bound = math.sqrt(3) * deviation
        weight.uniform_(-bound, bound, generator=generator)
    else:
        excess = max(1.0, outputs / fans.inputs)
        nn.init.orthogonal_(weight, gain * math.sqrt(excess), generator=generator)


@torch.no_grad()
def identity_recurrent_(
    model: nn.Module,
    *,
    scale: float = 1.0,
    input_deviation: float = 0.001,
    generator: Generator | None = None,
) -> nn.Module:
    """Start recurrent layers as the identity, so that a state lasts until an input changes it.

    Sets, of every ``nn.RNN``, ``nn.RNNCell`` or module with parameters of the same names,
    weight_hh to ``scale`` times the identity, weight_ih to normal numbers and the biases to zero.

    Args:
        model: A recurrent layer, or any module with some in it.
        scale: Below 1 the state fades by this factor a step.
        input_deviation: The standard deviation of the weights on the inputs.
        generator: Where the random numbers come from; torch's own if None.

    Returns:
        The same ``model``.

    Raises:
        SettingsError: There is no recurrent layer, or one whose states have gates (LSTM, GRU).

    Example:
        >>> layer = identity_recurrent_(nn.RNN(3, 2, nonlinearity="relu"))
        >>> layer.weight_hh_l0.tolist()
        [[1.0, 0.0], [0.0, 1.0]]

    References:
        Le, Jaitly, Hinton (2015), "A simple way to initialize recurrent networks of rectified
        linear units", arXiv:1504.00941, section 2.
    """
    named = [(name.rpartition(".")[2], each) for name, each in model.named_parameters()]
    shapes = [tuple(each.shape) for name, each in named if name.startswith("weight_hh")]
    if not shapes:
        raise SettingsError(f"{type(model).__name__} has no recurrent layer to initialise")
    for rows, columns in shapes:
        if rows != columns:
            raise SettingsError(
                f"a recurrent weight of shape {(rows, columns)} cannot be the identity; "
                "use a recurrent layer without gates"
            )
    for name, parameter in named:
        if name.startswith("weight_hh"):
            nn.init.eye_(parameter).mul_(scale)
        elif name.startswith("weight_ih"):
            parameter.normal_(0, input_deviation, generator=generator)
        elif name.startswith(("bias_ih", "bias_hh")):
            parameter.zero_()
    return model


@torch.no_grad()
def lsuv_(
    model: nn.Module,
    batch: Tensor,
    *,
    tolerance: float = 0.05,
    most_rounds: int = 10,
    generator: Generator | None = None,
) -> tuple[LayerVariance, ...]:
    """Give every layer orthonormal weights, then scale each to unit output variance on a batch.

    The layers come in the order in which they run, each on what the layers before it deliver once
    they are scaled. The variance is that over all samples, places and units. The model runs in
    evaluation mode, so that no dropout is drawn and no running statistic changes.

    Args:
        model: Any module with layers in it that takes ``batch``.
        batch: An input as the training will see it; some hundred rows are enough.
        tolerance: How far from 1 the variance of a layer may stay.
        most_rounds: How often a layer is rescaled at most.
        generator: Where the random numbers come from; torch's own if None.

    Returns:
        What happened, layer by layer, in the order in which they ran. A layer whose variance is 0
        or not finite keeps its orthonormal weights; one that did not run is not listed.

    Cost:
        One forward pass, and a second run of each layer for each round it needs (mostly one).

    References:
        Mishkin, Matas (2016), "All you need is a good init", arXiv:1511.06422, algorithm 1.
    """
    initialise_(model, "orthogonal", gain=1.0, generator=generator)
    names = {each.layer: each.name for each in following_activations(model)}
    report: dict[nn.Module, LayerVariance] = {}

    def rescale(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if layer in report or not isinstance(layer, LAYERS):
            return output
        before = after = _variance(output)
        for _ in range(most_rounds):
            if abs(after - 1) <= tolerance or not (0 < after < math.inf):
                break
            layer.weight.div_(math.sqrt(after))
            output = layer.forward(*inputs)
            after = _variance(output)
        report[layer] = LayerVariance(names[layer], before, after)
        return output

    with _evaluating(model):
        hooks = [layer.register_forward_hook(rescale) for layer in names]
        try:
            model(batch)
        finally:
            for hook in hooks:
                hook.remove()
    return tuple(report.values())


def _variance(output: Tensor) -> float:
    return output.double().var(correction=0).item()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and back into its own mode at the end."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
