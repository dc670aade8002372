"""The tap: sees every activation of an armed step, and adds it up at its site; reads only."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

from relume.nn.registry import activation_of, firing_threshold
from relume.observe.calls import Calls, place_of, user_frame
from relume.observe.naming import Names
from relume.observe.ownership import feeding
from relume.observe.rectifiers import Reading, Rectifier, Silence, Source
from relume.observe.tally import Tally
from relume.observe.unobserved import Unobserved
from relume.runs.records import Layer, Moments

MOST_SITES = 4096
"""Sites beyond these are listed as not observed: a program that makes ever new ones is odd."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A call whose output is still to come."""

    tally: Tally
    reading: Reading


class ArmedTap:
    """Sees the activations while it is armed, in the thread that armed it.

    Args:
        names: How modules are called.
        unobserved: Takes note of what cannot be seen.
        in_evaluation: Whether passes in eval mode without gradients count too.

    Attributes:
        tallies: Every site seen so far, in the order of the first time.
        calls: The modules being called.
        fault: The first fault of ours; nothing is measured after it.
    """

    def __init__(
        self, names: Names, unobserved: Unobserved, *, in_evaluation: bool = False
    ) -> None:
        self.tallies: list[Tally] = []
        self.fault: Exception | None = None
        self.calls = Calls(self._returned, is_quiet)
        self.calls.begin_pass(None)
        self._names = names
        self._unobserved = unobserved
        self._in_evaluation = in_evaluation
        self._known: dict[object, Tally | None] = {}
        self._by_owner: dict[object, Tally] = {}
        self._thread = 0
        self._is_busy = False
        self._is_armed = False

    def arm(self) -> None:
        """Begin to see."""
        self._thread = threading.get_ident()
        self._is_armed = True
        self.calls.attach()

    def disarm(self) -> None:
        """Stop seeing."""
        self._is_armed = False
        self.calls.detach()

    @property
    def is_seeing(self) -> bool:
        """Whether it is armed, in this thread, and sound."""
        return self._is_armed and self.fault is None and threading.get_ident() == self._thread

    @property
    def takes_gradients(self) -> bool:
        """Whether it is armed and sound; gradients come in threads of their own."""
        return self._is_armed and self.fault is None

    def call(
        self,
        rectifier: Rectifier,
        original: Callable[..., Any],
        args: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Any:
        """Call a function of torch exactly once, and see what went in and came out."""
        if self._is_busy or self.fault is not None or threading.get_ident() != self._thread:
            return original(*args, **named)
        self._is_busy = True
        try:
            seen = self._before(rectifier, args, named)
        except Exception as error:  # noqa: BLE001
            self.fault, seen = error, None
        finally:
            self._is_busy = False
        output = original(*args, **named)
        if seen is not None:
            self._is_busy = True
            try:
                self._after(seen, output)
            except Exception as error:  # noqa: BLE001
                self.fault = error
            finally:
                self._is_busy = False
        return output

    def _before(
        self, rectifier: Rectifier, args: Sequence[Any], named: Mapping[str, Any]
    ) -> _Seen | None:
        reading = rectifier.read(args, named)
        z = args[0] if args else named.get("input", named.get("self"))
        if reading is None or self.calls.stack[-1].is_quiet or not isinstance(z, Tensor):
            return None
        if not _is_plain(z):
            self._note_odd(reading, z)
            return None
        is_second_run = is_recomputing()
        if not (is_second_run or self.counts_now()):
            return None
        tally = self._tally_of(rectifier, reading, z)
        if tally is None:
            return None
        if not is_second_run:
            tally.add_input(z, reading)
        return _Seen(tally, reading)

    def _after(self, seen: _Seen, a: Any) -> None:
        tally = seen.tally
        if not isinstance(a, Tensor):
            return
        if not is_recomputing():
            tally.add_output(a, seen.reading, self.new_rows(tally, a))
            if seen.reading.slope is not None:
                tally.slopes += moments(seen.reading.slope)
            tally.awaits_gradient = a.requires_grad
        elif tally.awaits_gradient or not a.requires_grad:
            return  # the gradient comes by the first pass
        if a.requires_grad and tally.has_whole_gradient:
            a.register_hook(self._receiver(tally))  # type: ignore[no-untyped-call]

    def _receiver(self, tally: Tally) -> Callable[[Tensor], None]:
        if tally.receive is None:

            def receive(gradient: Tensor) -> None:
                # A gradient that is itself differentiated belongs to a penalty.
                if not self._is_armed or self.fault is not None or torch.is_grad_enabled():
                    return
                try:
                    tally.add_gradient(gradient)
                except Exception as error:  # noqa: BLE001
                    self.fault = error

            tally.receive = receive
        return tally.receive

    def counts_now(self) -> bool:
        """Whether the present pass is one of the training."""
        if torch.is_grad_enabled() or self._in_evaluation:
            return True
        root = self.calls.root  # a reentrant checkpoint runs first without gradients
        return root is not None and root.training

    def new_rows(self, tally: Tally, a: Tensor) -> int | None:
        """Return the rows that this pass adds to a site; None where they were counted already."""
        if tally.last_pass == self.calls.number:
            return None
        tally.last_pass = self.calls.number
        return self.calls.rows if self.calls.rows is not None else a.shape[0]

    def _tally_of(self, rectifier: Rectifier, reading: Reading, z: Tensor) -> Tally | None:
        call = self.calls.stack[-1]
        frame = user_frame(2)
        position = (frame.f_code, frame.f_lasti) if frame is not None else None
        here = (id(call.module), position)
        ordinal = call.counts[here] = call.counts.get(here, 0) + 1
        key = (*here, ordinal)
        if key in self._known:
            tally = self._known[key]
            if tally is None or tally.fits(z):
                return tally
        place = place_of(frame) if frame is not None else None
        tally = self._find(rectifier, reading, z, here, place)
        self._known[key] = tally
        return tally

    def _find(
        self, rectifier: Rectifier, reading: Reading, z: Tensor, here: object, place: str | None
    ) -> Tally | None:
        """Return the site of a call seen for the first time; None where it is none."""
        module = self.calls.stack[-1].module
        if self.calls.root is not None:
            self._names.learn(self.calls.root)
        fed = feeding(z.grad_fn)
        weights = fed.weights if fed is not None else ()
        is_module = module is not None and is_activation(module)
        if not weights and rectifier.is_arithmetic and not is_module:
            return None
        if z.ndim < 2:
            self._unobserved.note(f"{reading.activation} of a single row", place)
            return None
        axis = unit_axis(z, weights, is_channels_first=fed is not None and fed.is_channels_first)
        same = (here, tuple(map(id, weights)), z.shape[axis])
        known = self._by_owner.get(same) if weights or not is_module else None
        if known is not None:  # the same weights again: a recurrence, not another layer
            return known
        owner = self._names.of_weights(weights)
        name = self.site_name(module, reading, owner, place, is_module=is_module)
        tally = self.add_site(name, reading, z, axis, (weights, owner, place))
        if tally is not None:
            self._by_owner[same] = tally
        return tally

    def add_site(
        self,
        name: str,
        reading: Reading,
        z: Tensor,
        axis: int,
        origin: tuple[tuple[Tensor, ...], str | None, str | None],
    ) -> Tally | None:
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
        """Return how a site is called: by its module, by what feeds it, or by where it is."""
        name = self._names.of_module(module)
        if is_module and name:
            return name
        if owner:
            return f"{reading.activation}({owner})"
        within = name or place or "the script"
        return f"{reading.activation} in {within}"

    def _returned(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """See what a module returned whose inner calls are not seen: ours, and recurrent ones."""
        if self._is_busy or self.fault is not None or threading.get_ident() != self._thread:
            return
        self._is_busy = True
        try:
            self._see_module(module, inputs, output)
        except Exception as error:  # noqa: BLE001
            self.fault = error
        finally:
            self._is_busy = False

    def _see_module(self, module: nn.Module, inputs: Any, output: Any) -> None:
        read = read_module(module)
        a = output[0] if isinstance(output, tuple) else output
        if read is None or not isinstance(a, Tensor) or not _is_plain(a):
            return
        if is_recomputing() or not self.counts_now():
            return
        z = inputs[0] if read.source is Source.INPUT else a
        key = (id(module), type(module))
        if key not in self._known:
            if self.calls.root is not None or len(self.calls.stack) == 1:
                self._names.learn(self.calls.root or module)
            self._known[key] = self._find_module(module, read, z)
        tally = self._known[key]
        if tally is not None and tally.fits(a):
            tally.add_input(z, read)
            self._after(_Seen(tally, read), a)

    def _find_module(self, module: nn.Module, read: Reading, z: Tensor) -> Tally | None:
        frame = user_frame(0)
        place = place_of(frame) if frame is not None else None
        weights: tuple[Tensor, ...] = tuple(module.parameters(recurse=False))
        is_channels_first = False
        if not isinstance(module, nn.RNNBase | nn.RNNCellBase):
            fed = feeding(z.grad_fn)
            weights = fed.weights if fed is not None else ()
            is_channels_first = fed is not None and fed.is_channels_first
        axis = unit_axis(z, weights, is_channels_first=is_channels_first)
        name = self._names.of_module(module) or type(module).__name__
        owner = self._names.of_weights(weights)
        tally = self.add_site(name, read, z, axis, (weights, owner, place))
        if tally is not None and isinstance(module, nn.RNNBase | nn.RNNCellBase):
            tally.has_whole_gradient = False  # its output is also read inside, unseen
        return tally

    def _note_odd(self, reading: Reading, z: Tensor) -> None:
        frame = user_frame(2)
        kind = "torch.func" if is_functorch_wrapped_tensor(z) else type(z).__name__
        self._unobserved.note(
            f"{reading.activation} of {kind}", place_of(frame) if frame is not None else None
        )


def is_recomputing() -> bool:
    """Whether a backward pass is under way: what runs then is a checkpoint's second run."""
    return torch._C._current_graph_task_id() != -1  # noqa: SLF001


def _is_plain(z: Tensor) -> bool:
    """Whether there is a real tensor of floats behind it: no fake, no wrapper of torch.func."""
    kind = type(z)
    return (
        (kind is Tensor or kind is nn.Parameter)
        and z.is_floating_point()
        and z.layout is torch.strided
        and z.device.type != "meta"
        and not is_functorch_wrapped_tensor(z)
    )


def is_activation(module: nn.Module) -> bool:
    """Whether a module is nothing but its activation: no other module in it, no matrix."""
    return not module._modules and not any(  # noqa: SLF001
        parameter is not None and parameter.ndim > 1
        for parameter in module._parameters.values()  # noqa: SLF001
    )


def is_quiet(module: nn.Module) -> bool:
    """Whether a module is seen by what it returns, so that the calls inside it are passed over."""
    return type(module).__module__.startswith("relume.nn.") and activation_of(module) is not None


def read_module(module: nn.Module) -> Reading | None:
    """Return how the output of a module is read; None where it is not looked at."""
    if isinstance(module, nn.RNN | nn.RNNCell):  # its pre-activations stay inside
        if module.nonlinearity == "relu":
            return Reading("relu", Silence.DEAD)
        return None
    if not is_quiet(module):
        return None
    entry, threshold = activation_of(module), firing_threshold(module)
    if entry is None:
        return None
    if isinstance(threshold, float):
        return Reading(entry.name, Silence.DEAD, Source.INPUT, low=threshold)
    return Reading(entry.name, Silence.DORMANT)


def unit_axis(z: Tensor, weights: Sequence[Tensor], *, is_channels_first: bool) -> int:
    """Return the unit axis: the usual one of what feeds it, unless only another one fits."""
    usual = 1 if is_channels_first or (not weights and z.ndim in {4, 5}) else z.ndim - 1
    units = {size for weight in weights for size in weight.shape[:1]}
    if weights and z.shape[usual] not in units:
        fitting = [axis for axis in range(1, z.ndim) if z.shape[axis] in units]
        if len(fitting) == 1:
            return fitting[0]
    return usual


def moments(slope: Tensor) -> Moments:
    """Return the moments of the slopes of a parametric ReLU; none of another device's."""
    values = slope.detach()
    if values.device.type != "cpu" or not values.numel():
        return Moments()
    return Moments(values.numel(), float(values.sum()), float(values.min()), float(values.max()))
