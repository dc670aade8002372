"""The activations in a graph that ``torch.compile`` traced, and a copy of it that shows them."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch._subclasses.fake_tensor import FakeTensor

from relume.observe.calls import is_inner_file
from relume.observe.compiled_op import show_input, show_output
from relume.observe.own_activations import kind_of, read_module
from relume.observe.ownership import feeding
from relume.observe.rectifiers import RECTIFIERS, Reading, Rectifier, Source, namespace

_SPACES = ("torch", "torch.Tensor", "torch._C._nn", "torch._VF", "torch.nn.functional")
_LARGER = frozenset({"maximum", "max", "fmax"})
_PARTS = ("._parameters", "._buffers", "._modules")
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


@dataclass(frozen=True, slots=True, eq=False)
class GraphSite:
    """One application of an activation in a traced graph.

    Args:
        reading: How its values are read.
        z: The node of its pre-activation; None where it cannot be read.
        first: The node that may overwrite the pre-activation.
        a: The node of its output.
        module: The innermost module that it is applied in; None where unknown.
        place: ``file:line``; None where unknown.
        obstacle: Why it cannot be observed; None where it can.
        weights: Positions, among the inputs of the graph, of the weights that feed it.
        traced: The weights that it was traced with.
        is_channels_first: Whether the unit axis of what the weights make is 1.
        slope: Position of the slopes of a parametric ReLU; None where it has none.
        is_arithmetic: Whether it counts only where weights feed it.
    """

    reading: Reading
    z: fx.Node | None
    first: fx.Node
    a: fx.Node
    module: nn.Module | None
    place: str | None
    obstacle: str | None
    weights: tuple[int, ...] = ()
    traced: tuple[Tensor, ...] = ()
    is_channels_first: bool = False
    slope: int | None = None
    is_arithmetic: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the output; 1 stands for those that vary."""
        shape = self.a.meta["example_value"].shape
        return tuple(size if type(size) is int else 1 for size in shape)

    def varies(self, axis: int) -> bool:
        """Whether an axis has no fixed size."""
        return type(self.a.meta["example_value"].shape[axis]) is not int


def rectifier_table() -> dict[object, Rectifier]:
    """Return which rectifier each function of torch, or name of a method, applies."""
    table: dict[object, Rectifier] = {}
    for rectifier in RECTIFIERS:
        names = {name for _, name in rectifier.places}
        table.update(dict.fromkeys(names, rectifier))
        names |= {name.removesuffix("_") for name in names}
        for space in _SPACES:
            for name in names:
                function = getattr(namespace(space), name, None)
                if callable(function):
                    table[inspect.unwrap(function)] = rectifier
    return table


class GraphReader:
    """Finds the activations in one graph.

    Args:
        graph: As it was traced.
        table: Of ``rectifier_table``.
        modules: The modules that the traced code can reach, by their id.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        table: Mapping[object, Rectifier],
        modules: Mapping[int, nn.Module],
    ) -> None:
        self._graph = graph
        self._table = table
        self._modules = modules
        self._inputs = _inputs(graph)
        self._above = {} if torch.is_grad_enabled() else _replayed(graph)

    def sites(self) -> list[GraphSite]:
        """Return every activation, in the order of application; ours and nested ones last."""
        found: list[GraphSite] = []
        quiet: dict[str, list[fx.Node]] = {}
        for node in self._graph.graph.nodes:
            key = self._quiet_call(node)
            if key is not None:
                quiet.setdefault(key, []).append(node)
                continue
            site = self._site(node)
            if site is not None:
                found.append(site)
        found.extend(self._quiet_sites(quiet))
        found.extend(self._nested())
        return found

    def _site(self, node: fx.Node) -> GraphSite | None:
        rectifier = self._rectifier(node)
        z = node.args[0] if node.args else node.kwargs.get("input")
        if rectifier is None or not isinstance(z, fx.Node):
            return None
        reading, obstacle = self._read(rectifier, node)
        if reading is None:
            return None
        obstacle = obstacle or _obstacle(z) or _obstacle(node)
        site = GraphSite(reading, z, node, node, self._module(node), place_in(node), obstacle)
        slopes = (at for at, real in self._inputs.values() if real is reading.slope)
        return replace(
            self._fed(site), is_arithmetic=rectifier.is_arithmetic, slope=next(slopes, None)
        )

    def _read(self, rectifier: Rectifier, node: fx.Node) -> tuple[Reading | None, str | None]:
        args = tuple(map(self._real, node.args))
        named = {name: self._real(part) for name, part in node.kwargs.items()}
        reading = rectifier.read(args, named)
        other = node.args[1] if len(node.args) > 1 else node.kwargs.get("other")
        if reading is None and _name(node) in _LARGER and _is_single(other):
            return Reading("maximum"), "with a number that the graph makes"
        return reading, None

    def _real(self, part: Any) -> Any:
        """Return what stands behind an argument of a node: itself where that is unknown."""
        if isinstance(part, fx.Node):
            return self._inputs.get(id(part.meta.get("example_value")), (0, part))[1]
        return part

    def _rectifier(self, node: fx.Node) -> Rectifier | None:
        if node.op == "call_function":
            try:
                return self._table.get(inspect.unwrap(node.target))  # type: ignore[arg-type]
            except TypeError:  # a target that cannot be hashed
                return None
        return self._table.get(node.target) if node.op == "call_method" else None

    def _module(self, node: fx.Node) -> nn.Module | None:
        stack = tuple(node.meta.get("nn_module_stack") or ())
        return self._of_key(stack[-1]) if stack else None

    def _of_key(self, key: object) -> nn.Module | None:
        number = str(key).partition("@")[0]  # "@1" is the second call
        return self._modules.get(int(number)) if number.isdigit() else None

    def _fed(self, site: GraphSite) -> GraphSite:
        """Return a site with the weights that feed it, read off the autograd graph of the fakes."""
        if site.z is None:
            return site
        example = site.z.meta.get("example_value")
        above = self._above.get(site.z, getattr(example, "grad_fn", None))
        is_overwritten = site.a.meta.get("example_value") is example
        if site.z not in self._above and is_overwritten and above is not None:
            above = above.next_functions[0][0]
        fed = feeding(above)
        if fed is None:
            return site
        leaves = [self._inputs[id(leaf)] for leaf in fed.weights if id(leaf) in self._inputs]
        leaves = [leaf for leaf in leaves if isinstance(leaf[1], nn.Parameter)] or leaves
        return replace(
            site,
            weights=tuple(at for at, _ in leaves),
            traced=tuple(weight for _, weight in leaves),
            is_channels_first=bool(leaves) and fed.is_channels_first,
        )

    def _quiet_call(self, node: fx.Node) -> str | None:
        """Return the call of an activation module of ours that a node belongs to."""
        for key in node.meta.get("nn_module_stack") or ():
            module = self._of_key(key)
            if module is not None and kind_of(type(module)).is_quiet:
                return str(key)
        return None

    def _quiet_sites(self, calls: Mapping[str, Sequence[fx.Node]]) -> Iterator[GraphSite]:
        """Yield the activations of our modules: what the first node reads, what the last makes."""
        for key, nodes in calls.items():
            module, a = self._of_key(key), nodes[-1]
            reading = read_module(module) if module is not None else None
            z = next((z for z in nodes[0].all_input_nodes if _has_sizes_of(z, a)), None)
            if reading is not None:
                obstacle = "of unknown shape" if z is None else _obstacle(z) or _obstacle(a)
                site = GraphSite(reading, z, nodes[0], a, module, place_in(a), obstacle)
                yield self._fed(site)

    def _nested(self) -> Iterator[GraphSite]:
        """Yield the activations in parts that are graphs of their own; they are not observed."""
        for name, part in self._graph.named_modules():
            if not name or not isinstance(part, fx.GraphModule):
                continue
            for node in part.graph.nodes:
                site = self._site(node)
                if site is not None and not site.is_arithmetic:
                    yield replace(site, obstacle="in a checkpointed or nested part")


def copy_showing(graph: fx.GraphModule, sites: Sequence[GraphSite]) -> fx.GraphModule:
    """Return a copy of a graph that shows its activations.

    Args:
        graph: As traced; it is only read.
        sites: Those to show; each is called by its place in this sequence.

    Returns:
        A graph with one input more, the last: who is shown it.
    """
    copied = fx.Graph()
    nodes: dict[fx.Node, fx.Node] = {}
    copied.output(copied.graph_copy(graph.graph, nodes))
    for node, twin in nodes.items():
        if hasattr(node, "_dynamo_source"):
            twin._dynamo_source = node._dynamo_source  # noqa: SLF001
    who = _add_input(copied)
    for number, site in enumerate(sites):
        if site.z is not None and site.reading.source is Source.INPUT:
            with copied.inserting_before(nodes[site.first]):
                copied.call_function(show_input, (nodes[site.z], who, number))
        with copied.inserting_after(nodes[site.a]):
            copied.call_function(show_output, (nodes[site.a], who, number))
    copied.lint()
    showing = fx.GraphModule(graph, copied)
    _take_over(graph, showing)
    return showing


def _take_over(graph: fx.GraphModule, showing: fx.GraphModule) -> None:
    """Give a copy what Dynamo hung on the graph beside its nodes."""
    showing.meta = dict(graph.meta)
    for name, part in graph._modules.items():  # noqa: SLF001
        if name not in showing._modules:  # noqa: SLF001
            showing.add_module(name, part)
    for name, value in vars(graph).items():
        if name not in vars(showing):
            setattr(showing, name, value)


def _add_input(graph: fx.Graph) -> fx.Node:
    from torch._dynamo.source import ConstantSource

    last = next(reversed(graph.find_nodes(op="placeholder")), None)
    at = next(iter(graph.nodes)) if last is None else last.next
    with graph.inserting_before(at):
        who = graph.placeholder("relume_who")
    who._dynamo_source = ConstantSource("relume_who")  # noqa: SLF001
    return who


def _inputs(graph: fx.GraphModule) -> dict[int, tuple[int, Tensor]]:
    """Return the position of each input of a graph and what it is, by the id of its fake."""
    found: dict[int, tuple[int, Tensor]] = {}
    for position, node in enumerate(graph.graph.find_nodes(op="placeholder")):
        example = getattr(node.meta.get("grapharg"), "example", None)
        if isinstance(example, Tensor):
            found[id(node.meta.get("example_value"))] = (position, example)
    return found


def parameters_of(graph: fx.GraphModule) -> tuple[int, ...]:
    """Return the positions of the parameters among the inputs of a graph."""
    return tuple(at for at, real in _inputs(graph).values() if isinstance(real, nn.Parameter))


def first_batch(graph: fx.GraphModule) -> int | None:
    """Return the position of the first input that is a batch, not a part of a module."""
    for position, node in enumerate(graph.graph.find_nodes(op="placeholder")):
        example = getattr(node.meta.get("grapharg"), "example", None)
        if not isinstance(example, Tensor) or isinstance(example, nn.Parameter):
            continue
        source: Any = getattr(getattr(node, "_dynamo_source", None), "name", "")
        name = source() if callable(source) else source  # a method in older versions
        if example.ndim and not any(part in name for part in _PARTS):
            return position
    return None


def place_in(node: fx.Node) -> str | None:
    """Return ``file:line`` of the user's code that made a node."""
    frames: list[tuple[str, str]] = _FRAME.findall(node.meta.get("stack_trace") or "")
    for path, line in reversed(frames):
        if not is_inner_file(path):
            return f"{path.replace(chr(92), '/').rpartition('/')[2]}:{line}"
    return None


class _Replay(fx.Interpreter):
    """Runs a graph on its fakes, and keeps what lies above each node of the autograd graph."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.above: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run a node."""
        value = super().run_node(n)
        self.above[n] = getattr(value, "grad_fn", None)
        return value


def _replayed(graph: fx.GraphModule) -> Mapping[fx.Node, Any]:
    """Return the autograd nodes of a graph that was traced without gradients."""
    replay = _Replay(graph)
    try:
        with torch.enable_grad():
            replay.run(*(n.meta["example_value"] for n in graph.graph.find_nodes(op="placeholder")))
    except Exception:  # noqa: BLE001
        return {}
    return replay.above


def _obstacle(node: fx.Node) -> str | None:
    """Return why a value cannot be observed in a compiled graph."""
    example = node.meta.get("example_value")
    if isinstance(example, Tensor) and is_functorch_wrapped_tensor(example):
        return "in torch.func"
    if type(example) is not FakeTensor:
        return f"of {type(example).__name__}"
    if example.ndim < 2:
        return "of a single row"
    if example.device.type != "cpu":
        return f"on {example.device.type}"
    if example.dtype not in {torch.float32, torch.float64}:
        return "in half precision" if example.is_floating_point() else f"of {example.dtype}"
    return None


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _is_single(other: object) -> bool:
    example = other.meta.get("example_value") if isinstance(other, fx.Node) else None
    return isinstance(example, Tensor) and example.ndim == 0


def _has_sizes_of(z: fx.Node, a: fx.Node) -> bool:
    before, after = z.meta.get("example_value"), a.meta.get("example_value")
    return isinstance(before, Tensor) and isinstance(after, Tensor) and before.shape == after.shape
