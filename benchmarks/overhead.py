"""What watching costs: CPU time of training steps, watched and bare in turn in one process.

    python -m benchmarks.overhead

Beside us, where they can be imported, what others do: ``wandb.watch`` (offline, every 10 steps),
TensorBoard histograms of the activations every 10 steps, and torchdiag every 10. All run blocks of
steps in turn, ours and the bare ones on one network: two that are alike differ by 1 % with where
they lie in memory. Peers leave hooks behind and get a network of their own, with the same start.
A second bare block is the control. The figure is the mean difference of a block to the mean of the
two bare blocks of its round, over the median of these, with a bootstrap interval (95 %); that of
the control is to the bare block. Before every block torch is patched and put back once, so that all
begin alike. Differences far off (a disturbed block) are drawn in to the bounds of ``FAR``; what an
armed step costs is well within.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.measure import keep
from relume.observe.intercept import Interception, Switch
from relume.observe.recorder import Recorder
from relume.runs.store import RunWriter

Watcher = Callable[["Training"], tuple[Callable[[], None], Callable[[], None]]]
"""From a training to what is called before and after each of its blocks."""


class Transformer(nn.Module):
    """A small encoder over words."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True)
        self.embedding = nn.Embedding(1000, 64)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (rows, 10) of words (rows, length)."""
        return self.head(self.encoder(self.embedding(x)).mean(1))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.Tensor], int]] = {
    "mlp 784-256-256-10, batch 128": (mlp, lambda: torch.randn(128, 784), 120),
    "cnn 28x28, batch 64": (cnn, lambda: torch.randn(64, 1, 28, 28), 32),
    "transformer 2x64, batch 32x32": (Transformer, lambda: torch.randint(1000, (32, 32)), 32),
}


class Training:
    """One network, its optimizer, its batch, and the step that everybody writes."""

    def __init__(self, build: Callable[[], nn.Module], batch: Callable[[], torch.Tensor]) -> None:
        torch.manual_seed(0)
        self.model = build()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        self.x = batch()
        self.y = torch.randint(10, (len(self.x),))
        self.steps = 0
        self.after_step: Callable[[float], None] = lambda _: None

    def run(self, steps: int) -> float:
        """Train for some steps; CPU seconds."""
        began_s = time.process_time()
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = cross_entropy(self.model(self.x), self.y)
            loss.backward()
            self.optimizer.step()
            self.steps += 1
            self.after_step(loss)  # type: ignore[arg-type]
        return time.process_time() - began_s


NUMBERS = count()
WARM_STEPS = 5
"""Not timed, in every variant: a real run puts its patches in place once, not once a block."""
FAR = 4.0
"""Robust standard deviations (1.4826 median absolute deviations) from the median."""


def nothing() -> None:
    """Do nothing."""


def unsettle() -> None:
    """Patch torch's functions and put them back."""
    interception = Interception(Switch())
    interception.install()
    interception.remove()


def bare(_: Training) -> tuple[Callable[[], None], Callable[[], None]]:
    return nothing, nothing


class Relume:
    """Watches with these settings; ``recorder`` is there once it was asked to."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / f"{next(NUMBERS)}.sqlite"
        self.settings = settings

    def __call__(self, training: Training) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return what begins and pauses watching."""
        self.recorder = Recorder(
            lambda: RunWriter(self.path), model=training.model, **self.settings
        )
        return self.recorder.start, self.recorder.pause


def wandb_watch(training: Training) -> tuple[Callable[[], None], Callable[[], None]]:
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    import wandb

    run = wandb.init(dir=tempfile.mkdtemp(), project="overhead")
    run.watch(training.model, log="all", log_freq=10)
    training.after_step = lambda loss: run.log({"loss": loss.item()})  # type: ignore[attr-defined]
    return nothing, nothing


def tensorboard(training: Training) -> tuple[Callable[[], None], Callable[[], None]]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tempfile.mkdtemp())
    kept: dict[str, torch.Tensor] = {}
    for name, module in training.model.named_modules():
        if isinstance(module, nn.ReLU | nn.Linear):
            module.register_forward_hook(
                lambda _m, _i, out, name=name: (
                    kept.__setitem__(name, out.detach()) if training.steps % 10 == 0 else None
                )
            )

    def after(_: float) -> None:
        for name, value in kept.items():
            writer.add_histogram(name, value, training.steps)
        kept.clear()

    training.after_step = after
    return nothing, nothing


def torchdiag(training: Training) -> tuple[Callable[[], None], Callable[[], None]]:
    from torchdiag import check_dead_neurons, check_gradients

    def after(_: float) -> None:
        if training.steps % 10 == 0:
            with redirect_stdout(io.StringIO()):
                check_gradients(training.model)
                check_dead_neurons(training.model, training.x)

    training.after_step = after
    return nothing, nothing


PEERS: dict[str, Watcher] = {
    "wandb.watch every 10": wandb_watch,
    "TensorBoard histograms every 10": tensorboard,
    "torchdiag every 10": torchdiag,
}


def measured(
    name: str, watchers: dict[str, Watcher], *, rounds: int, least_armed: int
) -> dict[str, Any]:
    """Run all variants in turn until enough rounds and armed steps of the default budget."""
    build, batch, steps = NETWORKS[name]
    shared = Training(build, batch)
    trainings = {each: Training(build, batch) if each in PEERS else shared for each in watchers}
    around = {}
    for each in list(watchers):
        try:
            around[each] = watchers[each](trainings[each])
        except ImportError as error:
            print(f"{each}: not measured ({error})", flush=True)
    times: dict[str, list[float]] = {each: [] for each in around}
    rng = np.random.default_rng(0)
    ours = [each for each in watchers.values() if isinstance(each, Relume)]
    watched = ours[0].recorder  # the default budget
    while len(times["bare"]) < rounds or watched.armed_steps < least_armed:
        for index in rng.permutation(len(around)):
            each = list(around)[index]
            before, after = around[each]
            unsettle()
            before()
            trainings[each].run(WARM_STEPS)
            times[each].append(trainings[each].run(steps))
            after()
    result: dict[str, Any] = {each: more(times, each) for each in times if each != "bare"}
    result["armed steps"] = watched.armed_steps
    result["steps"] = watched.steps
    result["last period"] = watched.plan.period
    result["rounds"] = len(times["bare"])
    for each in ours:
        if each.recorder.fault is not None:
            raise each.recorder.fault
    return result


def more(times: dict[str, list[float]], name: str) -> dict[str, float]:
    """Return how much more than the bare ones a variant took; shares."""
    timed = {each: np.array(values[1:]) for each, values in times.items()}  # the first one warms up
    base = timed["bare"] if name == "control" else (timed["bare"] + timed["control"]) / 2
    pairs = (timed[name] - base) / np.median(base)
    middle = np.median(pairs)
    reach = FAR * 1.4826 * np.median(abs(pairs - middle))
    pairs = pairs.clip(middle - reach, middle + reach)
    draws = np.random.default_rng(0).choice(pairs, (2000, len(pairs))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    figures = {"more": pairs.mean(), "low": low, "high": high}
    return {name: round(float(figure), 4) for name, figure in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--armed", type=int, default=100, help="least armed steps of the budget")
    parser.add_argument("--only", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--budget-only", action="store_true", help="and many rounds of it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only:
            watchers: dict[str, Watcher] = {
                "bare": bare,
                "control": bare,
                "default budget": Relume(Path(folder)),
                "every step, units": Relume(Path(folder), period=1, is_full=False),
                "every step, all": Relume(Path(folder), period=1),
            }
            if given.budget_only:
                watchers = dict(list(watchers.items())[:3])
            elif not given.no_peers:
                watchers |= PEERS
            result[name] = measured(name, watchers, rounds=given.rounds, least_armed=given.armed)
            print(name, result[name], flush=True)
        with suppress(ImportError):
            import wandb

            wandb.finish()
    keep(
        "overhead_budget" if given.budget_only else "overhead", {"CPU time more than bare": result}
    )


if __name__ == "__main__":
    main()
