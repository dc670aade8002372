"""What the per-unit sums cost: the C extension beside torch operations, relu and one plain read."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import interleaved, keep, ratio
from relume.kernels.unit_sums import IS_NATIVE, UnitSums

VALUES_A_RUN = 2_000_000  # calls are repeated until they have read about so many values

SHAPES: dict[str, Callable[[], Tensor]] = {
    "32x64": lambda: torch.randn(32, 64),
    "128x256": lambda: torch.randn(128, 256),
    "128x256 bfloat16": lambda: torch.randn(128, 256).bfloat16(),
    "128x256 float16": lambda: torch.randn(128, 256).half(),
    "128x256 float64": lambda: torch.randn(128, 256).double(),
    "128x256 transposed": lambda: torch.randn(256, 128).t(),
    "1024x256": lambda: torch.randn(1024, 256),
    "128x4096": lambda: torch.randn(128, 4096),
    "64x16x28x28": lambda: torch.randn(64, 16, 28, 28),
    "64x16x28x28 channels last": lambda: torch.randn(64, 16, 28, 28).to(
        memory_format=torch.channels_last
    ),
    "64x32x14x14": lambda: torch.randn(64, 32, 14, 14),
    "2x64x28x28": lambda: torch.randn(2, 64, 28, 28),
}
AXIS = 1


def variants(z: Tensor, ours: UnitSums, torchs: UnitSums) -> dict[str, Callable[[], object]]:
    """What is timed on one tensor, each call by itself."""
    a = torch.relu(z)
    return {
        "read once": lambda: torch.sum(a),
        "relu": lambda: torch.relu(z),
        "forward, native": lambda: ours.add_output_above(a, AXIS),
        "forward, torch": lambda: torchs.add_output_above(a, AXIS),
        "backward, native": lambda: ours.add_gradient(z, AXIS),
        "backward, torch": lambda: torchs.add_gradient(z, AXIS),
    }


def measure(z: Tensor, rounds: int, values_a_run: int = VALUES_A_RUN) -> dict[str, object]:
    """Return the median microseconds of each call, and ratios of what was timed side by side."""
    repeats = max(1, values_a_run // z.numel())

    def repeated(call: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(repeats):
                call()

        return run

    units = z.shape[AXIS]
    calls = variants(z, UnitSums(units), UnitSums(units, native=False))
    times = interleaved({name: repeated(call) for name, call in calls.items()}, rounds)
    return {
        "microseconds": {
            name: round(float(np.median(runs)) / repeats * 1e6, 2) for name, runs in times.items()
        },
        "forward, native over torch": ratio(times, "forward, native", "forward, torch"),
        "backward, native over torch": ratio(times, "backward, native", "backward, torch"),
        "forward, native over relu": ratio(times, "forward, native", "relu"),
        "forward, native over one read": ratio(times, "forward, native", "read once"),
    }


def main(rounds: int = 40) -> None:
    assert IS_NATIVE, "run `make setup` with a C compiler first"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results = {name: measure(make(), rounds) for name, make in SHAPES.items()}
    keep("kernels", {"rounds": rounds, "shapes": results})


if __name__ == "__main__":
    main()
