"""What feeds the units of a layer, and what reads them: found on the graph of one forward pass."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from relume.nn.following import LAYERS, Layer
from relume.observe.modes import evaluating, uncompiled
from relume.observe.ownership import PRODUCTS, kind_of_node, leaves_of
from relume.remedies.patient import Patient, Sample

MOST_NODES = 100_000
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

_UNIT_BY_UNIT = frozenset({
    "Relu", "LeakyRelu", "Threshold", "Clamp", "ClampMin", "Hardtanh", "Elu", "Silu", "Gelu",
    "Mish", "Softplus", "Hardswish", "Hardsigmoid", "Sigmoid", "Tanh", "PreluKernel", "Prelu",
    "RreluWithNoise", "Celu", "NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm", "BatchNorm",
    "View", "UnsafeView", "Reshape", "ReshapeAlias", "Flatten", "Unsqueeze", "Squeeze", "Alias",
    "Clone", "Contiguous", "ToCopy", "Transpose", "Permute", "T", "MaxPool2DWithIndices",
    "MaxPool3DWithIndices", "MaxPool1D", "AvgPool1D", "AvgPool2D", "AvgPool3D", "AdaptiveAvgPool1D",
    "AdaptiveAvgPool2D", "AdaptiveAvgPool3D", "AdaptiveMaxPool2D", "ConstantPadNd", "Mean", "Amax",
    "UpsampleNearest2D", "UpsampleBilinear2D", "NativeDropout", "FusedDropout", "Identity",
    "MkldnnMaxPool2D", "ReflectionPad2D", "ReplicationPad2D", "QuantizedMaxPool2D", "SumDim", "Sum",
})  # fmt: skip
"""Operations that take a unit to the same unit: nothing of one reaches another."""


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A layer that reads units.

    Args:
        layer: It.
        places: For each unit, of which there are ``units``, how many inputs of the layer it makes.
        is_unit_first: Whether the inputs of one unit lie side by side, as channels do that were
            flattened; else those of one place do.
    """

    layer: Layer
    units: int
    places: int
    is_unit_first: bool

    def mask(self, units: Tensor) -> Tensor:
        """Return which entries of its weight read some units, bool, in the shape of the weight."""
        layer = self.layer
        mask = torch.zeros(layer.weight.shape, dtype=torch.bool, device=layer.weight.device)
        if isinstance(layer, nn.Linear):
            spread = torch.arange(self.places, device=units.device)
            if self.is_unit_first:
                columns = units[:, None] * self.places + spread
            else:
                columns = units[:, None] + self.units * spread
            mask[:, columns.flatten()] = True
            return mask
        inputs, outputs = layer.weight.shape[1], layer.weight.shape[0] // layer.groups
        for unit in units.tolist():
            group, index = divmod(unit, inputs)
            mask[group * outputs : (group + 1) * outputs, index] = True
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class Circuit:
    """The units of a layer: what feeds them, what normalises them, and everything that reads them.

    Args:
        owner: The layer whose weights feed them.
        norm: The batch norm before their activation; None where there is none.
        readers: Every layer that reads them.
    """

    owner: Layer
    norm: BatchNorm | None
    readers: tuple[Reader, ...]

    @property
    def units(self) -> int:
        """How many there are."""
        return int(self.owner.weight.shape[0])


def circuit_of(patient: Patient, owner: nn.Module | None) -> Circuit | None:
    """Return the circuit of a layer; None where its units go on to anything but layers.

    Followed are paths on which every unit stays by itself: activations, batch norms, pooling,
    flattening. Where a unit is added to others (a residual), concatenated, normalised with others
    or is an output of the network, no weights can be found that alone read it.

    Args:
        patient: With a sample.
        owner: A linear or convolutional layer, used once in a forward pass.

    Cost: one forward pass of the sample in eval mode.
    """
    if patient.sample is None or not isinstance(owner, LAYERS) or not _is_own(patient, owner):
        return None
    calls: dict[nn.Module, list[Tensor]] = {}

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            calls.setdefault(module, []).append(output)
            nodes.setdefault(module, output.grad_fn)

    nodes: dict[nn.Module, Any] = {}
    with undisturbed(patient.model), torch.enable_grad(), _hooked(patient.model, note):
        output = call(patient.model, patient.sample)
    begin = nodes.get(owner)
    if begin is None or len(calls[owner]) != 1:
        return None
    homes = {
        id(weight): module
        for module in patient.model.modules()
        for weight in (module._parameters.get("weight"),)  # noqa: SLF001
        if weight is not None
    }
    return _walk(owner, begin, _downstream(output), _Homes(homes, calls, patient))


def call(model: nn.Module, sample: Sample) -> Any:
    """Call a model with a sample."""
    return model(*sample.args, **sample.kwargs)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Let a model be called inside the block, in eval mode, with nothing of it changed after."""
    on_device = {each.device for each in model.parameters() if each.is_cuda}
    devices = sorted(each.index or 0 for each in on_device)
    with torch.random.fork_rng(devices), evaluating(model), uncompiled():
        yield


@contextmanager
def _hooked(model: nn.Module, hook: Callable[[nn.Module, Any, Any], None]) -> Iterator[None]:
    handles = [
        module.register_forward_hook(hook)
        for module in model.modules()
        if isinstance(module, LAYERS)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_own(patient: Patient, layer: Layer) -> bool:
    """Whether a layer holds its weight itself, and nothing else does."""
    weight = layer._parameters.get("weight")  # noqa: SLF001
    if weight is None:
        return False
    uses = patient.model.named_parameters(remove_duplicate=False)
    return sum(each is weight for _, each in uses) == len(patient.parents(layer) or [None])


@dataclass(frozen=True, slots=True)
class _Homes:
    modules: dict[int, nn.Module]
    calls: dict[nn.Module, list[Tensor]]
    patient: Patient

    def of(self, node: Any) -> nn.Module | None:
        """Return the module whose weight a node reads, if that is its only use."""
        found = (self.modules.get(id(leaf)) for leaf in leaves_of(node))
        module = next((each for each in found if each is not None), None)
        if not isinstance(module, LAYERS) or len(self.calls.get(module, ())) != 1:
            return None
        return module if _is_own(self.patient, module) else None


def _downstream(output: Any) -> dict[Any, list[Any]]:
    """Return for each node of the graph those that read what it made; of outputs, None too."""
    readers: dict[Any, list[Any]] = {}
    waiting: deque[Any] = deque()
    for tensor in tensors_of(output):
        if tensor.grad_fn is not None:
            readers.setdefault(tensor.grad_fn, []).append(None)
            waiting.append(tensor.grad_fn)
    seen = set(waiting)
    while waiting and len(seen) < MOST_NODES:
        node = waiting.popleft()
        for below, _ in node.next_functions:
            if below is None:
                continue
            readers.setdefault(below, []).append(node)
            if below not in seen:
                seen.add(below)
                waiting.append(below)
    return readers


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in what a model returned."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_of(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_of(each)
    elif hasattr(value, "to_tuple"):
        yield from tensors_of(value.to_tuple())


def _walk(owner: Layer, begin: Any, readers: dict[Any, list[Any]], homes: _Homes) -> Circuit | None:
    found: list[Reader] = []
    norms: dict[Any, BatchNorm | None] = {}
    waiting, seen = deque(readers.get(begin, [None])), set[Any]()
    while waiting:
        node = waiting.popleft()
        if node in seen:
            continue
        seen.add(node)
        kind = "" if node is None else kind_of_node(node)
        if kind in PRODUCTS or "Convolution" in kind:
            reader = _reader(owner, homes.of(node))
            if reader is None:
                return None
            found.append(reader)
        elif kind in _UNIT_BY_UNIT:
            if "BatchNorm" in kind:
                norms[node] = _norm(node, homes.patient)
            waiting.extend(readers.get(node, [None]))
        else:
            return None
    norm = next(iter(norms.values()), None)
    return Circuit(owner, norm, tuple(found)) if found and len(norms) <= 1 else None


def _norm(node: Any, patient: Patient) -> BatchNorm | None:
    leaves = {id(getattr(below, "variable", None)) for below, _ in node.next_functions}
    for module in patient.model.modules():
        if isinstance(module, BATCH_NORMS) and id(module.weight) in leaves:
            return module
    return None


def _reader(owner: Layer, layer: nn.Module | None) -> Reader | None:
    """Return how a layer reads the units of another, by its shape."""
    if not isinstance(layer, LAYERS):
        return None
    units = int(owner.weight.shape[0])
    inputs = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    if inputs % units or (inputs != units and not isinstance(layer, nn.Linear)):
        return None
    return Reader(layer, units, inputs // units, not isinstance(owner, nn.Linear))
