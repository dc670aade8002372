"""The wheel as ``make wheel`` builds it: what is in it, and what it tells an installer."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from benchmarks.start_up import figures, measure

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy, so that nothing of the build is left in the sources."""
    place = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    shutil.copytree(ROOT / "src", place / "src", ignore=ignored)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--wheel-dir", place / "dist", place],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = (place / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_everything_that_runs_is_in_the_wheel(contents):
    sources = ROOT / "src" / "relume"
    wanted = {
        f"relume/{path.relative_to(sources)}"
        for path in sources.rglob("*")
        if path.is_file()
        and path.suffix not in {".pyc", ".so", ".c", ".h"}
        and "__pycache__" not in path.parts
    }
    present = {name for name in contents if name.startswith("relume/")}
    assert wanted <= present | {"relume/kernels/_native.pyi"}
    assert "relume/report/templates/page.html.j2" in present
    assert "relume/observe/child_start/sitecustomize.py" in present
    assert "relume/py.typed" in present


def test_nothing_else_is_in_the_wheel(contents):
    folders = {name.split("/")[0] for name in contents}
    assert {name.split("-")[0] for name in folders} == {"relume"}
    assert not [name for name in contents if name.endswith((".c", ".h", ".pyc"))]
    assert sum(map(len, contents.values())) < 8 << 20


def test_one_wheel_serves_every_python_from_311(wheel, contents):
    assert "-cp311-abi3-" in wheel.name
    assert any(name.startswith("relume/kernels/_native.abi3") for name in contents)


def test_it_brings_the_command_and_names_the_extras(contents):
    (points,) = (text for name, text in contents.items() if name.endswith("entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(points.decode())
    assert dict(parser["console_scripts"]) == {"relume": "relume.cli:main"}
    (metadata,) = (text for name, text in contents.items() if name.endswith("/METADATA"))
    said = Parser().parsestr(metadata.decode())
    assert {"tensorboard", "mlflow", "wandb"} <= set(said.get_all("Provides-Extra"))
    needed = [line.split(";")[0] for line in said.get_all("Requires-Dist") if ";" not in line]
    assert any(line.startswith("torch") for line in needed)
    assert not any(line.startswith(("wandb", "mlflow", "tensorboard")) for line in needed)


def test_starting_costs_little():
    """A slice of ``benchmarks.start_up``, in shares of torch's import: machines are busy."""
    found = figures(measure(rounds=1))
    torch_s = found["bare_s"]["least"]
    assert found["help_s"]["least"] < 0.5 * torch_s
    assert found["run_adds_s"]["least"] < torch_s
