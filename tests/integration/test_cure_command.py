"""``relume cure`` as a person types it: a script is cured, its diff applied, and run again."""

import json
import re
import signal
import subprocess
import sys

import pytest

from tests.integration.command_line import RELUME, relume_cold, send, start, wait_for

SCRIPT = '''\
"""Fit a line, with a target that broadcasts."""
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(60, 2)
y = 10 + 9 * x[:, 0] - 2 * x[:, 1]

model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.MSELoss()
for step in range(60):
    optimizer.zero_grad()
    loss = criterion( model(x), y )  # (60, 1) against (60,)
    loss.backward()
    optimizer.step()
with torch.no_grad():
    r2 = 1 - ((model(x)[:, 0] - y) ** 2).mean() / y.var()
print(f"r2 {r2.item():.4f}")
'''
CURE = ["cure", "--metric-regex", r"r2 (\S+)", "--budget", "6", "--seeds", "2"]


def test_a_broken_script_is_cured_and_its_diff_applies(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    done = relume_cold(
        *CURE, "--json", "--diff", "new/cure.diff", "train.py",
        cwd=tmp_path, env={"TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["version"] == 1
    assert said["outcome"] == "cured"
    assert [each["kind"] for each in said["cure"]] == ["squeeze"]
    assert said["gain"]["low"] > 0
    assert said["untreated"]["score"] < 0.1
    assert "diff: new/cure.diff; git apply new/cure.diff" in done.stderr
    assert script.read_text() == SCRIPT  # nothing is edited unasked
    assert {each.name for each in tmp_path.iterdir()} == {
        ".git", "train.py", "new", "temporary",
    }  # fmt: skip
    assert list(temporary.glob("relume*")) == []

    subprocess.run(["git", "apply", "new/cure.diff"], cwd=tmp_path, check=True)
    assert "criterion( model(x).squeeze(1), y )  # (60, 1)" in script.read_text()
    again = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    promised = next(each["score"] for each in said["tried"] if "one shape" in each["label"])
    assert float(re.search(r"r2 (\S+)", again.stdout)[1]) == pytest.approx(promised)


ENDLESS = """\
import time, torch
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.ones(1, 1)).sum().backward()
optimizer.step()
open("begun", "w").close()
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_an_end_from_outside_leaves_nothing_behind(tmp_path, monkeypatch, number, code):
    (tmp_path / "train.py").write_text(ENDLESS)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = start("cure", "--", sys.executable, "train.py", cwd=tmp_path)
    wait_for((tmp_path / "begun").exists)
    running = subprocess.run(
        ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout
    trial = next(
        int(line.split()[0]) for line in running.splitlines()
        if line.endswith("train.py") and RELUME[-1] not in line and _is_in(line, tmp_path)
    )  # fmt: skip
    returned, _, _ = send(process, number)
    assert returned == code
    assert list(temporary.glob("relume*")) == []
    wait_for(lambda: not _is_alive(trial), seconds=10)


def _is_in(line, folder):
    """Whether a process of ps runs in a folder."""
    try:
        return str((subprocess.run(
            ["readlink", f"/proc/{line.split()[0]}/cwd"], capture_output=True, text=True, check=True
        ).stdout).strip()) == str(folder)  # fmt: skip
    except subprocess.CalledProcessError:
        return False


def _is_alive(pid):
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return done.returncode == 0 and not done.stdout.startswith(b"Z")
