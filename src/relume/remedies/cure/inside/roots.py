"""A treatment of square roots, whose slope at 0 is no number."""

from collections.abc import Sequence

from torch import Tensor

from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.place import CodePlace


class Root(Listener):
    """Adds a little to what stands under square roots.

    Args:
        places: Of the roots.
        added: How much.
    """

    def __init__(self, places: Sequence[CodePlace], added: float) -> None:
        self._places = places
        self._added = added

    def root(self, value: Tensor, place: CodePlace) -> Tensor:
        """Add it."""
        return value + self._added if place in self._places else value
