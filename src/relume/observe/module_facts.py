"""What every module is, when it is called, in which mode, and what it follows on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from relume.observe.calls import Calls
from relume.observe.linear_paths import LinearPaths, PathFinder, ends_of
from relume.observe.naming import Names, plain_name
from relume.observe.unobserved import Unobserved
from relume.runs.facts import Fact, ModuleFacts

MOST_MODULES = 2000
MOST_MODELS = 64
"""Models that are taken up by being called."""

LEARNING_STEPS = 3
"""Armed steps, after a model is first seen, in which it is learnt how its modules are joined."""

_DROPOUTS = (nn.modules.dropout._DropoutNd,)  # noqa: SLF001
_BATCH_NORMS = (nn.modules.batchnorm._NormBase,)  # noqa: SLF001
_DETAILS: tuple[tuple[tuple[type[nn.Module], ...], tuple[str, ...]], ...] = (
    (_DROPOUTS, ("p",)),
    ((nn.RNNBase,), ("nonlinearity", "num_layers", "hidden_size", "bidirectional", "dropout")),
    ((nn.RNNCellBase,), ("nonlinearity", "hidden_size")),
    (_BATCH_NORMS, ("momentum", "eps", "affine", "track_running_stats")),
    ((nn.LayerNorm, nn.GroupNorm), ("eps",)),
    ((nn.PReLU,), ("num_parameters",)),
    ((nn.LeakyReLU,), ("negative_slope",)),
    ((nn.Linear,), ("in_features", "out_features")),
    ((nn.modules.conv._ConvNd,), ("in_channels", "out_channels", "kernel_size", "groups")),  # noqa: SLF001
    ((nn.Embedding, nn.EmbeddingBag), ("num_embeddings", "embedding_dim")),
    ((nn.MultiheadAttention,), ("embed_dim", "num_heads")),
)


class ModuleObserver:
    """The modules of every model that was called with gradients.

    Args:
        names: Knows the models; further ones are told to it as they are called.
        calls: Tells which modules are called.
        unobserved: Takes note of what is left out.
    """

    def __init__(self, names: Names, calls: Calls, unobserved: Unobserved) -> None:
        self._names = names
        self._calls = calls
        self._unobserved = unobserved
        self._modules: list[tuple[str, nn.Module]] = []
        self._roots = 0
        self._learning = LEARNING_STEPS
        self._orders: dict[int, int] = {}  # by the id of a module that is kept
        self._passes = np.zeros((2, 0), np.int64)  # in eval mode, in training mode
        self._paths = LinearPaths()
        self._finder: PathFinder | None = None
        calls.on_root.append(self._see_root)

    def begin_step(self) -> None:
        """Begin an armed step."""
        self._finder = None
        is_learning = self._learning > 0 or len(self._names.roots) != self._roots
        self._calls.called = {} if is_learning else None

    def rest(self) -> None:
        """Let go of the graph of the step."""
        self._finder, self._calls.called = None, None

    def begin_pass(self) -> None:
        """Take note of the modes, and of the order of the calls, at a step's first backward."""
        if len(self._names.roots) != self._roots:
            self._learning = LEARNING_STEPS
            self._refresh()
        modes = np.array([module.training for _, module in self._modules], bool)
        self._passes[0] += ~modes
        self._passes[1] += modes
        if self._calls.called is not None:
            self._note_calls(self._calls.called)
        if self._finder is not None:
            self._learn(self._finder.paths)
        self._learning = max(0, self._learning - 1)
        self.rest()

    def _refresh(self) -> None:
        self._roots = len(self._names.roots)
        known = {id(module) for _, module in self._modules}
        for name, module in self._found():
            if id(module) in known:
                continue
            if len(self._modules) >= MOST_MODULES:
                self._unobserved.note(f"modules beyond the first {MOST_MODULES:,}", None)
                break
            self._modules.append((name, module))
        more = len(self._modules) - self._passes.shape[1]
        self._passes = np.pad(self._passes, ((0, 0), (0, more)))

    def _found(self) -> Iterator[tuple[str, nn.Module]]:
        for root in self._names.roots:
            prefix = self._names.of_module(root)
            for path, module in root.named_modules():
                label = ".".join(part for part in (prefix, plain_name(path)) if part)
                yield self._names.of_module(module) or label, module

    def _note_calls(self, called: Mapping[int, int]) -> None:
        mine = [id(module) for _, module in self._modules if id(module) in called]
        for number in sorted(mine, key=called.__getitem__):
            self._orders.setdefault(number, len(self._orders))

    def _see_root(self, root: nn.Module, output: Any) -> None:
        """Take up a model that was called with gradients, and how its modules are joined."""
        if not torch.is_grad_enabled():
            return
        if len(self._names.roots) < MOST_MODELS:
            self._names.learn(root)
        if self._calls.called is None:
            return
        if self._finder is None:
            self._finder = PathFinder(self._owners())
        for end in ends_of(output):
            self._finder.walk(end)

    def _owners(self) -> dict[int, str]:
        """Return the name of the module that has each parameter."""
        owners: dict[int, str] = {}
        for name, module in self._found():
            for parameter in module.parameters(recurse=False):
                owners.setdefault(id(parameter), name)
        return owners

    def _learn(self, found: LinearPaths) -> None:
        self._paths.sources.update(found.sources)
        self._paths.attention |= found.attention
        self._paths.summed |= found.summed

    def facts(self) -> Iterable[Fact]:
        """Return the facts of every module as of now."""
        known = dict(self._modules)  # of a wrapper and what it wraps, the latter
        for index, (name, module) in enumerate(self._modules):
            if known[name] is not module:
                continue
            yield ModuleFacts(
                name=name,
                kind=type(module).__name__,
                order=self._orders.get(id(module), -1),
                details=self._details(name, module, known),
                follows=self._paths.sources.get(name),
                eval_steps=int(self._passes[0, index]),
                training_steps=int(self._passes[1, index]),
            )

    def _details(
        self, name: str, module: nn.Module, known: Mapping[str, nn.Module]
    ) -> dict[str, Any]:
        details = settings_of(module)
        parameters = list(module.parameters())
        if parameters:
            details["is_frozen"] = not any(each.requires_grad for each in parameters)
        if name in self._paths.attention or isinstance(module, nn.MultiheadAttention):
            details["is_attention"] = True
        if name in self._paths.summed:
            details["is_after_sum"] = True
        source = known.get(self._paths.sources.get(name) or "")
        factorised = factorisation(source, module) if source is not None else None
        if factorised is not None:
            details["factorised"] = factorised
        return details


def settings_of(module: nn.Module) -> dict[str, Any]:
    """Return the settings of a module that rules read.

    Example:
        >>> settings_of(nn.BatchNorm1d(4, momentum=None))["momentum"] is None
        True
        >>> settings_of(nn.Dropout(0.25))
        {'p': 0.25}
    """
    found: dict[str, Any] = {}
    for kinds, names in _DETAILS:
        if isinstance(module, kinds):
            found |= {name: getattr(module, name) for name in names if hasattr(module, name)}
    return found


def factorisation(source: nn.Module, module: nn.Module) -> str | None:
    """Return how two linear maps in a row make one of fewer numbers; None where they do not.

    ``embedding``: rows are looked up, then mapped. ``low rank``: the first leaves at most half of
    what it reads and of what the second makes. ``depthwise``, ``separable``: of convolutions, one
    takes channels or an axis by itself, and the other the rest.

    Example:
        >>> factorisation(nn.Linear(64, 8), nn.Linear(8, 64))
        'low rank'
    """
    if isinstance(source, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if isinstance(source, nn.Linear) and isinstance(module, nn.Linear):
        most = min(source.in_features, module.out_features) // 2
        return "low rank" if source.out_features <= most else None
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    if not (isinstance(source, convolutions) and isinstance(module, convolutions)):
        return None
    if source.groups != module.groups and max(source.groups, module.groups) > 1:
        return "depthwise"
    if _is_flat(source) and _is_flat(module) and source.kernel_size != module.kernel_size:
        return "separable"
    most = min(source.in_channels, module.out_channels) // 2
    return "low rank" if source.out_channels <= most else None


def _is_flat(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> bool:
    """Whether its kernel has length 1 along some axes and not along others."""
    return len(module.kernel_size) > 1 and 1 in module.kernel_size and max(module.kernel_size) > 1
