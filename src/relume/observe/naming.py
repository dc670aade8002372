"""Names of modules, and of the weights that feed an activation, as a person knows them."""

import re
from collections.abc import Iterable

from torch import Tensor, nn

from relume.observe.calls import caller_of

_WRAPPERS = re.compile(r"(^|\.)(module|_orig_mod|_fsdp_wrapped_module)(?=\.|$)")
"""What wrappers (data parallel, compiled, sharded) put between a module and its name."""
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


class Names:
    """Qualified names of the modules and parameters of every model seen.

    The first model's names have no prefix; those of further models, and of a layer that is a model
    by itself, begin with their class, with a number from the second of a class on.

    Args:
        model: The first model, where it is known before it is called.
    """

    def __init__(self, model: nn.Module | None = None) -> None:
        self._modules: dict[int, str] = {}
        self._parameters: dict[int, str] = {}
        self._roots: list[nn.Module] = []
        self._taken: dict[str, int] = {}
        if model is not None:
            self.learn(model)

    @property
    def roots(self) -> tuple[nn.Module, ...]:
        """The models seen, in their order."""
        return tuple(self._roots)

    def learn(self, root: nn.Module) -> None:
        """Take up a model, unless it is a part of one that is known or has nothing to train."""
        root = getattr(root, "_orig_mod", root)  # of a compiled module: its own name says nothing
        if id(root) in self._modules or next(root.parameters(), None) is None:
            return
        prefix = ""
        if self._roots or next(root.children(), None) is None:
            kind = type(root).__name__
            number = 1 + sum(type(known).__name__ == kind for known in self._roots)
            prefix = kind if number == 1 else f"{kind}#{number}"
        self._roots.append(root)
        for name, module in root.named_modules():
            full = ".".join(part for part in (prefix, plain_name(name)) if part)
            self._modules.setdefault(id(module), full)
            for own, parameter in module.named_parameters(recurse=False):
                is_usual = own in {"weight", "bias"} or isinstance(module, _RECURRENT)
                part = "" if is_usual else own
                layer = keras_layer(module, own)
                label = ".".join(p for p in (full if layer is None else prefix, layer or part) if p)
                self._parameters.setdefault(id(parameter), label or own)

    def of_module(self, module: nn.Module | None) -> str:
        """Return the name of a module; empty for a model as a whole, and where none is known."""
        return self._modules.get(id(module), "")

    def of_weights(self, weights: Iterable[Tensor]) -> str | None:
        """Return the name of the module that holds the first known one of the weights."""
        names = (self._parameters.get(id(weight)) for weight in weights)
        return next((name for name in names if name is not None), None)

    def unique(self, name: str) -> str:
        """Return a name that no site has so far: ``#2`` is put behind the second of a name."""
        self._taken[name] = count = self._taken.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"


def keras_layer(module: nn.Module, own: str) -> str | None:
    """Return the name of the layer of a weight that Keras holds; None for other weights.

    Keras keeps weights in dictionaries, under paths such as ``sequential/hidden/kernel``.

    Example:
        >>> import torch
        >>> weights = nn.ParameterDict({"sequential/block/hidden/kernel": torch.ones(2, 2)})
        >>> keras_layer(weights, "sequential/block/hidden/kernel")
        'block.hidden'
        >>> keras_layer(nn.Linear(2, 2), "weight") is None
        True
    """
    if not isinstance(module, nn.ParameterDict) or "/" not in own:
        return None
    *model, layer, _ = own.split("/")
    return ".".join([*model[1:], layer])


def keras_layer_called() -> str | None:
    """Return the name of the Keras layer whose call we are in, if any; weights do not tell."""
    frame = caller_of(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "call" and "/keras/src/layers/" in code.co_filename:
            name = getattr(frame.f_locals.get("self"), "name", None)
            return name if isinstance(name, str) else None
        frame = frame.f_back
    return None


def plain_name(name: str) -> str:
    """Return the name of a module or parameter without those of wrappers."""
    return _WRAPPERS.sub("", name).strip(".")
