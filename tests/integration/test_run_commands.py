"""``relume run -- COMMAND``, children, ranks, places, and what a person can get wrong."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from relume.runs.query import read_run
from tests.integration.run_stage import RUN, environment, finish, start

TRAIN = "import torch\ntorch.train_step()\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN + "print('trained', flush=True)\n")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(*arguments, cwd, **options):
    return finish([*RUN, *map(str, arguments)], cwd=cwd, **options)


def test_a_command_is_watched_wherever_python_is_in_it(folder):
    line = f"{sys.executable} train.py --help; cat; exit 6"
    code, out, err = run("--", "bash", "-c", line, cwd=folder, stdin=b"in")
    assert (code, out) == (6, b"trained\nin")
    assert b"report: relume-bash/report.html\n" in err
    assert names(folder / "relume-bash") == ["report.html", "run.sqlite"]
    assert read_run(folder / "relume-bash" / "run.sqlite").info.status == "finished"


def test_a_command_names_the_run_by_its_script(folder):
    assert run("-q", "--", sys.executable, "-u", "train.py", cwd=folder)[0] == 0
    assert (folder / "relume-train" / "report.html").exists()


def test_an_exit_code_that_looks_like_ctrl_c_is_passed_on_in_silence(folder):
    assert run("-q", "--", "bash", "-c", "exit 130", cwd=folder) == (130, b"", b"")


def test_a_run_file_that_cannot_be_read_is_one_line(folder):
    line = f"{sys.executable} train.py; echo damaged > relume-bash/run.sqlite"
    code, _, err = run("--", "bash", "-c", line, cwd=folder)
    assert code == 0
    assert err.startswith(b"relume: ")
    assert err.count(b"\n") == 1


def test_a_command_that_dies_of_a_signal(folder):
    line = f"{sys.executable} train.py; kill -KILL $$"
    code, _, err = run("--", "bash", "-c", line, cwd=folder)
    assert code == -signal.SIGKILL
    assert b"report: relume-bash/report.html\n" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_on_to_the_command(folder, number):
    (folder / "train.py").write_text(TRAIN + "import time\nprint(1, flush=True)\ntime.sleep(60)\n")
    process = start([*RUN, "--", sys.executable, "train.py"], cwd=folder)
    assert process.stdout.readline() == b"1\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -number
    assert (b"KeyboardInterrupt" in err) is (number == signal.SIGINT)
    assert read_run(folder / "relume-train" / "run.sqlite").info.status == "interrupted"


COUNTING = """
import signal, time
caught = []
signal.signal(signal.SIGINT, lambda *_: caught.append(1))
print("ready", flush=True)
while not caught:
    time.sleep(0.02)
time.sleep(0.5)
print("caught", len(caught))
"""


@pytest.mark.parametrize("form", [["train.py"], ["--", sys.executable, "train.py"]])
def test_ctrl_c_in_a_terminal_comes_once(folder, form):
    (folder / "train.py").write_text(TRAIN + COUNTING)
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*RUN, "-q", "--no-report", *form], cwd=folder, env=environment(),
        stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )  # fmt: skip
    os.close(terminal)
    with os.fdopen(master, "r+b", buffering=0) as screen:
        assert screen.readline() == b"ready\r\n"
        screen.write(b"\x03")
        assert screen.readline().removeprefix(b"^C") == b"caught 1\r\n"
        assert process.wait(60) == 0


def test_a_run_inside_a_run_keeps_to_its_own_folder(folder):
    line = f"import subprocess; subprocess.run({[*RUN, '-q', '--out', 'inner', 'train.py']})"
    (folder / "outer.py").write_text(TRAIN + line)
    assert run("-q", "outer.py", cwd=folder)[:2] == (0, b"trained\n")
    for name in ("relume-outer", "inner"):
        assert names(folder / name) == ["report.html", "run.sqlite"]


def test_each_rank_has_a_file_and_a_child_of_theirs_another(folder):
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'CODE'])"
    code = "import torch; torch.train_step()"
    (folder / "child.py").write_text(TRAIN + child.replace("CODE", code))
    line = "; ".join(
        f"RANK={rank} {sys.executable} {script}"
        for rank, script in ((1, "train.py"), (0, "child.py"), (2, "train.py"))
    )
    assert run("-q", "--out", "ranks", "--", "bash", "-c", line, cwd=folder)[0] == 0
    found = names(folder / "ranks")
    numbered = [name for name in found if name.removeprefix("run-")[0].isdigit()]
    assert len(numbered) == 1
    assert set(found) - set(numbered) == {
        "report.html", "run.sqlite", "run-rank1.sqlite", "run-rank2.sqlite",
    }  # fmt: skip


def test_runs_at_the_same_time_have_folders_of_their_own(folder):
    processes = [start([*RUN, "--no-report", "train.py"], cwd=folder) for _ in range(3)]
    ends = [process.communicate(timeout=100) for process in processes]
    folders = ["relume-train", *(f"relume-train-{number}" for number in (2, 3))]
    assert names(folder) == sorted([*folders, "train.py"])
    assert all(names(folder / each) == ["run.sqlite"] for each in folders)
    said = {err.decode() for _, err in ends}
    assert said == {f"relume: run file: {each}/run.sqlite\n" for each in folders}


def test_settings_reach_the_watch_and_arguments_the_script(folder):
    options = ["--budget", "0.02", "--every", "3", "--full", "--out", "here/there"]
    assert run(*options, "train.py", "--budget", "5", "-q", cwd=folder)[0] == 0
    said = read_run(folder / "here" / "there" / "run.sqlite").info.settings
    assert said["settings"] == (
        "WatchSettings(budget=0.02, every=3, full=True, quiet=False, report=False)"
    )
    assert said["argv"] == ["train.py", "--budget", "5", "-q"]


def test_leaving_at_once_keeps_what_was_recorded(folder):
    (folder / "train.py").write_text(TRAIN + "import os; os._exit(3)")
    assert run("train.py", cwd=folder) == (3, b"", b"")
    assert read_run(folder / "relume-train" / "run.sqlite").last_step == 1


def test_a_watch_that_cannot_be_had_is_one_line(folder):
    (folder / "recorder.py").write_text("raise OSError('no')")
    code, out, err = run("train.py", cwd=folder)
    assert (code, out) == (0, b"trained\n")
    assert err.decode().splitlines() == [
        "relume: this process is not watched: OSError: no",
        "relume: no training step was seen; nothing was recorded",
    ]


def test_real_torch_under_torchrun(tmp_path):
    (tmp_path / "ddp.py").write_text(DDP)
    torchrun = Path(sys.executable).parent / "torchrun"
    code, out, err = run(
        "--", torchrun, "--nproc-per-node", 2, "ddp.py", cwd=tmp_path, real_torch=True
    )
    assert code == 0, err
    assert sorted(out.split()) == [b"0", b"1"]
    assert names(tmp_path / "relume-ddp") == ["report.html", "run-rank1.sqlite", "run.sqlite"]
    assert b"2 processes trained" in err


DDP = """
import os, torch, torch.distributed as dist
from torch import nn
dist.init_process_group("gloo")
model = nn.parallel.DistributedDataParallel(nn.Linear(2, 2))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
torch.relu(model(torch.ones(3, 2))).sum().backward()
optimizer.step()
os.write(1, b"%d\\n" % dist.get_rank())
dist.destroy_process_group()
"""


def test_an_exception_through_our_hooks_shows_none_of_them(tmp_path):
    """In real torch, our functions and the long way of a module's call stand in the way."""
    (tmp_path / "train.py").write_text(THROUGH_HOOKS)
    bare = finish([sys.executable, "train.py"], cwd=tmp_path, real_torch=True)
    watched = run("-q", "train.py", cwd=tmp_path, real_torch=True)
    assert watched == bare
    assert b"ValueError: from" in bare[2]
    assert (tmp_path / "relume-train" / "run.sqlite").exists()


THROUGH_HOOKS = """
import torch
from torch import nn
from torch.utils.data import DataLoader

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    def forward(self, x):
        return self.layers[1](x) if isinstance(x, str) else self.layers(x)

net = Net()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for x in DataLoader(torch.ones(4, 2), batch_size=2, num_workers=1):
    net(x).sum().backward()
    optimizer.step()
try:
    net("x")
except TypeError as error:
    raise ValueError("from") from error
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to run; write relume run train.py"),
        (["-m"], "nothing to run"),
        (["--"], "nothing to run"),
        (["missing.py"], "no such script: missing.py; look for a mistake in the path"),
        (["bash", "x.sh"], "no such script: bash; for a command, write relume run -- bash"),
        (["empty"], "empty is a folder without a __main__.py"),
        (["data.csv"], "data.csv is not a Python script"),
        (["model.bin"], "model.bin is not a Python script"),
        (["-m", "no.such.module"], "no module named no; look for a mistake in 'no.such.module'"),
        (["-m", "json.nothing"], "no module named json.nothing"),
        (["-m", "json"], "json is a package without a __main__"),
        (["-m", ".x"], "no module named .x"),
        (["--", "no-such-command"], "no such command: no-such-command"),
        (["--every", "0", "train.py"], "--every takes a number of steps, at least 1; got 0"),
        (["--budget", "2", "train.py"], "between 0 and 1, such as 0.01; got 2"),
        (["--budget", "nan", "train.py"], "between 0 and 1, such as 0.01; got nan"),
        (["--out", "train.py/x", "train.py"], "cannot write train.py/x: not a directory"),
        (["--out", "/proc/x", "train.py"], "cannot write /proc/x: "),
        (["--out", "old", "train.py"], "old holds an earlier run; choose another --out"),
    ],
)
def test_a_mistake_is_one_line(folder, arguments, said, capsys, monkeypatch):
    from relume.cli import run as relume

    (folder / "empty").mkdir()
    (folder / "old").mkdir()
    (folder / "old" / "run.sqlite").touch()
    (folder / "data.csv").write_text("a,b\n1,2\n")
    (folder / "model.bin").write_bytes(b"\x80\x00\x01")
    monkeypatch.chdir(folder)
    monkeypatch.delattr("relume.observe.launch.become")  # it would take the place of the tests
    before = sorted(folder.rglob("*"))
    assert relume(["run", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("relume: ")
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_an_unknown_option_of_ours_is_named(folder, capsys, monkeypatch):
    from relume.cli import run as relume

    monkeypatch.chdir(folder)
    assert relume(["run", "--evry", "3", "train.py"]) == 2
    assert "--evry" in capsys.readouterr().err


def test_help_shows_the_three_forms(capsys):
    from relume.cli import run as relume

    assert relume(["run", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "{SCRIPT | -m MODULE | -- COMMAND} [ARGS]..." in out
    for option in ("--budget", "--every", "--full", "--out", "--no-report", "--quiet"):
        assert option in out
