"""A probe of a model that other code calls as it likes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from relume.observe.passes import Passes
from relume.observe.probe import Measurement, Probe
from relume.observe.sites import Site, SiteFinder


class LiveProbe(Probe):
    """Finds the sites of a model when they are first used, and measures them from then on.

    No example call is needed: the first armed step shows which activations there are, and the next
    ones measure them; an activation first used later joins later. Rows are counted pass by pass.

    Args:
        model: Any module; its parts may be called one by one, several times a step.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(())
        self._model = model
        self._finder = SiteFinder(model)
        self._passing: tuple[nn.Module, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the activations that no armed step has used so far."""
        return self._finder.missing

    @contextmanager
    def watching(self, rows: int | None) -> Iterator[Measurement]:  # noqa: ARG002
        """Measure every forward and backward pass inside the block; each brings its own rows."""
        passes = Passes()
        measurement = Measurement(self.sites, None, passes)
        with ExitStack() as hooks:
            if self._finder.missing:
                hooks.enter_context(self._finder.watching())
            for hook in passes.attach(self._passing):
                hooks.callback(hook.remove)
            for tally in measurement.tallies:
                for hook in tally.attach():
                    hooks.callback(hook.remove)
            yield measurement

    def take_new_sites(self) -> tuple[Site, ...]:
        """Return the sites found since the last call, which are measured from now on."""
        if self._finder.fault is not None:
            raise self._finder.fault
        new = self._finder.found[len(self.sites) :]
        if new:
            self.sites = self._finder.found
            measured = {site.module for site in self.sites}
            self._passing = tuple(
                module for module in self._model.modules() if measured & set(module.modules())
            )
        return new
