"""Repairs rebuilt from AutoTrainer (Zhang et al. 2021), in the order that it publishes.

Each problem has a list of repairs. A try changes the script and trains from the start; it counts
as a success when the detector (``rebuilt_autotrainer.py``) no longer names the problem, which is
AutoTrainer's own measure and no proof. What helped is kept; problems that show up then are next, by
their priority. Sizes that its papers leave open are chosen here as they are most often meant:
initialisers are He's, Glorot's and orthogonal, rates change tenfold, batches double.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from benchmarks.clinic.cases import Case
from benchmarks.clinic.gan_loop import train_gan
from benchmarks.clinic.loop import train
from benchmarks.clinic.networks import hidden_of
from benchmarks.clinic.recipe import Recipe
from benchmarks.clinic.rival_watching import Together, Watcher
from benchmarks.clinic.session import Session, set_up, task_of

MOST_ROUNDS = 10
PRIORITY = ("data", "activation", "loss", "vanish", "explode", "relu", "not_converge", "unstable")

HIDDEN = frozenset(
    {"relu", "relu_", "leaky_relu", "elu", "selu", "gelu", "silu", "prelu", "softplus", "tanh",
     "sigmoid"}
)  # fmt: skip
HEADS = HIDDEN | {"softmax", "log_softmax"}


@dataclass(frozen=True, slots=True)
class Repair:
    """One change of a script.

    Args:
        name: In words.
        recipe: What becomes of its recipe.
        session: What is done to the session that was set up.
        swap: What its hidden activations are replaced by.
        is_head_plain: Whether the activation of the head is taken away.
    """

    name: str
    recipe: Callable[[Recipe], Recipe] = lambda recipe: recipe
    session: Callable[[Session], None] = lambda _: None
    swap: Callable[[Tensor], Tensor] | None = None
    is_head_plain: bool = False


class _Swapped(TorchFunctionMode):
    """Replaces activations where they are called; those of the head are told by their width."""

    def __init__(self, repairs: Sequence[Repair], outputs: int) -> None:
        super().__init__()
        swaps = [repair.swap for repair in repairs if repair.swap is not None]
        self.swap = swaps[-1] if swaps else None
        self.is_head_plain = any(repair.is_head_plain for repair in repairs)
        self.outputs = outputs
        self.is_inside = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name not in HEADS or self.is_inside or not args or not isinstance(args[0], Tensor):
            return func(*args, **(kwargs or {}))
        if args[0].shape[-1] == self.outputs and args[0].ndim == 2:
            return args[0] if self.is_head_plain else func(*args, **(kwargs or {}))
        if self.swap is None or name not in HIDDEN:
            return func(*args, **(kwargs or {}))
        self.is_inside = True
        try:
            return self.swap(args[0])
        finally:
            self.is_inside = False


def _normalise(session: Session) -> None:
    """Add batch norm behind every hidden layer."""
    for layer in hidden_of(session.model):
        is_dense = isinstance(layer, nn.Linear)
        norm = (nn.BatchNorm1d if is_dense else nn.BatchNorm2d)(len(layer.weight))
        session.optimizer.add_param_group({"params": list(norm.parameters())})
        layer.register_forward_hook(lambda _m, _i, out, norm=norm: _normalised(norm, out))
        session.model.register_forward_pre_hook(
            lambda model, _, norm=norm: norm.train(model.training) and None
        )


def _normalised(norm: nn.Module, out: Tensor) -> Tensor:
    if isinstance(norm, nn.BatchNorm1d) and out.ndim > 2:
        return norm(out.flatten(0, -2)).reshape(out.shape)
    return norm(out) if len(out) > 1 or not norm.training else out


def _clip(most: float) -> Callable[[Session], None]:
    def change(session: Session) -> None:
        for weight in session.model.parameters():
            if weight.requires_grad:
                weight.register_hook(lambda gradient: gradient.clamp(-most, most))

    return change


def _initialise(draw: Callable[[Tensor], Tensor]) -> Callable[[Session], None]:
    @torch.no_grad()
    def change(session: Session) -> None:
        for layer in hidden_of(session.model):
            draw(layer.weight)
            if layer.bias is not None:
                layer.bias.zero_()

    return change


def _standardise(session: Session) -> None:
    """Bring the inputs to mean 0 and deviation 1, feature by feature."""
    x = session.task.train.x
    if not x.is_floating_point():
        return
    spread = x.std(0).clamp_min(1e-8)
    mean = x.mean(0)
    session.model.register_forward_pre_hook(lambda _, given: ((given[0] - mean) / spread,))


def _add_noise(session: Session) -> None:
    session.model.register_forward_pre_hook(
        lambda model, given: (
            (given[0] + 0.1 * torch.randn_like(given[0]),)
            if model.training and given[0].is_floating_point()
            else None
        )
    )


def _rate(times: float) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, rate=recipe.rate * times)


_SELU = Repair("selu", swap=functional.selu)
_RELU = Repair("relu", swap=functional.relu)
_TANH = Repair("tanh", swap=torch.tanh)
_NORM = Repair("batch norm", session=_normalise)
_CLIPS = tuple(Repair(f"clip at {most:g}", session=_clip(most)) for most in (10.0, 1.0))
_DRAWS = tuple(
    Repair(name, session=_initialise(draw))
    for name, draw in (
        ("He initialisation", nn.init.kaiming_normal_),
        ("Glorot initialisation", nn.init.xavier_uniform_),
        ("orthogonal initialisation", nn.init.orthogonal_),
    )
)
_LEAKS = tuple(
    Repair(f"leak {slope:g}", swap=lambda z, slope=slope: functional.leaky_relu(z, slope))
    for slope in (0.01, 0.1, 0.3)
)
_OPTIMIZERS = tuple(
    Repair(name, recipe=lambda recipe, name=name: replace(recipe, optimizer=name))
    for name in ("adam", "nadam", "sgd")
)
_SLOWER = tuple(Repair(f"rate x {times:g}", recipe=_rate(times)) for times in (0.1, 0.01, 1e-3))
_FASTER = tuple(Repair(f"rate x {times:g}", recipe=_rate(times)) for times in (10, 0.1, 0.01))
_FADING = Repair("falling rate", recipe=lambda recipe: replace(recipe, schedule="steps"))
_BATCHES = tuple(
    Repair(f"batch x {times}", recipe=lambda r, times=times: replace(r, batch=r.batch * times))
    for times in (2, 4, 8, 16)
)
_MOMENTA = tuple(
    Repair(f"momentum {size:g}", recipe=lambda r, size=size: replace(r, momentum=size))
    for size in (0.5, 0.9, 0.99)
)

ORDER: Mapping[str, tuple[Repair, ...]] = {
    "data": (Repair("normalise the data", session=_standardise),),
    "activation": (Repair("head without activation", is_head_plain=True),),
    "loss": (
        Repair("the loss for the task", recipe=lambda recipe: replace(recipe, loss="standard")),
    ),
    "vanish": (_SELU, _RELU, _NORM),
    "explode": (_SELU, _RELU, *_CLIPS, _TANH, _NORM),
    "relu": (_SELU, _NORM, *_DRAWS, *_LEAKS),
    "unstable": (
        _OPTIMIZERS[0], *_SLOWER, _FADING, *_BATCHES, *_MOMENTA,
        Repair("Gaussian noise", session=_add_noise), *_DRAWS,
    ),
    "not_converge": (*_OPTIMIZERS, *_FASTER, *_DRAWS),
}  # fmt: skip
"""By problem: what is tried, in this order."""


def trained(case: Case, repairs: Sequence[Repair], watchers: Sequence[Watcher] = ()) -> float:
    """Train a case with these repairs; return the last validation score, 0 where it broke off."""
    recipe = case.recipe
    for repair in repairs:
        recipe = repair.recipe(recipe)
    session = set_up(case, recipe, task_of(case, recipe))
    for repair in repairs:
        repair.session(session)
    loop = train_gan if session.task.kind == "generated" else train
    with _swapped(repairs, session.task.outputs):
        try:
            history = loop(session, Together(watchers))
        except (RuntimeError, ValueError, IndexError):  # what torch says of some faults
            return 0.0
    return history.valid_scores[-1] if history.valid_scores else 0.0


@contextmanager
def _swapped(repairs: Sequence[Repair], outputs: int) -> Iterator[None]:
    is_wanted = any(repair.swap is not None or repair.is_head_plain for repair in repairs)
    with _Swapped(repairs, outputs) if is_wanted else nullcontext():
        yield


@dataclass(frozen=True, slots=True)
class Repaired:
    """What came of a training in AutoTrainer's hands.

    Args:
        repairs: What was kept.
        named: Problems that were named at first.
        left: Problems that are still named.
        trainings: How many it took.
    """

    repairs: tuple[Repair, ...]
    named: tuple[str, ...]
    left: tuple[str, ...]
    trainings: int


def repair(case: Case, watcher: Callable[[Case], Watcher]) -> Repaired:
    """Repair a training until nothing is named, or nothing is left to try."""

    def problems(repairs: Sequence[Repair]) -> tuple[str, ...]:
        watching = watcher(case)
        trained(case, repairs, [watching])
        return tuple(name for name in PRIORITY if name in watching.reports)

    kept: tuple[Repair, ...] = ()
    named = left = problems(kept)
    trainings, given_up = 1, set[str]()
    for _ in range(MOST_ROUNDS):
        problem = next((name for name in left if name not in given_up), None)
        if problem is None:
            break
        for each in ORDER[problem]:
            found = problems((*kept, each))
            trainings += 1
            if problem not in found:
                kept, left = (*kept, each), found
                break
        else:
            given_up.add(problem)
    return Repaired(kept, named, left, trainings)
