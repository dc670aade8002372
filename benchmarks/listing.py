"""What a list of a thousand runs costs: CPU seconds of ``relume ls`` in its forms.

``python -m benchmarks.listing`` writes ``benchmarks/results/listing.json``. The runs are one small
training, recorded by ``relume run``, a thousand times.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.start_up import cpu_of

RUNS = 1000
FORMS = {
    "newest 50": ["ls"],
    "newest 50, quick": ["ls", "--quick"],
    "all, quick": ["ls", "--most", "0", "--quick"],
}
SCRIPT = """
import torch
from torch import nn
x = torch.randn(2000, 20)
model = nn.Sequential(
    nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 3)
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(600):
    rows = torch.randint(0, 2000, (64,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x[rows]), rows % 3).backward()
    optimizer.step()
"""


def main() -> None:
    """Measure, and keep the result."""
    from benchmarks.measure import keep

    relume = [sys.executable, "-m", "relume"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(SCRIPT)
        watch = [*relume, "run", "--quiet", "--no-report", "--every", "10", "train.py"]
        subprocess.run(watch, cwd=folder, check=True)
        run = (folder / "relume-train" / "run.sqlite").read_bytes()
        for number in range(1, RUNS):
            (folder / f"run-{number}").mkdir()
            (folder / f"run-{number}" / "run.sqlite").write_bytes(run)
        spent = {form: cpu_of([*relume, *options], folder) for form, options in FORMS.items()}
    keep("listing", {"runs": RUNS, "bytes_each": len(run), "cpu_s": spent})


if __name__ == "__main__":
    main()
