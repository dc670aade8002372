"""Every parameter of the watched models, in their order, each with a name of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from relume.observe.naming import Names, keras_layer, plain_name
from relume.observe.plain import is_plain, oddity
from relume.observe.sharding import sharded_parts
from relume.observe.unobserved import Unobserved

T = TypeVar("T")

MOST_MATRICES = 512
"""Matrices that are measured: of more, the first and the last half of so many."""

MOST_WEIGHTS = 4096
"""Parameters that are known at all, matrices or not: likewise."""


@dataclass(slots=True, eq=False)
class Weight:
    """One parameter: its name, itself, the module that has it, and how that one calls it."""

    name: str
    tensor: Tensor
    module: nn.Module
    own_name: str


class WeightBook:
    """The parameters of every model seen; shared ones once, under their first name.

    Args:
        names: Knows the models.
        unobserved: Takes note of what is left out.

    Attributes:
        weights: The parameters; their places never change.
        matrices: Places of those with at least two axes that are measured, likewise.
        number_of_roots: Models that were looked through.
    """

    def __init__(self, names: Names, unobserved: Unobserved) -> None:
        self.weights: list[Weight] = []
        self.matrices: list[int] = []
        self.number_of_roots = 0
        self._names = names
        self._unobserved = unobserved
        self._places: dict[str, int] = {}
        self._by_id: dict[int, int] = {}

    @property
    def is_behind(self) -> bool:
        """Whether there are models that were not looked through."""
        return len(self._names.roots) != self.number_of_roots

    def place_of(self, number: int) -> int | None:
        """Return the place of the tensor with an ``id``; None where it is not known."""
        return self._by_id.get(number)

    def refresh(self) -> list[int]:
        """Look through the models again; return the places of what is new or was replaced."""
        self.number_of_roots = len(self._names.roots)
        found = list(self._found())
        changed, matrices = [], []
        for weight in _ends(found, MOST_WEIGHTS):
            place = self._places.get(weight.name)
            if place is not None and self.weights[place].tensor is weight.tensor:
                continue
            if place is None:
                if len(self.weights) == MOST_WEIGHTS:
                    break
                place = self._places[weight.name] = len(self.weights)
                self.weights.append(weight)
                if weight.tensor.ndim >= 2:
                    matrices.append(place)
            else:
                self._by_id.pop(id(self.weights[place].tensor), None)
                self.weights[place] = weight
            self._by_id[id(weight.tensor)] = place
            changed.append(place)
        measured = _ends(matrices, MOST_MATRICES - len(self.matrices))
        self.matrices += measured
        self._note_once(f"weights beyond {MOST_WEIGHTS:,}", len(found) - MOST_WEIGHTS)
        self._note_once(
            f"norms and updates of matrices beyond {MOST_MATRICES}", len(matrices) - len(measured)
        )
        return changed

    def _found(self) -> Iterator[Weight]:
        seen: set[int] = set()
        counts: dict[str, int] = {}
        for root in self._names.roots:
            prefix = self._names.of_module(root)
            sharded = {id(module) for module in sharded_parts(root)}
            for path, module in root.named_modules():
                if id(module) in sharded:
                    self._note_sharded(module)
                    continue
                label = self._names.of_module(module) or _joined(prefix, plain_name(path))
                for own_name, tensor in module.named_parameters(recurse=False):
                    if id(tensor) in seen or not self._is_readable(tensor):
                        continue
                    seen.add(id(tensor))
                    layer = keras_layer(module, own_name)
                    held_by = label if layer is None else _joined(prefix, layer)
                    name = _joined(held_by, own_name.rpartition("/")[2])
                    counts[name] = count = counts.get(name, 0) + 1
                    name = name if count == 1 else f"{name}#{count}"
                    yield Weight(name, tensor, module, own_name)

    def _note_sharded(self, module: nn.Module) -> None:
        if next(module.parameters(recurse=False), None) is not None:
            what, name = "weights sharded by FSDP", self._names.of_module(module)
            if (what, name) not in self._unobserved.counts:
                self._unobserved.note(what, name)

    def _is_readable(self, tensor: Tensor) -> bool:
        if is_plain(tensor):
            return True
        if not is_lazy(tensor):
            self._unobserved.note(f"parameters that are {oddity(tensor)}", None)
        return False

    def _note_once(self, what: str, count: int) -> None:
        if count > 0 and (what, "") not in self._unobserved.counts:
            for _ in range(count):
                self._unobserved.note(what, None)


def _ends(items: list[T], most: int) -> list[T]:
    """Return the first and the last ones."""
    if len(items) <= most:
        return items
    half = most // 2
    return items[: most - half] + items[len(items) - half :]


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)
