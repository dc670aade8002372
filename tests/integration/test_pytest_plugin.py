"""The pytest plugin, in sessions of its own: what fails, what does not, and what is said."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from relume.runs.query import read_run
from tests.integration.warm import WarmPython

ROOT = Path(__file__).parents[2]
PLUGIN = "relume.integrations.pytest_plugin"
COMMAND = ["-m", "pytest", "-p", "no:relume", "-p", PLUGIN, "-p", "no:cacheprovider"]
"""The plugin by its module, whether or not its entry point is installed."""

BROKEN = """
import pytest
from test_network import train


@pytest.mark.relume(max_dead=0.05)
def test_dies():
    train(lr=9.0, steps=12)


@pytest.mark.relume
def test_errors():
    train(lr=9.0, steps=12)


@pytest.mark.xfail(strict=True)
@pytest.mark.relume(max_dead=0.05)
def test_is_known_to_die():
    train(lr=9.0, steps=12)


@pytest.mark.relume(max_dead=0.05)
def test_trains_nothing():
    pass


@pytest.mark.relume(max_dead=1)
def test_fails_by_itself():
    train(lr=0.05, steps=3)
    raise ValueError("its own")


@pytest.fixture
def trained():
    train(lr=9.0, steps=12)


@pytest.mark.relume(max_dead=0.05)
def test_dies_in_a_fixture(trained):
    pass


def test_without_a_marker():
    train(lr=9.0, steps=12)
"""


@pytest.fixture(scope="module")
def python():
    warm = WarmPython("torch._dynamo", "scipy.stats", "jinja2", "pytest")
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a project: the example, and tests that go wrong."""
    folder = tmp_path_factory.mktemp("project") / "here"
    folder.mkdir()
    example = (ROOT / "examples" / "test_network.py").read_text(encoding="utf-8")
    (folder / "test_network.py").write_text(example, encoding="utf-8")
    (folder / "test_broken.py").write_text(BROKEN, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def session(python, place):
    """One session over all of them: exit code, what it printed, and its folder."""
    code, out, _ = python.run(
        place / "streams", [*COMMAND, "--relume-out", "kept", "-rA"], place=place
    )
    return code, out, place


def outcomes(out):
    """Return the outcome of each test by its name."""
    lines = [line.split(" - ")[0].split() for line in out.splitlines()]
    kinds = {"PASSED", "FAILED", "XFAIL", "ERROR"}
    return {
        words[1].split("::")[-1]: words[0] for words in lines if words[:1] and words[0] in kinds
    }


def test_tests_fail_on_what_they_train_and_healthy_ones_do_not(session):
    code, out, _ = session
    assert code == 1
    assert outcomes(out) == {
        "test_dies": "FAILED",
        "test_errors": "FAILED",
        "test_is_known_to_die": "XFAIL",
        "test_trains_nothing": "PASSED",
        "test_fails_by_itself": "FAILED",
        "test_dies_in_a_fixture": "FAILED",
        "test_without_a_marker": "PASSED",
        "test_the_network_learns_and_stays_alive": "PASSED",
        "test_nothing_grave_is_found": "PASSED",
    }


def test_a_failure_names_layer_units_cause_and_place(session):
    _, out, place = session
    line = 1 + (place / "test_network.py").read_text().splitlines().index(
        "        loss = (model(x) - x[:, :1].abs()).square().mean()"
    )
    assert (
        f"64 of 64 units of layer 1 (test_network.py:{line}) are dead on the last 1,000 rows: "
        "100 %; max_dead allows 5.0 %"
    ) in out
    assert "    units 0–63\n" in out
    assert "died between steps" in out
    assert "error RLM301 (fail_on error): " in out
    assert "    try: lower the learning rate" in out
    assert "ValueError: its own" in out


def test_the_summary_says_where_the_records_are(session):
    _, out, place = session
    summary = out[out.index(" relume ====") :]
    kept = place / "kept" / "test_broken-test_dies"
    assert "test_broken.py::test_dies: 64 of 64 units are silent, " in summary
    assert f"    {kept}\n" in summary
    assert "test_trains_nothing: no training step was seen; nothing was judged" in summary
    assert "test_without_a_marker" not in summary[: summary.index("short test summary")]
    run = read_run(kept)
    assert (run.info.status, run.last_step) == ("finished", 12)
    assert (kept / "report.html").exists()
    assert read_run(place / "kept" / "test_broken-test_fails_by_itself").info.status == "failed"


def test_all_tests_can_be_watched_and_workers_tell_what_they_saw(python, place):
    """Under xdist tests run in other processes; without --relume-out records are temporary."""
    arguments = [*COMMAND, "--relume", "-n", "1", "-k", "without or nothing", "-q"]
    code, out, err = python.run(
        place / "workers", arguments, place=place, environment={"TMPDIR": str(place)}
    )
    assert code == 0, out + err
    assert "test_broken.py::test_without_a_marker: 64 of 64 units are silent" in out
    assert "test_trains_nothing: no training step was seen" in out
    folders = [line.strip() for line in out.splitlines() if line.startswith("    /")]
    assert len(folders) == 2
    assert all((Path(folder) / "run.sqlite").exists() for folder in folders)


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("max_dead=5", "max_dead is a share of a layer's units between 0 and 1, as 0.05; got 5"),
        ("maxdead=0.1", "the marker relume takes no 'maxdead'; did you mean max_dead?"),
        ("0.05", "the marker relume takes no argument without a name; it has max_dead, fail_on"),
        (
            "fail_on='RLM1'",
            "fail_on knows codes such as RLM101 and note, warning, error; got 'RLM1'",
        ),
        ("every=0", "every is a number of steps, at least 1; got 0"),
    ],
)
def test_a_marker_that_makes_no_sense_is_refused_in_one_line(python, tmp_path, marker, said):
    test = f"import pytest\n\n@pytest.mark.relume({marker})\ndef test_it():\n    pass\n"
    (tmp_path / "test_marked.py").write_text(test)
    code, out, err = python.run(tmp_path / "streams", COMMAND, place=tmp_path)
    assert code == 4, out
    assert f"ERROR: test_marked.py::test_it: {said}" in out + err
    assert "Traceback" not in out + err


def test_whoever_does_not_use_it_pays_nothing(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\ndef test_it():\n"
        "    ours = {name for name in sys.modules if name.startswith('relume.')}\n"
        f"    assert ours == {{'relume.integrations', '{PLUGIN}'}}\n"
        "    assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, *COMMAND, "-q"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "relume" not in done.stdout


def test_pytest_finds_the_plugin_by_itself():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"relume": PLUGIN}
    point = importlib.metadata.EntryPoint("relume", PLUGIN, "pytest11")
    assert callable(point.load().pytest_addoption)
