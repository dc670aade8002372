"""Seeing activations inside ``torch.compile``: no graph break, no recompilation, no changed bit.

Dynamo hands each graph that it traced to a compiler. Between the two, a copy of the graph gets one
operator after each activation (``compiled_op``), which looks at run time whether the tap is armed:
arming compiles nothing anew. Where a copy cannot be compiled the graph is, as it was traced.

Seen are float32 and float64 values on the CPU, compiled by the inductor, ``aot_eager`` or
``eager``; all others are left as they are, and listed as not observed.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from relume.observe.calls import Calls, place_of, user_frame
from relume.observe.compiled_op import board, nobody
from relume.observe.compiled_sites import Layers, Region
from relume.observe.intercept import DYNAMO_INLINE
from relume.observe.naming import Names
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved
from relume.observe.where import is_nothing_else

if TYPE_CHECKING:
    from torch import fx

    from relume.observe.compiled_graph import GraphSite

BACKENDS = frozenset({"inductor", "aot_eager", "eager"})
"""The compilers whose graphs are seen."""

SET_EVAL_FRAME = "_maybe_set_eval_frame"
"""What compiled code, and what stays out of it, begins and ends with."""

Compile = Callable[..., Any]


class CompiledRegions:
    """Shows the tap what compiled graphs apply, from ``install`` to ``remove``.

    Dynamo guards compiled code by the global hooks of modules, so those of the tap are taken away
    while compiled code runs.

    Args:
        tap: Sees the activations while it is armed.
        names: How modules are called.
        unobserved: Takes note of what cannot be seen.

    Attributes:
        is_used: Whether ``torch.compile`` was called.
    """

    def __init__(self, tap: ArmedTap, names: Names, unobserved: Unobserved) -> None:
        self.is_used = False
        self._tap = tap
        self._unobserved = unobserved
        self._layers = Layers(tap, names, unobserved)
        self._regions: list[Region] = []
        self._frames: Any = None
        self._passages: tuple[Compile, Compile] | None = None  # torch's and ours
        self._patches: list[tuple[Any, str, Any]] = []
        self._is_ready = False

    def install(self) -> None:
        """Begin to see; the compiler is not loaded before the program loads it."""
        self._tap.when_armed = self._follow
        self._patch(torch, "compile", self._compile)
        self.prepare()

    def prepare(self) -> None:
        """Put the seams into the compiler, once it is loaded; costs nothing before."""
        if self._is_ready or "torch._dynamo.eval_frame" not in sys.modules:
            return
        graphs: Any = sys.modules.get("torch._dynamo.output_graph")
        if not hasattr(graphs, "OutputGraph"):  # it is being loaded
            return
        self._is_ready = True
        self._frames = sys.modules["torch._dynamo.eval_frame"]
        original = getattr(self._frames, SET_EVAL_FRAME, None)
        if original is not None:
            self._passages = (original, self._pausing(original))
        self._follow(is_armed=self._tap.is_seeing)
        self._patch(torch.nn.modules.module, "_has_any_global_hook", self._has_any_global_hook)
        self._patch(sys.modules["torch._dynamo.trace_rules"], "get_tensor_method", _methods)
        if self._can_show():
            self._patch(graphs.OutputGraph, "call_user_compiler", self._call_compiler)
        else:
            self._unobserved.note("regions compiled by this version of torch", None)
        if sys.modules["torch._dynamo.utils"].counters["stats"]["unique_graphs"]:
            self._unobserved.note("regions that were compiled before Relume began", None)

    def remove(self) -> None:
        """Put everything back; graphs that were compiled meanwhile show nothing any more."""
        self._follow(is_armed=False)
        self._passages = None
        while self._patches:
            holder, name, original = self._patches.pop()
            setattr(holder, name, original)
        for region in self._regions:
            region.close()
        self._regions = []
        self._is_ready = False

    def _patch(self, holder: Any, name: str, wrap: Callable[[Compile], Compile]) -> None:
        original = getattr(holder, name, None)
        if original is None:
            return
        wrapper = wrap(original)
        wrapper.__wrapped__ = original  # type: ignore[attr-defined]
        for part in ("__name__", "__qualname__", "__doc__", "__module__"):
            setattr(wrapper, part, getattr(original, part, None))
        self._patches.append((holder, name, original))
        setattr(holder, name, wrapper)

    def _can_show(self) -> bool:
        try:
            board()
        except (AttributeError, ImportError, RuntimeError, TypeError):
            return False
        return True

    def _compile(self, original: Compile) -> Compile:
        def compile_and_prepare(*args: Any, **named: Any) -> Any:
            compiled = original(*args, **named)
            self.is_used = True
            self.prepare()
            return compiled

        vars(compile_and_prepare)[DYNAMO_INLINE] = original
        return compile_and_prepare

    def _has_any_global_hook(self, original: Compile) -> Compile:
        is_compiling, calls = torch.compiler.is_compiling, self._tap.calls

        def has_any_global_hook() -> bool:
            if is_compiling():
                return bool(original())
            return bool(original()) and not _are_ours(calls)

        return has_any_global_hook

    def _is_of_compiled_code(self) -> bool:
        try:
            return self._tap.is_seeing and not _caller().startswith("DisableContext")
        except Exception as error:  # noqa: BLE001
            self._tap.fault = error
            return False

    def _keep(self, action: Callable[[], None]) -> None:
        """Do something of ours, and keep its fault on the tap."""
        try:
            action()
        except Exception as error:  # noqa: BLE001
            self._tap.fault = error

    def _follow(self, *, is_armed: bool) -> None:
        """Be where compiled code begins and ends while the tap is armed, and at no other time.

        Every optimizer passes there too, on every step.
        """
        if self._passages is None:
            return
        present, wanted = self._passages if is_armed else self._passages[::-1]
        if getattr(self._frames, SET_EVAL_FRAME) is present:
            setattr(self._frames, SET_EVAL_FRAME, wanted)

    def _pausing(self, original: Compile) -> Compile:
        tap = self._tap

        @functools.wraps(original)
        def set_eval_frame(callback: Any) -> Any:
            is_compiled = self._is_of_compiled_code()
            if is_compiled and callback is not None:
                self._keep(tap.calls.pause)
            before = original(callback)
            if is_compiled and callback is None:
                self._keep(tap.calls.resume)
            return before

        return set_eval_frame

    def _call_compiler(self, original: Compile) -> Compile:
        def call_user_compiler(output: Any, *args: Any, **named: Any) -> Any:
            plain = getattr(output, "compiler_fn", None)
            if plain is None or getattr(output, "export", False):
                return original(output, *args, **named)

            def compiler(graph: "fx.GraphModule", *inputs: Any, **options: Any) -> Any:
                return self._compile_graph(output, plain, graph, inputs, options)

            compiler.__name__ = getattr(plain, "__name__", type(plain).__name__)
            output.compiler_fn = compiler
            try:
                return original(output, *args, **named)
            finally:
                output.compiler_fn = plain

        return call_user_compiler

    def _compile_graph(
        self,
        output: Any,
        plain: Compile,
        graph: "fx.GraphModule",
        inputs: Sequence[Any],
        options: Mapping[str, Any],
    ) -> Any:
        """Compile a graph so that it shows its activations; in any trouble, as it is."""
        try:
            from relume.observe.compiled_graph import copy_showing, first_batch, parameters_of

            roots = tuple(_reachable(output))
            sites = self._shown(plain, graph, roots)
            if sites:
                copied = copy_showing(graph, sites)
                compiled = plain(copied, [*inputs[0], nobody()], *inputs[1:], **options)
                region = Region(
                    sites,
                    parameters=parameters_of(graph),
                    batch=first_batch(graph),
                    roots=roots,
                    layers=self._layers,
                    tap=self._tap,
                )
                self._regions.append(region)
                return region.runner(compiled)
        except Exception as error:  # noqa: BLE001
            self._unobserved.note(f"a compiled region ({type(error).__name__})", _user_place())
        return plain(graph, *inputs, **options)

    def _shown(
        self, plain: Compile, graph: "fx.GraphModule", roots: tuple[nn.Module, ...]
    ) -> list["GraphSite"]:
        """Return the sites of a graph that will be seen; take note of the others."""
        from relume.observe.compiled_graph import GraphReader, rectifier_table

        if not (self._tap.counts_now() or any(root.training for root in roots)):
            return []
        modules = {id(part): part for root in roots for part in root.modules()}
        backend, place = _backend(plain), _user_place()
        shown: list[GraphSite] = []
        for found in GraphReader(graph, rectifier_table(), modules).sites():
            site = found if found.place else replace(found, place=place)
            is_module = site.module is not None and is_nothing_else(site.module)
            if site.is_arithmetic and not site.weights and not is_module:
                continue  # no layer
            obstacle = site.obstacle if backend in BACKENDS else f"by {backend}"
            if obstacle is None:
                shown.append(site)
            else:
                name = self._layers.label(site, roots)
                self._unobserved.note(f"{name} (compiled {obstacle})", site.place)
        return shown


def _methods(original: Compile) -> Compile:
    """Name torch's own methods beside their wrappers, which Dynamo does not take for methods."""
    wrapped = {vars(method)[DYNAMO_INLINE] for method in _wrapped_methods()}

    def get_tensor_method() -> frozenset[Any]:
        return frozenset(original() | wrapped)

    return functools.cache(get_tensor_method)


def _wrapped_methods() -> Iterator[Any]:
    for method in vars(torch.Tensor).values():
        if isinstance(method, FunctionType) and DYNAMO_INLINE in vars(method):
            yield method


def _caller() -> str:
    """Return the qualified name of the function that called the wrapper that asks."""
    return sys._getframe(3).f_code.co_qualname  # noqa: SLF001


def _are_ours(calls: Calls) -> bool:
    """Whether the only global hooks of modules are those of the tap."""
    hooks = torch.nn.modules.module
    tables = (
        hooks._global_backward_pre_hooks,  # noqa: SLF001
        hooks._global_backward_hooks,  # noqa: SLF001
        hooks._global_forward_hooks,  # noqa: SLF001
        hooks._global_forward_pre_hooks,  # noqa: SLF001
    )
    return sum(map(len, tables)) == calls.number_of_hooks


def _reachable(output: Any) -> Iterator[nn.Module]:
    """Yield the models that the traced code can reach by a name or an attribute of one."""
    scope = dict(getattr(output, "local_scope", {}))
    code = getattr(getattr(output, "root_tx", None), "f_code", None)
    names = getattr(code, "co_names", ())
    scope |= {name: output.global_scope[name] for name in names if name in output.global_scope}
    for value in scope.values():
        if isinstance(value, nn.Module):
            yield value
        elif isinstance(inner := getattr(value, "__dict__", None), dict):
            yield from (part for part in list(inner.values()) if isinstance(part, nn.Module))


def _backend(plain: Compile) -> str:
    """Return the name of a compiler under its wrappers."""
    compiler: Any = plain
    for wrapper in ("_torchdynamo_orig_backend", "_torchdynamo_orig_callable"):
        while hasattr(compiler, wrapper):
            compiler = getattr(compiler, wrapper)
    name = getattr(compiler, "compiler_name", None) or getattr(compiler, "__name__", None)
    return str(name or type(compiler).__name__)


def _user_place() -> str | None:
    frame = user_frame(1)
    return place_of(frame) if frame is not None else None
