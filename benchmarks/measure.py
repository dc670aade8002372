"""Interleaved timing of variants, in CPU time of this process, and where results are kept."""

import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

RESULTS = Path(__file__).parent / "results"


def interleaved(
    variants: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Run the variants in turn, in a fresh random order each round; CPU seconds of every run."""
    rng = np.random.default_rng(0)
    names = list(variants)
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in names:  # warm up
        variants[name]()
    for _ in range(rounds):
        for index in rng.permutation(len(names)):
            started = time.process_time()
            variants[names[index]]()
            times[names[index]].append(time.process_time() - started)
    return times


def ratio(times: dict[str, list[float]], name: str, base: str) -> dict[str, float]:
    """Return the median paired ratio of two variants, with a bootstrap interval (95 %)."""
    pairs = np.array(times[name]) / np.array(times[base])
    draws = np.random.default_rng(0).choice(pairs, (2000, len(pairs)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return {"ratio": float(np.median(pairs)), "low": float(low), "high": float(high)}


def keep(name: str, result: dict[str, Any], *, is_printed: bool = True) -> None:
    """Write a result with the machine it was measured on, and print it."""
    machine = {
        "processor": platform.machine(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine} | result, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    if is_printed:
        print(f"{name}\n{text}")
