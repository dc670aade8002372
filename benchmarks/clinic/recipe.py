"""How one network is trained, and how a person may change that: values, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

Edit = tuple[str, float]
"""A named change of data or weights, and how strong it is."""

Option = float | str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a script decides about a training, beside data set and network.

    Args:
        rate: Learning rate.
        optimizer: ``adam``, ``adamw``, ``sgd``, or another of ``session.OPTIMIZERS``.
        momentum: Of ``sgd`` and ``nesterov``.
        weight_decay: Of every parameter.
        batch: Rows of a batch.
        epochs: Passes over the training rows.
        schedule: Of the rate: empty, ``cosine``, or another of ``session.SCHEDULES``.
        loss: Which loss (``losses.py``); ``standard`` is the right one for the data.
        options: Arguments of the network.
        data: Changes of the rows, in order (``data_edits.py``).
        weights: Changes of the fresh network, in order (``networks.py``).
        habits: What the loop does otherwise than most (``loop.py``).
    """

    rate: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch: int = 32
    epochs: int = 10
    schedule: str = ""
    loss: str = "standard"
    options: tuple[tuple[str, Option], ...] = ()
    data: tuple[Edit, ...] = ()
    weights: tuple[Edit, ...] = ()
    habits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a recipe; what is None or empty stays as it is.

    Example:
        >>> tenfold = Change(rate_times=10, options={"head": "relu"}).apply(Recipe(rate=1e-3))
        >>> tenfold.rate, tenfold.options
        (0.01, (('head', 'relu'),))
    """

    rate_times: float = 1.0
    epochs_times: float = 1.0
    optimizer: str | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    batch: int | None = None
    schedule: str | None = None
    loss: str | None = None
    options: Mapping[str, Option] | None = None
    data: tuple[Edit, ...] = ()
    weights: tuple[Edit, ...] = ()
    habits: tuple[str, ...] = ()

    def apply(self, recipe: Recipe) -> Recipe:
        """Return the recipe with this change."""
        plain = ("optimizer", "momentum", "weight_decay", "batch", "schedule", "loss")
        given = {name: getattr(self, name) for name in plain if getattr(self, name) is not None}
        return replace(
            recipe,
            rate=recipe.rate * self.rate_times,
            epochs=max(1, round(recipe.epochs * self.epochs_times)),
            options=tuple((dict(recipe.options) | dict(self.options or {})).items()),
            data=recipe.data + self.data,
            weights=recipe.weights + self.weights,
            habits=recipe.habits + self.habits,
            **given,
        )
