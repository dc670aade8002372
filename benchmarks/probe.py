"""What recording costs: the same training bare, recorded, and bare once more as a control."""

import tempfile
from pathlib import Path

import torch

from benchmarks.measure import interleaved, keep, ratio
from relume.monitor import Monitor
from relume.nn.networks import build_network
from relume.observe.schedule import every
from relume.runs.store import RunWriter

STEPS = 100

NETWORKS = {
    "mlp 64-256-128-10, batch 32": (
        "mlp",
        {"inputs": 64, "hidden": [256, 128], "outputs": 10},
        (32, 64),
    ),
    "mlp 784-256-256-10, batch 128": (
        "mlp",
        {"inputs": 784, "hidden": [256, 256], "outputs": 10},
        (128, 784),
    ),
    "cnn 28x28, batch 64": (
        "cnn",
        {"channels_in": 1, "image_size": [28, 28], "outputs": 10, "channels": [16, 32]},
        (64, 1, 28, 28),
    ),
}


class Training:
    """One network that can be trained for some steps, recorded every ``period`` steps or not."""

    def __init__(self, network: str, arguments: dict[str, object], shape: tuple[int, ...]) -> None:
        torch.manual_seed(0)
        self.model = build_network(network, arguments)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.x, self.y = torch.randn(shape), torch.randint(10, shape[:1])
        self.step = 0

    def run(self, period: int | None) -> None:
        """Train for some steps, recording every ``period``-th, or none."""
        with tempfile.TemporaryDirectory() as folder:
            writer = RunWriter(Path(folder) / "run.sqlite")
            if period:
                self._run_recorded(writer, period)
            else:
                for _ in range(STEPS):
                    self._pass()
                    self.optimizer.step()
            writer.close()

    def _run_recorded(self, writer: RunWriter, period: int) -> None:
        armed = every(period, first=0)
        monitor = Monitor(self.model, writer, armed=armed, window_steps=50, example=self.x[:2])
        with monitor.watching():
            for _ in range(STEPS):
                self.step += 1
                with monitor.step(self.step):
                    self._pass()
                    monitor.before_update()
                    self.optimizer.step()
                    monitor.after_update(self.step, 0.0, 1e-3)
        assert monitor.fault is None, monitor.fault

    def _pass(self) -> None:
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.model(self.x), self.y).backward()


def main(rounds: int = 30) -> None:
    torch.set_num_threads(1)
    result = {}
    for name, (network, arguments, shape) in NETWORKS.items():
        training = Training(network, arguments, shape)
        variants = {
            "bare": lambda training=training: training.run(None),
            "control": lambda training=training: training.run(None),
            "every 10th step": lambda training=training: training.run(10),
            "every step": lambda training=training: training.run(1),
        }
        times = interleaved(variants, rounds)
        result[name] = {each: ratio(times, each, "bare") for each in list(variants)[1:]}
    keep("probe", {"steps a run": STEPS, "rounds": rounds, "CPU time over bare": result})


if __name__ == "__main__":
    main()
