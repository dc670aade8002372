"""Which layer each activation of a compiled graph belongs to, told anew for every model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from relume.observe.calls import Call
from relume.observe.compiled_op import Part, board, nobody
from relume.observe.naming import Names
from relume.observe.ownership import unit_axis
from relume.observe.rectifiers import Reading
from relume.observe.tally import Tally
from relume.observe.tap import ArmedTap, is_recomputing
from relume.observe.unobserved import Unobserved
from relume.observe.where import is_nothing_else

if TYPE_CHECKING:
    from relume.observe.compiled_graph import GraphSite

MOST_MODELS = 64
"""Models of the same structure that are told apart; more are passed over."""


@dataclass(frozen=True, slots=True, eq=False)
class Receiver:
    """Adds up what one site of a compiled graph shows.

    Args:
        tap: Says whether it is armed.
        tally: Of the site.
        reading: How the values are read.
    """

    tap: ArmedTap
    tally: Tally
    reading: Reading

    def __call__(self, part: Part, value: Tensor) -> None:
        """Add up one tensor; a fault of ours ends the measuring, not the training."""
        try:
            self._add(part, value)
        except Exception as error:  # noqa: BLE001
            self.tap.fault = error

    def _add(self, part: Part, value: Tensor) -> None:
        if part is Part.GRADIENT:
            if self.tap.takes_gradients:
                self.tally.add_gradient(value)
        elif not self.tap.is_seeing or is_recomputing():
            return
        elif part is Part.INPUT:
            self.tally.add_input(value, self.reading)
        else:
            self.tally.add_output(value, self.reading, self.tap.new_rows(self.tally, value))
            if self.reading.slope is not None:
                self.tally.add_slopes(self.reading.slope)


class Layers:
    """The layers of all compiled graphs: one layer however often its code is compiled.

    Args:
        tap: Holds the tallies.
        names: How modules and weights are called.
        unobserved: Takes note of what is passed over.
    """

    def __init__(self, tap: ArmedTap, names: Names, unobserved: Unobserved) -> None:
        self.unobserved = unobserved
        self._tap = tap
        self._names = names
        self._tallies: dict[object, Tally | None] = {}

    def receivers(
        self, sites: Sequence["GraphSite"], args: Sequence[Any], roots: Sequence[nn.Module]
    ) -> list[Receiver | None]:
        """Return what adds up each site for the model whose weights are among the arguments."""
        counts: dict[object, int] = {}
        return [self._receiver(site, args, roots, counts) for site in sites]

    def name(
        self,
        site: "GraphSite",
        weights: Sequence[Tensor],
        roots: Sequence[nn.Module],
        place: str | None,
    ) -> str:
        """Return how a site is called, where its weights are these."""
        self._learn(site, weights, roots)
        owner = self._names.of_weights(weights)
        module = site.module if site.module is not None else next(iter(roots), None)
        is_module = site.module is not None and is_nothing_else(site.module)
        traced = self._names.of_weights(site.traced)
        if all(a is b for a, b in zip(weights, site.traced, strict=True)) or owner is None:
            return self._tap.book.site_name(module, site.reading, owner, place, is_module=is_module)
        name = self._tap.book.site_name(module, site.reading, traced, place, is_module=is_module)
        return _moved(name, traced, owner) if is_module else f"{site.reading.activation}({owner})"

    def label(self, site: "GraphSite", roots: Sequence[nn.Module]) -> str:
        """Return how a site that is not observed is called."""
        name = self.name(site, site.traced, roots, None)
        return site.reading.activation if name.endswith(" in the script") else name

    def _receiver(
        self,
        site: "GraphSite",
        args: Sequence[Any],
        roots: Sequence[nn.Module],
        counts: dict[object, int],
    ) -> Receiver | None:
        weights = tuple(args[at] for at in site.weights)
        is_module = site.module is not None and is_nothing_else(site.module)
        values = torch.zeros(1).expand(site.sizes)  # of the right shape, without its memory
        axis = unit_axis(values, weights, is_channels_first=site.is_channels_first)
        if site.varies(axis):
            name = self.label(site, roots)
            self.unobserved.note(f"{name} (compiled with a varying number of units)", site.place)
            return None
        key: object = (site.place, site.reading.activation, values.shape[axis])
        key = (key, tuple(map(id, weights)), id(site.module) if not weights else None)
        if not weights and is_module:  # applied again, it may be another layer
            counts[key] = count = counts.get(key, 0) + 1
            key = (key, count)
        if key not in self._tallies:
            name = self.name(site, weights, roots, site.place)
            origin = (weights, self._names.of_weights(weights), site.place)
            self._tallies[key] = self._tap.book.add_site(name, site.reading, values, axis, origin)
        tally = self._tallies[key]
        slope = site.reading.slope
        if slope is not None and site.slope is not None:
            slope = args[site.slope]
        return Receiver(self._tap, tally, replace(site.reading, slope=slope)) if tally else None

    def _learn(
        self, site: "GraphSite", weights: Sequence[Tensor], roots: Sequence[nn.Module]
    ) -> None:
        """Learn the model that a site is in: the one being called, or one that its code reaches."""
        root = self._tap.calls.root
        if root is not None:
            self._names.learn(root)
        if self._names.of_weights(weights) or self._names.of_module(site.module):
            return
        parts = {id(site.module), *map(id, weights)}
        for model in roots:
            if parts & {id(part) for part in (*model.modules(), *model.parameters())}:
                self._names.learn(model)
                return


class Region:
    """One compiled graph and who is shown its activations.

    Args:
        sites: What the graph shows, in the order of their numbers.
        parameters: Positions of the parameters among its inputs: they tell models apart.
        batch: Position of the first input that is a batch; None where there is none.
        roots: The models that its code can reach.
        layers: Of all compiled graphs.
        tap: Sees while it is armed.
    """

    def __init__(
        self,
        sites: Sequence["GraphSite"],
        *,
        parameters: tuple[int, ...],
        batch: int | None,
        roots: tuple[nn.Module, ...],
        layers: Layers,
        tap: ArmedTap,
    ) -> None:
        self._sites = tuple(sites)
        self._parameters = parameters
        self._batch = batch
        self._roots = roots
        self._layers = layers
        self._tap = tap
        self._nobody = nobody()
        self._models: dict[tuple[int, ...], Tensor] = {}
        self._held: list[tuple[Any, ...]] = []  # no other parameter gets the id of one of these

    def runner(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        """Return the compiled graph as its caller knows it; each outermost run is a pass."""
        tap = self._tap

        def run(*args: Any) -> Any:
            if not tap.is_seeing:
                return compiled(*args, self._nobody)
            who = self._who(args)
            stack = tap.calls.stack
            stack.append(Call(None, is_quiet=True))  # the backend may call what is patched
            try:
                return compiled(*args, who)
            finally:
                stack.pop()

        return run

    def close(self) -> None:
        """Show nothing any more, and hold nothing."""
        for who in self._models.values():
            board().take_off(int(who), len(self._sites))
        self._sites, self._roots = (), ()
        self._models.clear()
        self._held.clear()

    def _who(self, args: Sequence[Any]) -> Tensor:
        """Return who is shown the activations of the model that is run."""
        try:
            calls = self._tap.calls
            if len(calls.stack) == 1 and not is_recomputing():
                calls.begin_pass(None if self._batch is None else args[self._batch].shape[0])
            model = tuple(id(args[at]) for at in self._parameters)
            if model not in self._models:
                self._models[model] = self._enrol(args)
            return self._models[model]
        except Exception as error:  # noqa: BLE001
            self._tap.fault = error
            return self._nobody

    def _enrol(self, args: Sequence[Any]) -> Tensor:
        if len(self._models) >= MOST_MODELS:
            what = f"models beyond the first {MOST_MODELS} of one compiled graph"
            self._layers.unobserved.note(what, None)
            return self._nobody
        self._held.append(tuple(args[at] for at in self._parameters))
        found = self._layers.receivers(self._sites, args, self._roots)
        return torch.tensor(board().add(found), dtype=torch.int64)


def _moved(name: str, traced: str | None, owner: str) -> str:
    """Return the name of a module in another model, told from the names of its weights' module.

    Example:
        >>> _moved("blocks.0.relu", "blocks.0.linear", "blocks.1.linear")
        'blocks.1.relu'
    """
    old, new = (traced or "").split("."), owner.split(".")
    while old and new and old[-1] == new[-1]:
        old.pop()
        new.pop()
    parts = name.split(".")
    if parts[: len(old)] != old:
        return name
    return ".".join((*new, *parts[len(old) :]))
