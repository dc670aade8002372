"""What a long training of a large network costs: its run file, and its report.

A run file as a watched training of 200,000 steps x 60 layers x 2,048 units leaves it, written
through the writer that trainings use: noise in every number, so that nothing can be compressed,
deaths, certificates, facts and a loss for every step. Then `relume report` makes its page in a
process of its own, of which processor time and memory are measured.

    python -m benchmarks.large_run [FOLDER]
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.measure import keep
from relume.runs.facts import LossFacts, Phase, Spread, WeightFacts
from relume.runs.loss_curve import Curve
from relume.runs.records import (
    NEVER,
    Cause,
    Deaths,
    Layer,
    LayerWindow,
    Lifetimes,
    Moments,
    RunInfo,
    Score,
    UnitActivity,
    WeightWindow,
    Window,
)
from relume.runs.store import RunWriter

MOST_FILE_BYTES = 64 << 20
MOST_PAGE_BYTES = 500_000
MOST_REPORT_S = 5.0
BATCH = 64
PERIOD = 64
WINDOW_STEPS = 256
BUCKETS = 512


@dataclass
class LargeTraining:
    """A made-up training: a few units of each layer die on the way.

    Args:
        steps: Updates.
        layers: Layers.
        units: Units of each.
        dead_share: Share of the units that die.
    """

    steps: int = 200_000
    layers: int = 60
    units: int = 2_048
    dead_share: float = 0.05
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __post_init__(self) -> None:
        shape = (self.layers, self.units)
        dies = self.rng.random(shape) < self.dead_share
        self.death = np.where(dies, self.rng.integers(1, self.steps, shape), self.steps + 1)
        self.rates = self.rng.beta(2, 4, shape) * 0.97 + 0.02

    def described(self) -> list[Layer]:
        """Return its layers."""
        return [
            Layer(
                f"relu(fc{i})",
                "relu",
                self.units,
                can_die=True,
                owner=f"fc{i}",
                place=f"train.py:{20 + i}",
            )
            for i in range(self.layers)
        ]

    def windows(self) -> Iterator[Window]:
        """Yield its windows in order."""
        for first in range(1, self.steps + 1, WINDOW_STEPS):
            last = min(first + WINDOW_STEPS - 1, self.steps)
            parts = tuple(self._layer_window(index, last) for index in range(self.layers))
            loss = Moments.of(*(2.3 * 0.99999**first + self.rng.normal(0, 0.05, last - first + 1)))
            weights = tuple(
                WeightWindow(*(Moments.of(*self.rng.random(4)) for _ in range(3)))
                for _ in range(self.layers)
            )
            armed = -(-(last - first + 1) // PERIOD)
            yield Window(first, last, armed, loss, 1e-3, parts, weights)

    def _layer_window(self, index: int, last: int) -> LayerWindow:
        rows = BATCH * WINDOW_STEPS // PERIOD
        rate = np.where(self.death[index] <= last, 0.0, self.rates[index])
        fired = self.rng.binomial(rows, rate)
        total = fired * self.rng.uniform(0.5, 1.5, self.units)
        seen = UnitActivity(rows, rows, fired, total, total**2 / rows, rows, total * 1e-3)
        return LayerWindow(
            seen, Moments.of(*self.rng.random(4)), Moments.of(*self.rng.random(4) * 1e-3)
        )

    def ends(self) -> tuple[list[Lifetimes], list[Deaths]]:
        """Return lifetimes and certificates as they stand at the end."""
        lives, deaths = [], []
        for death in self.death:
            is_dead = death <= self.steps
            fired_before = np.where(death > PERIOD, death - PERIOD, NEVER)
            last_fired = np.where(is_dead, fired_before, self.steps)
            silent = np.where(is_dead, death, NEVER)
            rows = np.where(is_dead, (self.steps - death) * BATCH // PERIOD, 0)
            cause = np.where(is_dead, self.rng.integers(2, 8, self.units), Cause.ALIVE)
            change = np.where(is_dead, self.rng.lognormal(0, 1, self.units), np.nan)
            lives.append(Lifetimes(last_fired, silent, rows))
            deaths.append(Deaths(last_fired, silent, change, cause.astype(np.int8)))
        return lives, deaths

    def facts(self) -> list[LossFacts | WeightFacts]:
        """Return what is known of its loss and its weights."""
        spread = Spread(count=4096, mean=0.0, deviation=0.02, least=-0.1, greatest=0.1)
        weights = [
            WeightFacts(
                name=f"fc{i}.weight", kind="Linear", shape=(self.units, self.units),
                is_optimised=True, rate=1e-3, armed_steps=self.steps // PERIOD,
                gradient_steps=self.steps // PERIOD, nonzero_gradient_steps=self.steps // PERIOD,
                initial=spread, final=spread, fan_in=self.units,
            )
            for i in range(self.layers)
        ]  # fmt: skip
        loss = LossFacts(
            function="cross_entropy", phase=Phase.TRAINING, place="train.py:90", step=1,
            calls=1000, rows=64_000, head=(), head_width=10, target_kind="classes",
            class_counts=(6_400,) * 10, predicted_counts=(6_400,) * 10, first_loss=2.3,
        )  # fmt: skip
        return [loss, *weights]

    def curve(self) -> Curve:
        """Return the loss of every step, in buckets."""
        losses = 0.2 + 2.1 * np.exp(-np.arange(BUCKETS) / 100) + self.rng.normal(0, 0.01, BUCKETS)
        nothing = np.zeros(BUCKETS, np.int64)
        bucket_steps = -(-self.steps // BUCKETS)
        rates = np.full(BUCKETS, 1e-3)
        return Curve(bucket_steps, losses, losses - 0.05, losses + 0.05, rates, nothing)


def write(path: Path, training: LargeTraining) -> int:
    """Write the run file of a training; return the most bytes that it ever had, log included."""
    writer = RunWriter(path)
    writer.update_info(
        RunInfo(
            kind="watch", status="finished", data={"name": "train.py"}, settings={"budget": 0.01},
            overhead={"budget": 0.01, "measured_share": 0.008, "period": PERIOD},
        )
    )  # fmt: skip
    writer.set_layers(training.described())
    writer.add_weights([f"fc{i}.weight" for i in range(training.layers)])
    log, most = path.with_name(path.name + "-wal"), 0
    for window in training.windows():
        writer.write_window(window, [])
        most = max(most, sum(each.stat().st_size for each in (path, log) if each.exists()))
    lives, deaths = training.ends()
    writer.write_window(window, lives)
    writer.write_deaths(deaths)
    writer.write_facts(training.facts())
    writer.write_curve(training.curve())
    steps = range(1, training.steps + 1, max(1, training.steps // 1000))
    writer.add_scores([Score(step, "training", 64, 1.0, 0.5) for step in steps])
    writer.close()
    return max(most, path.stat().st_size)


def report(run: Path) -> dict[str, float]:
    """Make the page of a run in a process of its own; return what that took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import resource, sys; from relume.cli import run; run(['report', sys.argv[1]]);"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    page = (run if run.is_dir() else run.parent) / "report.html"
    return {
        "cpu_s": round(spent, 2),
        "peak_memory_mb": round(int(done.stderr.split()[-1]) / 1024),
        "page_bytes": page.stat().st_size,
    }


def main(folder: Path | None = None) -> None:
    """Write the run, report it three times and keep the figures."""
    with tempfile.TemporaryDirectory() as temporary:
        path = (folder or Path(temporary)) / "run.sqlite"
        training, started_s = LargeTraining(), time.process_time()
        most = write(path, training)
        written_s = time.process_time() - started_s
        reports = [report(path.parent) for _ in range(3)]
        result = {
            "steps": training.steps,
            "layers": training.layers,
            "units": training.units,
            "file_bytes": path.stat().st_size,
            "most_file_bytes_while_written": most,
            "writing_cpu_s": round(written_s, 1),
            "reports": reports,
        }
        keep("large_run", result)
        assert most <= MOST_FILE_BYTES, most
        slowest = max(each["cpu_s"] for each in reports)
        assert slowest <= MOST_REPORT_S, slowest
        assert all(each["page_bytes"] <= MOST_PAGE_BYTES for each in reports)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
