"""A wheel in an empty environment: every command is there, and says which extra it lacks.

``python -m benchmarks.wheel [WHEEL]`` (``make wheel`` builds one into ``dist/``) makes a virtual
environment that holds nothing, installs the pinned torch and the wheel, runs what a new user would,
and writes ``benchmarks/results/wheel.json``. It takes minutes and some gigabytes, and cleans up.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from benchmarks.measure import keep

ROOT = Path(__file__).parents[1]
TRAIN = """
import torch
from torch import nn
x = torch.randn(256, 8)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(50):
    optimizer.zero_grad()
    nn.functional.mse_loss(model(x), x[:, :1]).backward()
    optimizer.step()
"""
JOBS = (
    ("--version",),
    ("activations", "relu"),
    ("rules", "RLM101"),
    ("run", "--quiet", "--out", "watched", "train.py"),
    ("fit", "digits", "--epochs", "2", "--out", "fitted"),
    ("predict", "fitted", "digits", "--out", "predictions.csv"),
    ("examine", "fitted", "digits"),
    ("diagnose", "watched"),
    ("report", "watched", "--png"),
    ("diff", "watched", "fitted"),
    ("ls",),
    ("export", "watched", "--to", "json"),
    ("export", "watched", "--to", "parquet"),
    ("clean", "--keep", "1"),
)
"""What is typed, in this order, in one folder; each must end with 0."""

LACKING = {
    "tensorboard": "python -m pip install tensorboard",
    "mlflow": "python -m pip install mlflow-skinny",
    "wandb": "python -m pip install wandb",
}
"""Exports that need more than the wheel brings, and what each must say."""


def main() -> None:
    """Install a wheel where nothing is, and try every command."""
    wheel = Path(sys.argv[1]) if len(sys.argv) > 1 else newest_wheel(ROOT / "dist")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        python = installed(wheel.resolve(), folder / "empty")
        install_s = time.monotonic() - started
        size = sum(f.stat().st_size for f in (folder / "empty").rglob("*") if f.is_file())
        work = folder / "work"
        work.mkdir()
        (work / "train.py").write_text(TRAIN)
        tried = {" ".join(job): run(python, job, work) for job in JOBS}
        helps = {each: run(python, (each, "--help"), work)["code"] for each in commands(python)}
        lacks = {to: said(python, to, sentence, work) for to, sentence in LACKING.items()}
    failed = [job for job, found in tried.items() if found["code"]]
    result: dict[str, Any] = {
        "wheel": wheel.name,
        "wheel_bytes": wheel.stat().st_size,
        "environment_bytes": size,
        "install_s": round(install_s, 1),
        "commands": sorted(helps),
        "failed": failed,
        "without_help": [each for each, code in helps.items() if code],
        "says_what_is_lacking": lacks,
    }
    keep("wheel", result)
    for job in failed:
        print(f"{job}: {tried[job]['said']}", file=sys.stderr)
    if failed or result["without_help"] or not all(lacks.values()):
        sys.exit(1)


def newest_wheel(folder: Path) -> Path:
    """Return the wheel that was built last."""
    wheels = sorted(folder.glob("relume-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        sys.exit(f"there is no wheel in {folder}; make wheel builds one")
    return wheels[-1]


def installed(wheel: Path, place: Path) -> Path:
    """Make an empty environment with the pinned torch and the wheel; return its Python."""
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    for package in ("torch", str(wheel)):  # torch first: the CPU build, if one is at hand
        subprocess.run([*install, package], check=True, stderr=subprocess.DEVNULL)
    return python


def commands(python: Path) -> list[str]:
    """Return the names of the commands that the installed application has."""
    code = "import relume.cli as c; print(*(f.__name__ for f in c.COMMANDS))"
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True, env=_environment()
    )
    return done.stdout.split()


def run(python: Path, job: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Run the installed ``relume`` and return its exit code and the last line on stderr."""
    command = [python.with_name("relume"), *job]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=_environment()
    )
    return {"code": done.returncode, "said": (done.stderr.strip().splitlines() or [""])[-1]}


def said(python: Path, to: str, sentence: str, folder: Path) -> bool:
    """Return whether an export without its package ends with 2 and says how to install it."""
    found = run(python, ("export", "watched", "--to", to), folder)
    return found["code"] == 2 and sentence in found["said"]


def _environment() -> dict[str, str]:
    """Return ours without what would lead an installed Python elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


if __name__ == "__main__":
    main()
