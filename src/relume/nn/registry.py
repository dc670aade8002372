"""The catalogue of activations, by name."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from torch import Tensor, nn

from relume.errors import SettingsError, UnknownNameError, UserError
from relume.nn.catalogue import CATALOGUE
from relume.nn.complex_valued import ModReLU
from relume.nn.facts import Activation
from relume.nn.modules import (
    PerFeaturePReLU,
    SubgradientReLU,
    Swish,
    parametric,
    rectified,
    swished,
)


class AmbiguousNameError(UnknownNameError):
    """A name that the field uses for several things; all of them are named."""

    def __init__(self, kind: str, name: str, meanings: Iterable[str]) -> None:
        UserError.__init__(
            self, f"{kind} {name!r} is ambiguous; did you mean {' or '.join(meanings)}?"
        )


def _fold(name: str) -> str:
    return name.strip().casefold().replace("-", "_")


_CRELU: Final = ("concatenated_relu (Shang et al., 2016)", "complex_relu (Trabelsi et al., 2018)")
_AMBIGUOUS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"crelu": _CRELU, "c_relu": _CRELU}
)
_BY_NAME: Final[Mapping[str, Activation]] = MappingProxyType(
    {_fold(name): entry for entry in CATALOGUE for name in (entry.name, *entry.aliases)}
)
# Entries that become another module when their parameters ask for it.
_BUILDERS: Final[Mapping[str, Callable[..., nn.Module]]] = MappingProxyType(
    {"relu": rectified, "silu": swished, "prelu": parametric}
)
_BY_CLASS: Final[Mapping[object, Activation]] = MappingProxyType(
    {
        **{entry.module: entry for entry in CATALOGUE},
        SubgradientReLU: _BY_NAME["relu"],
        PerFeaturePReLU: _BY_NAME["prelu"],
        Swish: _BY_NAME["silu"],
    }
)


def activations() -> tuple[Activation, ...]:
    """Return the catalogue in its order."""
    return CATALOGUE


def activation_names() -> tuple[str, ...]:
    """Return the canonical names in the order of the catalogue.

    Example:
        >>> activation_names()[:3]
        ('identity', 'relu', 'leaky_relu')
    """
    return tuple(entry.name for entry in CATALOGUE)


def get_activation(name: str) -> Activation:
    """Return the entry with this name or alias; case does not matter, nor does '-' for '_'.

    Raises:
        UnknownNameError: If there is none; the message offers the nearest. ``crelu``, which the
            field uses for two of them, is answered with both.

    Example:
        >>> get_activation("Leaky-ReLU").name
        'leaky_relu'
    """
    folded = _fold(name)
    if folded in _AMBIGUOUS:
        raise AmbiguousNameError("activation", name, _AMBIGUOUS[folded])
    if folded not in _BY_NAME:
        raise UnknownNameError("activation", name, _BY_NAME)
    return _BY_NAME[folded]


def build_activation(
    name: str, *, features: int | None = None, axis: int = -1, **parameters: Any
) -> nn.Module:
    """Build the module of an activation, ready for a network whose units lie on ``axis``.

    Args:
        name: A name or an alias of the catalogue.
        features: The number of output features; only those with parameters for each feature
            (``mod_relu``, ``prelu`` with ``per_feature=True``) need it.
        axis: Where the features lie: 1 for convolutional maps, -1 for ``(N, ..., C)``.
        **parameters: The activation's own, for example ``negative_slope``; see
            ``get_activation(name).defaults``.

    Raises:
        UnknownNameError: If there is no such activation.
        SettingsError: If it has no such parameter, or needs ``features``.

    Example:
        >>> build_activation("leaky_relu", negative_slope=0.2)
        LeakyReLU(negative_slope=0.2)
        >>> build_activation("glu", axis=1)
        GLU(dim=1)
    """
    entry = get_activation(name)
    build = _BUILDERS.get(entry.name, entry.module)
    accepted = _accepted(build)
    _refuse_unknown(entry, accepted, parameters)
    placing = {"axis": axis, "dim": axis, "features": features}
    given = {key: value for key, value in placing.items() if key in accepted} | parameters
    if entry.module is ModReLU and given["features"] is None:
        raise SettingsError(f"{entry.name} has one bias a feature: give it the number of features")
    return build(**given)


def activation_of(module: nn.Module) -> Activation | None:
    """Return the entry that a module is of, or ``None`` where it is none of the catalogue.

    The class must match exactly, torch's or ours; ``nn.Threshold`` counts where its value is 0.

    Example:
        >>> activation_of(nn.ReLU(inplace=True)).name
        'relu'
        >>> activation_of(nn.Linear(2, 3)) is None
        True
    """
    if type(module) is nn.Threshold:
        return _BY_NAME["thresholded_relu"] if module.value == 0 else None
    return activation_of_class(type(module))


def activation_of_class(module: type[nn.Module]) -> Activation | None:
    """Return the entry that the modules of a class are of, or ``None``."""
    return _BY_CLASS.get(module)


def firing_threshold(module: nn.Module) -> float | Tensor | None:
    """Return at or below which pre-activation this very module is constant, ``None`` if nowhere.

    ``activation_of(module).facts.fires_above`` with the module's own parameters in place of the
    defaults: the threshold of ``ThresholdedReLU``, 0 for a leaky ReLU whose slope is 0, and for
    ``ModReLU`` one modulus for each feature.

    Example:
        >>> firing_threshold(nn.Threshold(2.0, 0.0))
        2.0
        >>> firing_threshold(nn.LeakyReLU()) is None
        True
    """
    entry = activation_of(module)
    if isinstance(module, nn.Threshold):
        return float(module.threshold)
    if isinstance(module, ModReLU):
        return -module.bias.detach()
    if isinstance(module, nn.LeakyReLU) and module.negative_slope == 0:
        return 0.0
    return entry.facts.fires_above if entry else None


def _accepted(build: Callable[..., nn.Module]) -> tuple[str, ...]:
    """Return the names of the arguments that a class or factory takes."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = inspect.signature(build).parameters.values()
    return tuple(parameter.name for parameter in taken if parameter.kind in named)


def _refuse_unknown(
    entry: Activation, accepted: tuple[str, ...], parameters: Mapping[str, Any]
) -> None:
    own = [name for name in accepted if name not in {"axis", "dim", "features"}]
    unknown = [name for name in parameters if name not in own]
    if unknown:
        known = f"it takes {', '.join(own)}" if own else "it takes none"
        raise SettingsError(f"{entry.name} has no parameter {unknown[0]!r}; {known}")
