"""A script of one's own in a real process: Ctrl-C, its exit code, the report of what there is."""

import os
import signal
import subprocess
import sys

from relume.runs.query import read_run
from tests.integration.command_line import last_step, relume, send, wait_for

SCRIPT = """
import sys, time, torch, relume
from torch import nn

model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))

def step(model, x):
    time.sleep(0.005)
    return model(x).square().mean()

result = relume.fit(model, torch.randn(100, 3), step=step, out="own", epochs=100_000)
print(result.status, result.run.last_step)
sys.exit(result.exit_code)
"""


def test_ctrl_c_keeps_what_there_is_and_the_report_shows_it(tmp_path):
    run_file = tmp_path / "own" / "run.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: process.poll() is not None or last_step(run_file) > 4)
    code, out, err = send(process, signal.SIGINT)
    assert (code, err) == (130, "")
    run = read_run(run_file)
    assert out.split() == ["interrupted", str(run.last_step)]
    assert run.info.status == "interrupted"
    assert run.examination[0].rows == 100
    assert (tmp_path / "own" / "weights.safetensors").is_file()
    done = relume("report", "own", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "own" / "report.html").is_file()
