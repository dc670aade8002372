"""Which activation follows a layer, and the gain that its weights need for it."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from relume.nn.facts import Activation, Kind
from relume.nn.registry import activation_of, get_activation

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


@dataclass(frozen=True, slots=True)
class FollowedLayer:
    """A layer, the activation that follows it (None: nothing does), and the gain of its weights."""

    name: str
    layer: Layer
    activation: Activation | None
    gain: float


def following_activations(model: nn.Module, activation: str = "relu") -> tuple[FollowedLayer, ...]:
    """Return every layer with the activation that follows it.

    It is read from the order in which the modules are registered: the next activation up to the
    next layer, whatever stands in between. So a module that calls one activation at several places
    must register it as often, as ``nn.Sequential`` does. Layers of a module with the attribute
    ``parallel_branch = True`` run beside the layer before them, and both are followed by the same.
    A layer that no activation follows, such as the head, has gain 1, and so has softmax, whose
    gain depends on the width. The identity, which models use as a place holder, counts for none.

    Args:
        model: A layer, or any module with layers in it.
        activation: What follows a lone layer, or every layer but the last of a model that has no
            module of the catalogue.
    """
    layers = {name: each for name, each in model.named_modules() if isinstance(each, LAYERS)}
    followers = _follower_modules(model)
    assumed = get_activation(activation)
    unseen: list[str] = []
    if all(activation_of(each) is None for each in model.modules()):
        unseen = list(layers) if isinstance(model, LAYERS) else list(layers)[:-1]
    found = []
    for name, layer in layers.items():
        if name in unseen:
            found.append(FollowedLayer(name, layer, assumed, _known_gain(assumed)))
        elif layer in followers:
            module, entry = followers[layer]
            found.append(FollowedLayer(name, layer, entry, _module_gain(module, entry, layer)))
        else:
            found.append(FollowedLayer(name, layer, None, 1.0))
    return tuple(found)


def activation_modules(model: nn.Module) -> dict[nn.Module, nn.Module]:
    """Return the module of the activation that follows each layer, where a module follows it.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))
        >>> activation_modules(model) == {model[0]: model[2]}
        True
    """
    return {layer: module for layer, (module, _) in _follower_modules(model).items()}


def _follower_modules(model: nn.Module) -> dict[nn.Module, tuple[nn.Module, Activation]]:
    """Return the activation module that follows each layer that one follows."""
    branches = [each for each in model.modules() if getattr(each, "parallel_branch", False)]
    beside = {inner for branch in branches for inner in branch.modules()}
    followers: dict[nn.Module, tuple[nn.Module, Activation]] = {}
    waiting: list[nn.Module] = []
    for _, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, LAYERS):
            waiting = [*waiting, module] if module in beside else [module]
        elif (entry := activation_of(module)) is not None and entry.name != "identity":
            followers.update(dict.fromkeys(waiting, (module, entry)))
            waiting = []
    return followers


def _known_gain(entry: Activation) -> float:
    return 1.0 if math.isnan(entry.facts.gain) else entry.facts.gain


def _module_gain(module: nn.Module, entry: Activation, layer: Layer) -> float:
    """Return the gain of this very module: the catalogue's, unless its parameters are its own.

    Then it is measured on normal numbers, which go through the module as the features of ``layer``
    would.
    """
    axis = getattr(module, "axis", getattr(module, "dim", -1))
    if axis not in (1, -1):
        return _known_gain(entry)
    features = max((each.numel() for each in module.parameters()), default=layer.weight.shape[0])
    sample = partial(_normal_sample, features, entry.kind, layer.weight.device)
    z = sample(2**8)
    usual, own = entry.function(z), _evaluated(module, z)
    if own.shape == usual.shape and torch.allclose(own, usual):
        return _known_gain(entry)
    moment = _evaluated(module, sample(2**15)).abs().square().mean().item()
    return 1 / math.sqrt(moment) if moment > 0 else _known_gain(entry)


def _normal_sample(features: int, kind: Kind, device: torch.device, count: int) -> Tensor:
    """Return rows of standard normal features, ``count`` in all: quantiles in a fixed order."""
    parts = 2 if kind is Kind.COMPLEX else 1
    rows = max(2, count // features)
    order = torch.randperm(rows * features * parts, generator=torch.Generator().manual_seed(0))
    quantiles = torch.special.ndtri((order.double() + 0.5) / len(order))
    z: Tensor = quantiles.to(device, torch.float32).reshape(rows, parts, features)
    return torch.complex(*z.unbind(1)).div(math.sqrt(2)) if parts == 2 else z[:, 0]


@torch.no_grad()
def _evaluated(module: nn.Module, z: Tensor) -> Tensor:
    """Return what the module makes of ``z`` in evaluation mode."""
    training = module.training
    a: Tensor = module.eval()(z)
    module.train(training)
    return a
