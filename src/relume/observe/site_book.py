"""The sites of a training, in the order of their first call, each with a name of its own."""

from torch import Tensor, nn

from relume.observe.naming import Names, keras_layer_called
from relume.observe.rectifiers import Reading, Silence
from relume.observe.tally import Tally
from relume.observe.unobserved import Unobserved
from relume.runs.records import Layer

MOST_SITES = 4096
"""Sites beyond these are listed as not observed: a program that makes ever new ones is odd."""


class SiteBook:
    """Every site seen so far.

    Args:
        names: How modules are called.
        unobserved: Takes note of what cannot be seen.

    Attributes:
        tallies: The sites.
    """

    def __init__(self, names: Names, unobserved: Unobserved) -> None:
        self.tallies: list[Tally] = []
        self._names = names
        self._unobserved = unobserved

    def add_site(
        self,
        name: str,
        reading: Reading,
        z: Tensor,
        axis: int,
        origin: tuple[tuple[Tensor, ...], str | None, str | None],
    ) -> Tally | None:
        """Add a site; ``origin`` is its weights, the name of their module, and ``file:line``."""
        """Return the tally of a new site; None where there are too many.

        Args:
            name: Of the site; it is made unique.
            reading: How its values are read.
            z: A tensor of its shape and device.
            axis: The unit axis.
            origin: The weights that feed it, the name of their module, and ``file:line``.
        """
        weights, owner, place = origin
        if len(self.tallies) >= MOST_SITES:
            self._unobserved.note(f"sites beyond the first {MOST_SITES:,}", place)
            return None
        layer = Layer(
            self._names.unique(name),
            reading.activation,
            z.shape[axis],
            reading.silence is Silence.DEAD,
            owner,
            place,
            reading.silence is Silence.SATURATED,
        )
        tally = Tally(layer, axis, weights, z.device.type)
        self.tallies.append(tally)
        return tally

    def site_name(
        self,
        module: nn.Module | None,
        reading: Reading,
        owner: str | None,
        place: str | None,
        *,
        is_module: bool,
    ) -> str:
        """Return how a site is called: as its module, or by its function and what feeds it."""
        name = self._names.of_module(module)
        if is_module and name:
            return name
        owner = owner or keras_layer_called()
        if owner:
            return f"{reading.activation}({owner})"
        return f"{reading.activation} in {name or place or 'the script'}"
