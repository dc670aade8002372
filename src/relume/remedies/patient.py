"""What a remedy acts upon: a training between two updates."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from relume.nn.following import activation_modules
from relume.nn.registry import activation_of
from relume.observe.naming import Names
from relume.remedies.standing import Standing

_PLACE = re.compile(r" \([^()]*:\d+\)$")
_ORDINAL = re.compile(r"#\d+$")
_CALL = re.compile(r"^(\w+)\((.+)\)$")


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model was called with: the inputs of one batch.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: Any) -> "Sample":
        """Return how a batch of a loader goes into a model: its first part, or by keywords."""
        if isinstance(batch, dict):
            return cls((), dict(batch))
        return cls((batch[0] if isinstance(batch, tuple | list) else batch,))


@dataclass(frozen=True, slots=True)
class Place:
    """A layer as a finding names it.

    Args:
        module: The module of that name, or that holds the weights of that name; None for an
            activation that is called as a function.
        owner: The module whose weights feed the activation; the module itself where it has some.
        activation: The module that the activation is; None where it is called as a function.
    """

    module: nn.Module | None
    owner: nn.Module | None
    activation: nn.Module | None


class Restorable(Protocol):
    """A state that was kept: a snapshot."""

    step: int

    def restore(self) -> None:
        """Put it back."""
        ...


@dataclass(slots=True, eq=False)
class Patient:
    """A training, as far as remedies act upon it.

    Args:
        model: What is trained.
        optimizers: What updates it.
        schedulers: What moves their rates: anything with ``state_dict`` and ``load_state_dict``.
        step: Updates made so far.
        sample: Inputs of a batch of the training; None where none is known. Some actions need one.
        batches: Further inputs of the training, as ``sample``; anything that can be gone through
            more than once. None: there are no others than ``sample``.
        companions: Modules that follow the model, such as the running means of its weights.
        good: The last state known to be good, for ``roll_back``; None where there is none.
        standings: The actions that go on at present.
    """

    model: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...] = ()
    schedulers: tuple[Any, ...] = ()
    step: int = 0
    sample: Sample | None = None
    batches: Iterable[Sample] | None = None
    companions: tuple[nn.Module, ...] = ()
    good: "Restorable | None" = None
    standings: list[Standing] = field(default_factory=list)

    def before_update(self) -> None:
        """Tell the actions that go on that the optimizers are about to step."""
        for standing in self.standings:
            standing.before_update()

    def after_update(self) -> None:
        """Tell them, the last one first, that the optimizers have stepped; drop what is over."""
        for standing in reversed(self.standings):
            standing.after_update()
        for standing in [each for each in self.standings if each.is_over]:
            self.drop(standing)
        self.step += 1

    def finish(self) -> None:
        """End all actions that go on, since the training is over."""
        for standing in reversed(self.standings):
            standing.finish()
        self.standings.clear()

    def drop(self, standing: Standing) -> None:
        """End an action that goes on."""
        standing.remove()
        self.standings[:] = [each for each in self.standings if each is not standing]

    def find(self, where: str | None) -> Place | None:
        """Return the layer that a finding names; None where the model has none of that name.

        Args:
            where: ``hidden.0``, ``fc1.weight``, ``relu(fc1)``, ``relu(fc1)#2 (train.py:12)``, …

        Example:
            >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
            >>> place = Patient(model).find("1 (train.py:7)")
            >>> place.owner is model[0], place.activation is model[1]
            (True, True)
        """
        if where is None:
            return None
        name = _ORDINAL.sub("", _PLACE.sub("", where))
        by_name = self._modules_by_name()
        followers = activation_modules(self.model)
        called = _CALL.match(name)
        if called is not None:
            owner = by_name.get(called[2])
            return Place(None, owner, None) if owner is not None else None
        module = by_name.get(name) or by_name.get(name.rpartition(".")[0])
        if module is None:
            return None
        if activation_of(module) is None:
            return Place(module, module, followers.get(module))
        owners = [layer for layer, follower in followers.items() if follower is module]
        return Place(module, owners[-1] if owners else None, module)

    def _modules_by_name(self) -> dict[str, nn.Module]:
        names = Names(self.model)
        named = ((names.of_module(module), module) for module in self.model.modules())
        return {name: module for name, module in named if name}

    def parents(self, module: nn.Module) -> list[tuple[nn.Module, str]]:
        """Return each module that holds this one, and the name under which it does."""
        return [
            (parent, name)
            for parent in self.model.modules()
            for name, child in parent._modules.items()  # noqa: SLF001
            if child is module
        ]

    def replace(self, module: nn.Module, other: nn.Module) -> None:
        """Put another module in the place of one, wherever that one stands."""
        other.train(module.training)
        for parent, name in self.parents(module):
            parent._modules[name] = other  # noqa: SLF001

    def adopt(self, parameters: Iterable[nn.Parameter], beside: Tensor | None = None) -> None:
        """Have new parameters updated, in the group of another one; the last group otherwise."""
        new = list(parameters)
        if not new or not self.optimizers:
            return
        groups = [group for each in self.optimizers for group in each.param_groups]
        home = next(
            (group for group in groups if any(known is beside for known in group["params"])),
            groups[-1],
        )
        home["params"].extend(new)

    def forget(self, parameters: Iterable[Tensor]) -> None:
        """Drop what the optimizers remember of some parameters: moments, averages, step counts."""
        for optimizer in self.optimizers:
            for parameter in parameters:
                optimizer.state.pop(parameter, None)

    def moments(self, parameter: Tensor) -> list[Tensor]:
        """Return what the optimizers remember of each entry of a parameter."""
        return [
            value
            for optimizer in self.optimizers
            for value in optimizer.state.get(parameter, {}).values()
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim
        ]

    def parameters(self) -> Sequence[nn.Parameter]:
        """Return what the optimizers update, each once; without one, all of the model."""
        groups = [group for each in self.optimizers for group in each.param_groups]
        if not groups:
            return list(self.model.parameters())
        return list({id(each): each for group in groups for each in group["params"]}.values())
