"""The adding problem of ``examples/adding_problem.py`` on three seeds: ReLU with identity, tanh."""

import runpy
from pathlib import Path

from benchmarks.measure import keep

EXAMPLE = Path(__file__).parents[1] / "examples" / "adding_problem.py"
SEEDS = (0, 1, 2)
STEPS, TRAIN, EPOCHS = 100, 10_000, 30


def main() -> None:
    compare = runpy.run_path(str(EXAMPLE))["compare"]
    seeds = {
        str(seed): compare(train=TRAIN, steps=STEPS, seed=seed, epochs=EPOCHS) for seed in SEEDS
    }
    settings = {"steps": STEPS, "train": TRAIN, "epochs": EPOCHS}
    keep("adding_problem", {"always 1": {"mse": 1 / 6}, "settings": settings, "seeds": seeds})


if __name__ == "__main__":
    main()
