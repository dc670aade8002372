"""Break one token of a formula, a split or the loss, and see that a test breaks.

Each mutation is made in a copy of the sources; the tests named beside it must fail there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import keep

ROOT = Path(__file__).parents[1]
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One token of one file, its replacement, and the tests that must notice."""

    what: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = (
    Mutation(
        "formula: swish",
        "nn/functional.py",
        "x * torch.sigmoid(beta * x)",
        "x * torch.sigmoid(beta + x)",
        "unit/nn/test_functional.py",
    ),
    Mutation(
        "formula: concatenated relu",
        "nn/functional.py",
        "F.relu(-x)]",
        "F.relu(x)]",
        "oracles/test_activations_against_numpy.py",
    ),
    Mutation(
        "initialisation: variance of a uniform draw",
        "nn/init.py",
        "bound = math.sqrt(3) * deviation",
        "bound = math.sqrt(2) * deviation",
        "unit/nn/test_init.py",
    ),
    Mutation(
        "split: rows of a class in order, not shuffled",
        "training/data/split.py",
        "order = shuffled[np.argsort",
        "order = np.argsort(groups)[np.argsort",
        "unit/training/data/test_split.py",
    ),
    Mutation(
        "leak: columns fitted on every row",
        "training/data/prepare.py",
        "training = cells[rows]",
        "training = cells[labelled.rows]",
        "properties/test_no_leakage.py",
    ),
    Mutation(
        "scaler: mean not taken off",
        "training/data/encoding.py",
        "np.ldexp(filled, -exponent) - np.ldexp",
        "np.ldexp(filled, -exponent) + np.ldexp",
        "oracles/test_encoding_against_sklearn.py",
    ),
    Mutation(
        "loss: squared error of a sum",
        "training/objective.py",
        'functional.mse_loss(output.squeeze(1), y, reduction="none")',
        'functional.mse_loss(output.squeeze(1), -y, reduction="none")',
        "unit/training/test_objective.py",
    ),
    Mutation(
        "loss: no label smoothing",
        "training/objective.py",
        "label_smoothing=self.label_smoothing",
        "label_smoothing=0.0",
        "unit/training/test_objective.py",
    ),
    Mutation(
        "schedule: cosine falls from half the rate",
        "training/loop.py",
        "(1.0 + math.cos(",
        "(0.0 + math.cos(",
        "unit/training/test_loop.py",
    ),
    Mutation(
        "early stopping: keeps the worst",
        "training/loop.py",
        "epoch.validation_loss < progress.best_loss",
        "epoch.validation_loss > progress.best_loss",
        "unit/training/test_loop.py",
    ),
    Mutation(
        "score: bootstrap of unpaired rows",
        "training/scores.py",
        "_interval(draws[0] - draw)",
        "_interval(draws[0] + draw)",
        "unit/training/test_scores.py",
    ),
    Mutation(
        "statistics: zero counts as firing",
        "kernels/unit_stats.py",
        "torch.gt(z, threshold",
        "torch.ge(z, threshold",
        "unit/kernels/test_unit_stats.py",
    ),
)


def is_noticed(mutation: Mutation) -> bool:
    """Whether the tests beside a mutation fail in a copy of the sources that has it.

    Raises:
        ValueError: If the text to replace is not there exactly once.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("src", "tests"):
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", copy)
        path = copy / "src" / "relume" / mutation.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutation.old) != 1:
            raise ValueError(
                f"{mutation.what}: {mutation.old!r} stands {text.count(mutation.old)}x"
            )
        path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", f"tests/{mutation.tests}", "-x", "-q"],
            cwd=copy,
            env=os.environ | UNMEASURED | {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=False,
        )
        return done.returncode == 1  # tests ran and failed; any other code is an accident


def main() -> None:
    """Run them all, and fail if one goes unnoticed."""
    noticed = {mutation.what: is_noticed(mutation) for mutation in MUTATIONS}
    keep("mutations", {"noticed": noticed, "of": len(noticed), "caught": sum(noticed.values())})
    if not all(noticed.values()):
        raise SystemExit("a mutation went unnoticed")


if __name__ == "__main__":
    main()
