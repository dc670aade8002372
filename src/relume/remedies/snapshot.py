"""The state of a training, kept so that it can be put back bitwise."""

import copy
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relume.errors import SnapshotError
from relume.remedies.memory import free_bytes
from relume.remedies.patient import Patient

SHARE = 0.5
"""Share of the free memory that a snapshot may take: the training grows, too."""

CPU = torch.device("cpu")
_PLAIN = (bool, int, float, str, type(None))


class Snapshot:
    """Everything of a training that a remedy can touch, as it was when this was made.

    Kept are parameters, buffers, which modules stand where, their modes and plain settings, what
    is trainable, the state and the groups of the optimizers, the schedules, the random numbers of
    torch, NumPy and Python, and the actions that go on. Gradients are not: they are made anew.

    Args:
        patient: The training.

    Raises:
        SnapshotError: It does not fit into memory, with the numbers.

    Cost:
        As much memory as ``nbytes`` says: with Adam three times the weights. Where it does not fit
        on an accelerator, it lies in the memory of the host.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> before = layer.weight.tolist()
        >>> snapshot = Snapshot(Patient(layer))
        >>> _ = nn.init.zeros_(layer.weight)
        >>> snapshot.restore()
        >>> layer.weight.tolist() == before
        True
    """

    def __init__(self, patient: Patient) -> None:
        self.step = patient.step
        self._patient = patient
        self.nbytes = snapshot_bytes(patient)
        homes = _homes(patient)
        keeper = _Keeper(homes)
        modules = list(_modules(patient))
        self._modules = [_ModuleState.of(module) for module in modules]
        tensors = _unique(each for module in modules for each in _own_tensors(module))
        self._tensors = [keeper.keep(tensor) for tensor in tensors]
        self._optimizers = [_OptimizerState.of(each, keeper) for each in patient.optimizers]
        self._schedulers = [_ScheduleState.of(each) for each in patient.schedulers]
        self._standings = [(each, each.state()) for each in patient.standings]
        self._random = _random_state()

    def restore(self) -> None:
        """Put everything back, bitwise; as often as one likes."""
        self._restore_standings()
        for module in self._modules:
            module.restore()
        with torch.no_grad():
            for kept in self._tensors:
                kept.put_back()
            for optimizer in self._optimizers:
                optimizer.restore()
        for schedule in self._schedulers:
            schedule.restore()
        self._patient.step = self.step
        _set_random_state(self._random)

    def _restore_standings(self) -> None:
        """End what was begun since, and begin again what was ended."""
        kept = [standing for standing, _ in self._standings]
        for standing in reversed(self._patient.standings):
            if not any(standing is each for each in kept):
                standing.remove()
        for standing, state in self._standings:
            standing.begin()
            standing.load(state)
        self._patient.standings[:] = kept


def snapshot_bytes(patient: Patient) -> int:
    """Return the bytes that a snapshot takes."""
    return sum(_needs(patient).values())


def _needs(patient: Patient) -> dict[torch.device, int]:
    needs: dict[torch.device, int] = {}
    for tensor in _unique(_all_tensors(patient)):
        size = tensor.numel() * tensor.element_size()
        needs[tensor.device] = needs.get(tensor.device, 0) + size
    return needs


def _homes(patient: Patient) -> dict[torch.device, torch.device]:
    """Return on which device the copies of the tensors of each device will lie."""
    needs = _needs(patient)
    homes = {
        device: device if size <= SHARE * free_bytes(device) else CPU
        for device, size in needs.items()
    }
    on_host = sum(size for device, size in needs.items() if homes[device] == CPU)
    free = free_bytes(CPU)
    if on_host > SHARE * free:
        raise SnapshotError(
            f"a snapshot of the training takes {on_host / 1e9:,.2f} GB, and may take "
            f"{SHARE:.0%} of the {free / 1e9:,.2f} GB of memory that are free: nothing is changed "
            "that could not be undone"
        )
    return homes


def _modules(patient: Patient) -> Iterator[nn.Module]:
    for root in (patient.model, *patient.companions):
        yield from root.modules()


def _own_tensors(module: nn.Module) -> Iterator[Tensor]:
    for held in (module._parameters, module._buffers):  # noqa: SLF001
        yield from (tensor for tensor in held.values() if tensor is not None)


def _all_tensors(patient: Patient) -> Iterator[Tensor]:
    for module in _modules(patient):
        yield from _own_tensors(module)
    for optimizer in patient.optimizers:
        for group in optimizer.param_groups:
            yield from group["params"]
        yield from _inside(list(optimizer.state.values()))


def _inside(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _inside(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _inside(each)


def _unique(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


@dataclass(frozen=True, slots=True)
class _KeptTensor:
    tensor: Tensor
    copy: Tensor
    requires_grad: bool

    def put_back(self) -> Tensor:
        data = self.tensor.data
        if data.shape == self.copy.shape and data.dtype == self.copy.dtype:
            data.copy_(self.copy)
        else:
            self.tensor.data = self.copy.to(data.device, copy=True)
        if self.tensor.is_leaf:
            self.tensor.requires_grad_(self.requires_grad)
        return self.tensor


class _Keeper:
    """Keeps tensors, each once, where there is room."""

    def __init__(self, homes: dict[torch.device, torch.device]) -> None:
        self._homes = homes
        self._kept: dict[int, _KeptTensor] = {}

    def keep(self, tensor: Tensor) -> _KeptTensor:
        if id(tensor) not in self._kept:
            home = self._homes.get(tensor.device, tensor.device)
            copied = tensor.detach().to(home, copy=True)
            self._kept[id(tensor)] = _KeptTensor(tensor, copied, tensor.requires_grad)
        return self._kept[id(tensor)]

    def keep_value(self, value: Any) -> Any:
        """Return a value with every tensor in it kept."""
        if isinstance(value, Tensor):
            return self.keep(value)
        if isinstance(value, dict):
            return {key: self.keep_value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.keep_value(each) for each in value)
        return copy.deepcopy(value)


def _value_of(kept: Any) -> Any:
    """Put the tensors in a kept value back, and return the value."""
    if isinstance(kept, _KeptTensor):
        return kept.put_back()
    if isinstance(kept, dict):
        return {key: _value_of(each) for key, each in kept.items()}
    if isinstance(kept, list | tuple):
        return type(kept)(_value_of(each) for each in kept)
    return copy.deepcopy(kept)


@dataclass(frozen=True, slots=True)
class _ModuleState:
    module: nn.Module
    held: tuple[dict[str, Any], ...]
    plain: dict[str, Any]

    @classmethod
    def of(cls, module: nn.Module) -> "_ModuleState":
        held = tuple(dict(each) for each in _holders(module))
        plain = {name: value for name, value in vars(module).items() if _is_plain(value)}
        return cls(module, held, plain)

    def restore(self) -> None:
        for holder, held in zip(_holders(self.module), self.held, strict=True):
            holder.clear()
            holder.update(held)
        own = vars(self.module)
        for name in [name for name, value in own.items() if _is_plain(value)]:
            if name not in self.plain:
                del own[name]
        own.update(self.plain)


def _holders(module: nn.Module) -> tuple[dict[str, Any], ...]:
    return module._parameters, module._buffers, module._modules  # noqa: SLF001


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(each, _PLAIN) for each in value)
    return isinstance(value, _PLAIN)


@dataclass(frozen=True, slots=True)
class _OptimizerState:
    optimizer: torch.optim.Optimizer
    groups: list[tuple[dict[str, Any], dict[str, Any], list[Tensor]]]
    parameters: list[_KeptTensor]
    state: list[tuple[Any, Any]]

    @classmethod
    def of(cls, optimizer: torch.optim.Optimizer, keeper: _Keeper) -> "_OptimizerState":
        groups = [
            (
                group,
                {name: keeper.keep_value(v) for name, v in group.items() if name != "params"},
                list(group["params"]),
            )
            for group in optimizer.param_groups
        ]
        parameters = [keeper.keep(each) for _, _, held in groups for each in held]
        state = [(key, keeper.keep_value(value)) for key, value in optimizer.state.items()]
        return cls(optimizer, groups, parameters, state)

    def restore(self) -> None:
        for kept in self.parameters:
            kept.put_back()
        for group, settings, held in self.groups:
            parameters = group["params"]
            parameters[:] = held
            group.clear()
            group.update({"params": parameters}, **_value_of(settings))
        self.optimizer.param_groups[:] = [group for group, _, _ in self.groups]
        self.optimizer.state.clear()
        self.optimizer.state.update({key: _value_of(value) for key, value in self.state})


@dataclass(frozen=True, slots=True)
class _ScheduleState:
    scheduler: Any
    state: Any
    lists: list[tuple[list[Any], list[Any]]]  # one number a group: their lengths are no state

    @classmethod
    def of(cls, scheduler: Any) -> "_ScheduleState":
        lists = [(each, list(each)) for _, each in lists_of(scheduler)]
        return cls(scheduler, copy.deepcopy(scheduler.state_dict()), lists)

    def restore(self) -> None:
        for held, values in self.lists:
            held[:] = values
        self.scheduler.load_state_dict(copy.deepcopy(self.state))


def lists_of(scheduler: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield the lists that a scheduler, and those inside it, keep, with their names."""
    for name, value in vars(scheduler).items():
        if isinstance(value, list):
            yield name, value
    for inner in getattr(scheduler, "_schedulers", ()):
        yield from lists_of(inner)


@dataclass(frozen=True, slots=True)
class _RandomState:
    torch: Tensor
    devices: list[Tensor]
    numpy: Any
    python: Any


def _random_state() -> _RandomState:
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    legacy = np.random.get_state()  # noqa: NPY002 what a user's script draws from
    return _RandomState(torch.get_rng_state(), devices, legacy, random.getstate())


def _set_random_state(state: _RandomState) -> None:
    torch.set_rng_state(state.torch)
    if state.devices:
        torch.cuda.set_rng_state_all(state.devices)
    np.random.set_state(state.numpy)  # noqa: NPY002
    random.setstate(state.python)
