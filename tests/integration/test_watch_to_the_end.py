"""``relume.watch()`` alone, as in a notebook: it begins, and ends with the program."""

import os
import subprocess
import sys

import pytest

from relume.runs.query import read_run
from relume.runs.summary import summarise_layers

SCRIPT = """
import torch, relume
relume.watch(out="seen")
torch.manual_seed(0)
layer = torch.nn.Linear(3, 4)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
for _ in range(5):
    optimizer.zero_grad()
    torch.relu(layer(torch.randn(8, 3))).sum().backward()
    optimizer.step()
print("done")
"""


@pytest.mark.parametrize("native", ["0", "1"])
def test_it_records_to_the_end_of_the_program(tmp_path, native):
    (tmp_path / "train.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "RELUME_NATIVE": native}, timeout=120,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    run = read_run(tmp_path / "seen")
    assert (run.info.status, run.last_step, run.layers[0].place) == ("finished", 5, "train.py:9")
    assert (run.lifetimes[0].last_fired > 0).all()  # 8 rows, 4 units that fire on half of them
    assert summarise_layers(run)[0].dead_units == ()
    assert (tmp_path / "seen" / "report.html").stat().st_size > 10_000
