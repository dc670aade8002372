"""The adding problem: which recurrent network remembers two numbers over a hundred steps?

    python examples/adding_problem.py

Each step of a sequence holds a number between 0 and 1 and a mark. Two steps are marked, one of the
first tenth and one before the middle, and the target is the sum of their numbers (Hochreiter &
Schmidhuber 1997, section 5.4): it has to be kept over at least half of the sequence. Always
answering 1 has a mean squared error of 1/6.

A ReLU network whose recurrent weights start as the identity learns it (Le, Jaitly & Hinton 2015,
arXiv:1504.00941, section 4.1). The same with tanh, on the same data with the same budget, does not.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relume


def adding_problem(
    sequences: int, steps: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sequences (N, steps, 2) of numbers and marks, and the sums of the marked numbers."""
    rng = np.random.default_rng(seed)
    numbers = rng.random((sequences, steps))
    marks = np.zeros((sequences, steps))
    rows = np.arange(sequences)
    marks[rows, rng.integers(0, steps // 10, sequences)] = 1
    marks[rows, rng.integers(steps // 10, steps // 2, sequences)] = 1
    return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1)


def write(path: Path, *, train: int, test: int, steps: int, seed: int) -> None:
    """Write an ``.npz`` file as ``relume fit`` reads it, with a test part of its own."""
    x, y = adding_problem(train + test, steps, seed)
    np.savez(
        path,
        sequences_train=x[:train],
        values_train=y[:train],
        sequences_test=x[train:],
        values_test=y[train:],
    )


def test_error(data: Path, out: Path, **options: Any) -> float:
    """Train a network, and return its mean squared error on the test part."""
    relume.fit(data, out=out, **options)
    predicted = relume.predict(out, data).frame["prediction"].to_numpy()
    with np.load(data) as file:
        return float(np.mean((predicted - file["values_test"]) ** 2))


def compare(
    *, train: int = 10_000, test: int = 2_000, steps: int = 100, seed: int = 0, **options: Any
) -> dict[str, dict[str, float]]:
    """Train the ReLU and the tanh network alike; return their test errors and CPU seconds."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "adding.npz"
        write(data, train=train, test=test, steps=steps, seed=seed)
        for activation in ("relu", "tanh"):
            started = time.process_time()
            options |= {"activation": activation, "seed": seed, "threads": 1}
            error = test_error(data, Path(folder) / activation, **options)
            found[activation] = {"mse": error, "cpu_s": time.process_time() - started}
    return found


if __name__ == "__main__":
    for activation, result in compare(epochs=30).items():
        print(f"{activation}: test mse {result['mse']:.4f} in {result['cpu_s']:.0f} CPU seconds")
    print(f"always 1: test mse {1 / 6:.4f}")
