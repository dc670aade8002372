"""Deaths planted by each cause, at the default budget: found, dated and named or not.

``python -m benchmarks.planted`` prints a table over many seeds. Every training is real: a dense
network learns a task, k units are killed by one cause at a random step, and the certificates are
held against what was done.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import relume
from benchmarks.measure import keep
from relume.runs.records import NEVER, Cause, Deaths

STEPS = 700
UNITS = 32
INPUTS = 10
ROWS = 256
SITES = ("1", "3")
SOON = 25
"""Steps between the looks that are taken at the truth after the deed."""
RARE = 0.02
"""Units that fire on fewer rows are left out: in a batch they may be silent without being dead."""
MOST_OFF = 50.0
"""A date may be off by these steps: the larger of 50 and 1 % of the run."""


@dataclass
class Plan:
    """One training, and what is done to it.

    Args:
        seed: Of everything random.
        cause: What the units die of.
        optimizer: ``sgd`` or ``adam``.

    Attributes:
        at: The step of the deed: the update of that step kills, or its inputs have drifted.
    """

    seed: int
    cause: Cause
    optimizer: str = "sgd"
    at: int = field(init=False)

    def __post_init__(self) -> None:
        self.at = int(np.random.default_rng(self.seed).integers(150, STEPS - 150))


@dataclass
class Verdict:
    """What the certificates say, beside the truth.

    Attributes:
        dead: Units that the deed killed, told on many fresh rows: the truth.
        found: Those of them that the run calls silent at its end.
        invented: Units that it calls silent on n rows, though they fire on more than 10/n;
            of the rows, those after the deed.
        dated: Those found whose date is within the bar.
        named: Those found whose cause is the planted one.
        unknown: Those found of which no cause is said.
        off: The largest error of a date, in steps.
    """

    dead: int = 0
    found: int = 0
    invented: int = 0
    dated: int = 0
    named: int = 0
    unknown: int = 0
    off: float = 0.0
    false: list[str] = field(default_factory=list)

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.dead + other.dead,
            self.found + other.found,
            self.invented + other.invented,
            self.dated + other.dated,
            self.named + other.named,
            self.unknown + other.unknown,
            max(self.off, other.off),
            self.false + other.false,
        )


Rates = NDArray[np.float64]


class Training:
    """A dense network of two hidden layers that learns which of three sums is largest."""

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.net = nn.Sequential(
            nn.Linear(INPUTS, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU(),
            nn.Linear(UNITS, 3),
        )  # fmt: skip
        self.teacher = torch.randn(INPUTS, 3)
        rate = {"sgd": 0.05, "adam": 0.002}[plan.optimizer]
        make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[plan.optimizer]
        self.optimizer = make(self.net.parameters(), lr=rate)
        self.rate = rate
        self.shift = 0.0
        self.before: list[Rates] = []
        self.checks: list[list[Rates]] = []
        generator = np.random.default_rng(plan.seed + 1000)
        self.doomed = torch.as_tensor(generator.choice(UNITS, 6, replace=False))
        if plan.cause is Cause.FROM_START:
            with torch.no_grad():
                self.net[2].bias[self.doomed] = -100.0

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return fresh rows and their classes."""
        x = torch.randn(ROWS, INPUTS).abs()
        return x + self.shift, (x @ self.teacher).argmax(1)

    def run(self) -> None:
        """Train, and do the deed on the way."""
        for step in range(1, STEPS + 1):
            if step == self.plan.at:
                self.before = self.rates()
            elif step > self.plan.at and (step - self.plan.at) % SOON == 0:
                self.checks.append(self.rates())
            DEEDS.get(self.plan.cause, _nothing)(self, step)
            x, y = self.batch()
            bad = step == self.plan.at and self.plan.cause is Cause.GRADIENT_SPIKE
            loss = functional.cross_entropy(self.net(x), y) * (4000.0 if bad else 1.0)
            if bad and self.plan.optimizer == "adam":
                loss = loss * 100
            self.optimizer.zero_grad()
            loss.backward()
            if step == self.plan.at and self.plan.cause is Cause.LARGE_UPDATE:
                self._plant(self.net[2], self.doomed)
            if step == self.plan.at and self.plan.cause is Cause.UPSTREAM_DEATH:
                self._plant(self.net[0], torch.arange(UNITS))
            self.optimizer.step()

    def _plant(self, layer: nn.Linear, units: Tensor) -> None:
        """Let the next update move the rows of some units far to where they never fire."""
        with torch.no_grad():
            layer.bias.grad[units] = 50.0 / self.rate
            if self.plan.optimizer == "adam":  # which divides by the gradients that it has seen
                state = self.optimizer.state[layer.bias]
                state["exp_avg_sq"][units] = 0.0
                layer.bias.grad[units] = 0.0
                state["exp_avg"][units] = 1e-3

    def rates(self) -> list[Rates]:
        """Return how often each unit fires on fresh rows; out of the watch's sight."""
        fresh = np.random.default_rng(0).standard_normal((20_000, INPUTS))
        h = np.abs(fresh) + self.shift
        found = []
        for layer in (self.net[0], self.net[2]):
            weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
            h = np.maximum(h @ weight.T + bias, 0.0)
            found.append((h > 0).mean(0))
        return found

    def always_silent(self) -> list[set[int]]:
        """Return which units of each site fired on no fresh row from soon after the deed on."""
        looks = [*self.checks, self.rates()]
        return [_units(sum(look[site] for look in looks) == 0) for site in range(len(SITES))]

    def killed(self) -> list[set[int]]:
        """Return the units that the deed killed: they fired before, and never soon after."""
        after = self.always_silent()
        if self.plan.cause is Cause.FROM_START:
            return [set(), after[1] & set(self.doomed.tolist())]
        fired = [_units(rate >= RARE) for rate in self.before]
        return [before & silent for before, silent in zip(fired, after, strict=True)]

    def least_rates(self) -> list[Rates]:
        """Return how often each unit fires at least, at the looks of the last 100 steps."""
        looks = [*self.checks[-5:], self.rates()]
        return [np.minimum.reduce([look[site] for look in looks]) for site in range(len(SITES))]


def _units(chosen: NDArray[np.bool_]) -> set[int]:
    return {int(unit) for unit in np.flatnonzero(chosen)}


def _nothing(training: Training, step: int) -> None:
    """Leave the training alone."""


def _jump(training: Training, step: int) -> None:
    """Multiply the rate by 100: for one step, or with odd seeds from one step on for ten."""
    length = 10 if training.plan.seed % 2 else 1
    is_high = training.plan.at <= step < training.plan.at + length
    for group in training.optimizer.param_groups:
        group["lr"] = training.rate * (100 if is_high else 1)


def _drift(training: Training, step: int) -> None:
    """Shift the inputs by many deviations."""
    training.shift = 12.0 if step >= training.plan.at else 0.0


DEEDS: dict[Cause, Callable[[Training, int], None]] = {
    Cause.RATE_STEP: _jump,
    Cause.INPUT_DRIFT: _drift,
}


def judge(plan: Plan, folder: Path) -> Verdict:
    """Run a plan under a watch at the default budget, and hold the record against the truth."""
    training = Training(plan)
    with relume.watch(training.net, out=folder, report=False) as watch:
        training.run()
    if watch.fault is not None:
        raise watch.fault
    run, verdict = watch.run, Verdict()
    killed, rates = training.killed(), training.least_rates()
    is_fed_nothing = len(training.always_silent()[0]) == UNITS
    for index, name in enumerate(SITES):
        site = next(i for i, layer in enumerate(run.layers) if layer.name == name)
        lives = run.lifetimes[site]
        said = _units(lives.first_silent != NEVER)
        verdict.dead += len(killed[index])
        verdict.found += len(killed[index] & said)
        after = [window for window in run.windows if window.first_step >= plan.at]
        rows = sum(window.layers[site].activity.rows for window in after)
        chances = rates[index] * np.minimum(lives.silent_rows, rows)
        verdict.invented += sum(bool(chances[unit] > 10) for unit in said)
        expected = _expected(plan, index, is_fed_nothing=is_fed_nothing)
        for unit in killed[index] & said:
            _judge_unit(plan, expected, (run.deaths[site], unit), verdict)
    return verdict


def _expected(plan: Plan, index: int, *, is_fed_nothing: bool) -> set[Cause]:
    """Return the causes that are right for the units of a site."""
    if plan.cause is Cause.UPSTREAM_DEATH and index == 0:
        return {Cause.LARGE_UPDATE}
    if is_fed_nothing and index == 1:
        return {plan.cause, Cause.UPSTREAM_DEATH}
    return {plan.cause}


def _judge_unit(
    plan: Plan, expected: set[Cause], which: tuple[Deaths, int], verdict: Verdict
) -> None:
    deaths, unit = which
    cause = Cause(int(deaths.cause[unit]))
    verdict.named += cause in expected
    verdict.unknown += cause is Cause.UNKNOWN
    if cause not in {*expected, Cause.UNKNOWN}:
        verdict.false.append(f"{plan.cause.name}->{cause.name}")
    first, last = int(deaths.first_silent[unit]), int(deaths.last_fired[unit])
    date = first if last == NEVER else (first + last) / 2
    off = abs(date - (1 if plan.cause is Cause.FROM_START else plan.at))
    verdict.dated += off <= MOST_OFF
    verdict.off = max(verdict.off, float(off))


CAUSES = (
    Cause.LARGE_UPDATE,
    Cause.GRADIENT_SPIKE,
    Cause.RATE_STEP,
    Cause.INPUT_DRIFT,
    Cause.FROM_START,
    Cause.UPSTREAM_DEATH,
)


def plans(seeds: range) -> Iterator[Plan]:
    """Yield every cause with every seed; the optimizers take turns."""
    for cause in CAUSES:
        for seed in seeds:
            yield Plan(seed, cause, ("sgd", "adam")[seed // 2 % 2])


def main() -> None:
    """Print a table over 20 seeds of each cause."""
    rows = {}
    for cause in CAUSES:
        total = Verdict()
        for plan in plans(range(20)):
            if plan.cause is cause:
                with tempfile.TemporaryDirectory() as folder:
                    total += judge(plan, Path(folder) / "run")
        rows[cause.name] = vars(total)
        print(cause.name, vars(total), flush=True)
    keep("planted", rows)


if __name__ == "__main__":
    main()
