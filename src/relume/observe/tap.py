"""The tap: sees every activation of an armed step, and adds it up at its site; reads only."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from relume.observe.aside import Aside, Fused, Part
from relume.observe.calls import Calls, place_of, user_frame
from relume.observe.fused import hidden_weights
from relume.observe.naming import Names
from relume.observe.own_activations import kind_of, read_module
from relume.observe.ownership import Feeding, feeding, sources, unit_axis
from relume.observe.plain import floating, has_values, is_plain, oddity
from relume.observe.rectifiers import Reading, Rectifier, Source
from relume.observe.sharding import are_gathered
from relume.observe.site_book import SiteBook
from relume.observe.tally import Tally
from relume.observe.unobserved import Unobserved
from relume.observe.where import Where, where

LEARNING_STEPS = 3
"""Armed steps in which it is learnt which sites feed which; their graphs are held till the end."""


@dataclass(slots=True, eq=False)  # frozen ones are slow to make
class _Seen:
    """A call whose output is still to come."""

    tally: Tally
    reading: Reading
    most_rows: int | None = None


class ArmedTap:
    """Sees the activations while it is armed, in the thread that armed it.

    Args:
        names: How modules are called.
        unobserved: Takes note of what cannot be seen.
        in_evaluation: Whether passes in eval mode without gradients count too.

    Attributes:
        book: Every site seen so far.
        calls: The modules being called.
        fault: The first fault of ours; nothing is measured after it.
        is_busy: While true, what is called is a part of something else, and not seen.
        on_output: Called with each output that is counted, if set.
        gradient_scale: Returns what gradients are multiplied by; None for nothing.
    """

    def __init__(
        self, names: Names, unobserved: Unobserved, *, in_evaluation: bool = False
    ) -> None:
        self.book = SiteBook(names, unobserved)
        self.fault: Exception | None = None
        self.gradient_scale: Callable[[], Tensor | None] = lambda: None
        self.on_output: Callable[[Tally, Tensor], None] | None = None
        self.when_armed: Callable[..., None] = lambda **_: None
        self.calls = Calls(self._returned, kind_of)
        self.names = names
        self._unobserved = unobserved
        self._in_evaluation = in_evaluation
        self._known: dict[object, Tally | None] = {}
        self._by_owner: dict[object, Tally] = {}
        self._nodes: dict[Any, Tally] = {}  # of the graph of this step, while sites are new
        self._armed_steps = 0
        self._thread = 0
        self.is_busy = False
        self._is_armed = False

    def arm(self) -> None:
        """Begin to see."""
        self._thread = threading.get_ident()
        self._is_armed = True
        self.begin_step()
        self.when_armed(is_armed=True)
        self.calls.attach()

    def begin_step(self) -> None:
        """Begin a step: outside of all modules it is a pass of its own."""
        self._armed_steps += 1
        self._nodes.clear()
        self.calls.stack[0].counts.clear()
        self.calls.begin_pass(None)

    def disarm(self) -> None:
        """Stop seeing."""
        self._is_armed = False
        self.when_armed(is_armed=False)
        self._nodes.clear()
        self.calls.detach()
        self.fault = self.fault or self.calls.fault

    @property
    def tallies(self) -> list[Tally]:
        """Every site seen so far, in the order of the first time."""
        return self.book.tallies

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
        if self.is_busy or self.fault is not None or threading.get_ident() != self._thread:
            return original(*args, **named)
        self.is_busy = True
        try:
            seen = self._before(rectifier, args, named)
        except Exception as error:  # noqa: BLE001
            self.fault, seen = error, None
        finally:
            self.is_busy = False
        if seen is None:
            return original(*args, **named)
        self.is_busy = True  # what torch calls inside it is a part of it
        try:
            output = original(*args, **named)
            try:
                self._after(seen, output)
            except Exception as error:  # noqa: BLE001
                self.fault = error
        finally:
            self.is_busy = False
        return output

    def call_fused(
        self,
        fused: Fused,
        original: Callable[..., Any],
        args: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Any:
        """Call a fused operation exactly once, and see the activations inside it."""
        output = original(*args, **named)
        if self.is_busy or self.fault is not None or threading.get_ident() != self._thread:
            return output
        self.is_busy = True
        try:
            self._see_fused(fused, original, args, named, output)
        except Exception as error:  # noqa: BLE001
            self.fault = error
        finally:
            self.is_busy = False
        return output

    def _see_fused(
        self,
        fused: Fused,
        original: Callable[..., Any],
        args: Sequence[Any],
        named: Mapping[str, Any],
        output: Any,
    ) -> None:
        if self.calls.stack[-1].is_quiet or not self.counts_now():
            return
        if self.calls.root is not None:
            self.names.learn(self.calls.root)
        aside = Aside(self, where(self.calls), fused.name)
        if not all(is_plain(given) or given.is_nested for given in floating(args)):
            aside.miss("of an odd tensor")
            return
        with torch.no_grad():
            fused.see(aside, original, args, named, output)

    def add_part(
        self, part: Part, values: Tensor, rows: int, origin: Where, name: str | None
    ) -> None:
        """Add up the values of one part of a fused operation, at its site."""
        key = (*origin.key, part.suffix)
        tally = self._known.get(key)
        if tally is None:
            tally = self._site(part.reading, values, (part.weights, False), origin, name)
            self._known[key] = tally
        if tally is None:
            return
        if not part.has_whole_gradient:
            tally.has_whole_gradient = False
        if values.ndim <= tally.axis:  # unfused, the same site has more axes
            values = values[(None,) * (tally.axis + 1 - values.ndim)]
        if tally.fits(values) and not (is_recomputing() and tally.awaits_gradient):
            self._after(_Seen(tally, part.reading, rows), values)

    def miss(self, what: str, place: str | None) -> None:
        """Take note of what is not observed."""
        self._unobserved.note(what, place)

    def name_of(self, module: nn.Module | None) -> str:
        """Return the name of a module; empty where none is known."""
        return self.names.of_module(module)

    def _before(
        self, rectifier: Rectifier, args: Sequence[Any], named: Mapping[str, Any]
    ) -> _Seen | None:
        reading = rectifier.read(args, named)
        z = args[0] if args else named.get("input", named.get("self"))
        if reading is None or self.calls.stack[-1].is_quiet or not isinstance(z, Tensor):
            return None
        if not is_plain(z):
            self._note_odd(reading, z)
            return None
        if not self.counts_now():
            return None
        tally = self._tally_of(rectifier, reading, z)
        if tally is None or (is_recomputing() and tally.awaits_gradient):
            return None  # or its first run was seen
        tally.add_input(reading.read_part(z), reading)
        return _Seen(tally, reading)

    def _after(self, seen: _Seen, a: Any) -> None:
        tally = seen.tally
        if not isinstance(a, Tensor):
            return
        tally.add_output(a, seen.reading, self.new_rows(tally, a, seen.most_rows))
        if seen.reading.slope is not None:
            tally.add_slopes(seen.reading.slope)
        if self.on_output is not None:
            self.on_output(tally, a)
        if not is_recomputing():
            tally.awaits_gradient = a.requires_grad
            if a.requires_grad and self._armed_steps <= LEARNING_STEPS:
                self._nodes[a.grad_fn] = tally
        if a.requires_grad and tally.has_whole_gradient:
            a.register_hook(self._receiver(tally))  # type: ignore[no-untyped-call]

    def _receiver(self, tally: Tally) -> Callable[[Tensor], None]:
        if tally.receive is None:

            def receive(gradient: Tensor) -> None:
                # A gradient that is itself differentiated belongs to a penalty.
                if not self._is_armed or self.fault is not None or torch.is_grad_enabled():
                    return
                try:
                    scale = self.gradient_scale()
                    tally.add_gradient(gradient if scale is None else _unscaled(gradient, scale))
                except Exception as error:  # noqa: BLE001
                    self.fault = error

            tally.receive = receive
        return tally.receive

    def counts_now(self) -> bool:
        """Whether the present pass is one of the training.

        A reentrant checkpoint runs first without gradients: its second run, with them, counts.
        """
        if torch.is_grad_enabled():
            return True
        root = self.calls.root
        if root is not None and root.training:
            self.names.learn(root)  # its second run begins inside it
        return self._in_evaluation and (root is None or not root.training)

    def new_rows(self, tally: Tally, a: Tensor, most: int | None = None) -> int | None:
        """Return the rows that this pass adds to a site; None where they were counted already."""
        if tally.last_pass == self.calls.number:
            return None
        tally.last_pass = self.calls.number
        rows = self.calls.rows if self.calls.rows is not None else a.shape[0]
        return rows if most is None else min(rows, most)

    def _tally_of(self, rectifier: Rectifier, reading: Reading, z: Tensor) -> Tally | None:
        origin = where(self.calls)
        if origin.key in self._known:
            tally = self._known[origin.key]
            if tally is None or tally.fits(reading.read_part(z)):
                return tally
        is_module = type(origin.module).__module__ == "torch.nn.modules.activation"
        is_arithmetic = rectifier.is_arithmetic and not is_module
        fed = feeding(z.grad_fn, is_arithmetic=is_arithmetic)
        if is_arithmetic and (fed is None or not fed.weights):
            if fed is not None or z.grad_fn is not None:
                self._known[origin.key] = None
            return None
        if z.ndim < 2:
            self._unobserved.note(f"{reading.activation} of a single row", origin.place())
            return None
        tally = self._site(reading, reading.read_part(z), self._fed(origin.module, z, fed), origin)
        self._known[origin.key] = tally
        if tally is not None and fed is not None and not tally.sources:
            tally.sources = sources(fed.product, self._nodes)
        return tally

    def _fed(
        self, module: nn.Module | None, z: Tensor, fed: Feeding | None
    ) -> tuple[tuple[Tensor, ...], bool]:
        """Return the weights that feed an activation, and whether its unit axis is the second.

        Where there is no graph to read them off, the layer that returned last is taken.
        """
        if fed is None and z.grad_fn is None and self.calls.last_weighted is not None:
            last: tuple[Tensor, ...] = tuple(self.calls.last_weighted.parameters(recurse=False))
            return last, bool(last) and last[0].ndim > 2
        weights = hidden_weights(module) or (fed.weights if fed is not None else ())
        return weights, fed is not None and fed.is_channels_first

    def _site(
        self,
        reading: Reading,
        z: Tensor,
        fed: tuple[tuple[Tensor, ...], bool],
        origin: Where,
        name: str | None = None,
    ) -> Tally | None:
        """Return the site of a call seen for the first time, which may be a known one's again."""
        if self.calls.root is not None:
            self.names.learn(self.calls.root)
        weights, is_first = fed
        axis = unit_axis(z, weights, is_channels_first=is_first, keeps_units=reading.keeps_units)
        same = (origin.identity(weights), name, reading.activation, z.shape[axis])
        known = self._by_owner.get(same)
        if known is not None and (weights or not origin.is_activation or origin.is_loose):
            return known  # the same weights again: a recurrence, not another layer
        owner = self.names.of_weights(weights)
        if name is None:
            name = self.book.site_name(
                origin.module, reading, owner, origin.place(), is_module=origin.is_activation
            )
        place = None if is_recomputing() and not origin.is_direct else origin.place()
        if weights and are_gathered(weights, (call.module for call in self.calls.stack)):
            self._unobserved.note("gradient norm and updates of weights sharded by FSDP", name)
            weights = ()
        tally = self.book.add_site(name, reading, z, axis, (weights, owner, place))
        if tally is not None:
            self._by_owner[same] = tally
        return tally

    def _returned(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """See what a module returned whose inner calls are not seen: ours, and recurrent ones."""
        if self.is_busy or self.fault is not None or threading.get_ident() != self._thread:
            return
        self.is_busy = True
        try:
            self._see_module(module, inputs, output)
        except Exception as error:  # noqa: BLE001
            self.fault = error
        finally:
            self.is_busy = False

    def _see_module(self, module: nn.Module, inputs: Any, output: Any) -> None:
        read = read_module(module)
        if read is None or not self.counts_now():
            return
        if not isinstance(output, Tensor) or not is_plain(output, may_be_complex=True):
            return
        if not inputs and read.source is Source.INPUT:
            return  # given by name: torch tells hooks nothing of it
        z = inputs[0] if inputs else output
        origin = where(self.calls, module)
        tally = self._known.get(origin.key)
        if tally is None or not tally.fits(output):
            fed = feeding(z.grad_fn)
            weights = (fed.weights, fed.is_channels_first) if fed is not None else ((), False)
            tally = self._known[origin.key] = self._site(read, output, weights, origin)
        if tally is None or not tally.fits(output):
            return
        if not (is_recomputing() and tally.awaits_gradient):
            tally.add_input(z, read)
            self._after(_Seen(tally, read), output)

    def _note_odd(self, reading: Reading, z: Tensor) -> None:
        if not has_values(z):
            return
        frame = user_frame(2)
        self._unobserved.note(
            f"{reading.activation} of {oddity(z)}", place_of(frame) if frame is not None else None
        )


def _unscaled(gradient: Tensor, scale: Tensor) -> Tensor:
    """Return a gradient as before scaling; 0 where the scale was too large for its type.

    The update that such a gradient belongs to is left out. Half types would lose small ones.
    """
    if gradient.dtype.itemsize < 4:
        gradient = gradient.float()
    return torch.nan_to_num(gradient / scale, nan=0.0, posinf=0.0, neginf=0.0)


def is_recomputing() -> bool:
    """Whether a backward pass is under way: what runs then is a checkpoint's second run."""
    return torch._C._current_graph_task_id() != -1  # noqa: SLF001
