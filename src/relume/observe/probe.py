"""Measuring the units of a model on one step at a time, by hooks that exist only while armed."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from operator import add
from typing import Concatenate, ParamSpec

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from relume.kernels import unit_stats
from relume.observe.passes import Passes
from relume.observe.sites import Site
from relume.runs.records import LayerWindow, Moments, UnitActivity


class Probe:
    """Measures every site of a model on the steps for which it is asked to.

    Reads only: no value, gradient, random number or running statistic changes, and between armed
    steps no hook is left on the model.

    Args:
        sites: What ``find_sites`` found.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        self.sites = tuple(sites)

    @contextmanager
    def watching(self, rows: int | None) -> Iterator["Measurement"]:
        """Measure every forward and backward pass inside the block.

        Args:
            rows: Independent rows that go through the model inside the block.
        """
        measurement = Measurement(self.sites, rows)
        hooks = [hook for tally in measurement.tallies for hook in tally.attach()]
        try:
            yield measurement
        finally:
            for hook in hooks:
                hook.remove()

    def take_new_sites(self) -> tuple[Site, ...]:
        """Return the sites that were found since the last call: none here."""
        return ()


class Measurement:
    """What one armed step showed; read it after the step's backward pass, or its update.

    A hook of ours that fails says so in ``fault`` and nowhere else: the watched pass goes on.

    Args:
        sites: What is measured.
        rows: Independent rows of the step; ``None`` where every pass brings its own.
        passes: What counts them then.
    """

    def __init__(
        self, sites: Sequence[Site], rows: int | None, passes: Passes | None = None
    ) -> None:
        self.tallies = tuple(_Tally(site, passes) for site in sites)
        self._rows = rows
        self._flows: list[_Flow | None] = [None] * len(sites)
        self._moments = [(Moments(), Moments())] * len(sites)

    @property
    def fault(self) -> Exception | None:
        """The first fault of a hook of ours, if any."""
        return next((tally.fault for tally in self.tallies if tally.fault), None)

    def before_update(
        self, parameters: Collection[int] | None = None, *, has_closure: bool = False
    ) -> None:
        """Note the owners' gradients and weights; call it between backward pass and update.

        Args:
            parameters: The ``id`` of each parameter that is updated; ``None`` for all of them.
            has_closure: Whether the gradient is computed within the update.
        """
        for index, tally in enumerate(self.tallies):
            owner = tally.site.owner
            if owner is not None and _is_among(owner, parameters):
                self._flows[index] = _Flow.of(owner, has_closure=has_closure)

    def end_update(self) -> None:
        """Take the updates noted before as done; a step may hold several."""
        for index, flow in enumerate(self._flows):
            if flow is not None:
                self._moments[index] = tuple(map(add, self._moments[index], flow.moments()))
                self._flows[index] = None

    def layers(self) -> tuple[LayerWindow, ...]:
        """Return one value per site, in their order; to be added into a window."""
        self.end_update()
        return tuple(
            LayerWindow(tally.activity(self._rows), *moments)
            for tally, moments in zip(self.tallies, self._moments, strict=True)
        )


P = ParamSpec("P")


def _kept(method: Callable[Concatenate["_Tally", P], None]) -> Callable[..., None]:
    """Keep a hook's fault on its tally instead of raising it into the watched pass."""

    @wraps(method)
    def hook(self: "_Tally", /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with torch.no_grad():
                method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001
            self.fault = error

    return hook


class _Tally:
    """The running sums of one site during one armed step."""

    def __init__(self, site: Site, passes: Passes | None) -> None:
        self.site = site
        self._passes = passes
        self._last_pass = self._rows = 0
        self.fault: Exception | None = None
        self._fired = self._total = self._total_square = self._gradient = torch.zeros(())
        self._positions = self._gradient_positions = 0

    def attach(self) -> list[RemovableHandle]:
        """Hang the hooks; the pre-activation is read before an in-place activation destroys it."""
        module = self.site.module
        hooks = [module.register_forward_hook(self._see_output)]
        if self.site.fires_above is not None:
            hooks.append(module.register_forward_pre_hook(self._see_input))
        return hooks

    def activity(self, rows: int | None) -> UnitActivity:
        """Return the sums as a value; ``rows`` is ``None`` where they were counted here."""
        units = self.site.layer.units
        seen = self._rows if rows is None else rows
        return UnitActivity(
            seen if self._positions else 0,
            self._positions,
            _vector(self._fired, units).astype(np.int64),
            _vector(self._total, units),
            _vector(self._total_square, units),
            self._gradient_positions,
            _vector(self._gradient, units),
        )

    @_kept
    def _see_input(self, _: nn.Module, inputs: tuple[object, ...]) -> None:
        z = inputs[0]
        if isinstance(z, Tensor) and self.site.fires_above is not None:
            fired = unit_stats.count_above(z.detach(), self.site.fires_above, self.site.axis)
            self._fired = self._fired + fired

    @_kept
    def _see_output(self, _: nn.Module, __: object, output: object) -> None:
        a = output[0] if isinstance(output, tuple) else output
        if not isinstance(a, Tensor):
            return
        total, total_square = unit_stats.sums(a.detach(), self.site.axis)
        self._total, self._total_square = self._total + total, self._total_square + total_square
        if self.site.fires_above is None:
            self._fired = self._fired + unit_stats.count_nonzero(a.detach(), self.site.axis)
        self._positions += a.numel() // a.shape[self.site.axis]
        if self._passes is not None and self._passes.number != self._last_pass:
            self._last_pass = self._passes.number
            self._rows += self._passes.rows
        # A recurrent layer's output carries only the gradient of its direct uses: not observed.
        if a.requires_grad and not isinstance(self.site.module, nn.RNNBase):
            a.register_hook(self._receive)  # type: ignore[no-untyped-call]

    def _receive(self, gradient: Tensor) -> None:
        """Take the gradient of a loss; one that is itself differentiated belongs to a penalty."""
        if not torch.is_grad_enabled():
            self._see_gradient(gradient)

    @_kept
    def _see_gradient(self, gradient: Tensor) -> None:
        total = unit_stats.absolute_sum(gradient.detach(), self.site.axis)
        self._gradient = self._gradient + total
        self._gradient_positions += gradient.numel() // gradient.shape[self.site.axis]


@dataclass(frozen=True, slots=True, eq=False)
class _Flow:
    """The gradient and the weights of an owner just before an update."""

    parameters: tuple[nn.Parameter, ...]
    before: tuple[Tensor, ...]
    gradient_norm: Tensor | None
    has_closure: bool

    @classmethod
    def of(cls, owner: nn.Module, *, has_closure: bool) -> "_Flow":
        parameters = tuple(owner.parameters(recurse=False))
        before = tuple(parameter.detach().clone() for parameter in parameters)
        norm = None if has_closure else _gradient_norm(parameters)
        return cls(parameters, before, norm, has_closure)

    def moments(self) -> tuple[Moments, Moments]:
        """Return gradient norm and update-to-weight ratio; a zero weight makes no ratio.

        Of an update with a closure the gradient is that of the closure's last call.
        """
        norm = _gradient_norm(self.parameters) if self.has_closure else self.gradient_norm
        gradient = Moments.of(float(norm)) if norm is not None else None
        pairs = zip(self.parameters, self.before, strict=True)
        size = float(_norm(self.before))
        update = float(_norm([after.detach() - before for after, before in pairs]))
        ratio = Moments.of(update / size) if size > 0 else Moments()
        return gradient or Moments(), ratio


def _is_among(owner: nn.Module, parameters: Collection[int] | None) -> bool:
    if parameters is None:
        return True
    return any(id(parameter) in parameters for parameter in owner.parameters(recurse=False))


def _gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor | None:
    gradients = [p.grad for p in parameters if p.grad is not None]
    return _norm(gradients) if gradients else None


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    squares = [torch.linalg.vector_norm(tensor.float()).square() for tensor in tensors]
    return torch.stack(squares).sum().sqrt()


def _vector(sums: Tensor, units: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Read a sum off the device; one that was never added to is zero."""
    return sums.cpu().numpy().astype(np.float64) if sums.ndim else np.zeros(units)
