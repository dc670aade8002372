"""Adapters to other frameworks: thin ones, over what ``relume.watch`` does.

A name is looked up when it is used, so that importing this imports no framework.
"""

from typing import NamedTuple


class Integration(NamedTuple):
    """An adapter to one framework.

    Attributes:
        name: Of its module in ``relume.integrations``.
        adapter: The class to hand to the framework.
        extra: The extra of ``pip install relume[...]`` that brings the framework.
        libraries: As they are imported; any one of them will do.
    """

    name: str
    adapter: str
    extra: str
    libraries: tuple[str, ...]

    @property
    def module(self) -> str:
        """The module in full."""
        return f"{__name__}.{self.name}"


INTEGRATIONS = (
    Integration("lightning", "WatchCallback", "lightning", ("lightning", "pytorch_lightning")),
    Integration("huggingface", "WatchCallback", "huggingface", ("transformers",)),
    Integration("skorch", "WatchCallback", "skorch", ("skorch",)),
    Integration("accelerate", "WatchTracker", "accelerate", ("accelerate",)),
    Integration("keras", "WatchCallback", "keras", ("keras",)),
    Integration("notebook", "load_ipython_extension", "notebook", ("IPython",)),
)
