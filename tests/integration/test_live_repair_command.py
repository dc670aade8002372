"""``relume run --repair``, typed as a person would, on scripts that know nothing of it."""

import re
import shutil
from pathlib import Path

import pytest

from relume.runs.query import read_run
from tests.integration.command_line import relume_cold

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "live_scripts"


def score(done):
    return float(re.search(r"^(?:accuracy|mse) (\S+)$", done.stdout, re.MULTILINE)[1])


def test_a_missing_value_does_not_end_a_training(tmp_path):
    shutil.copy(SCRIPTS / "batch_not_finite.py", tmp_path / "train.py")
    done = relume_cold("run", "--repair", "train.py", "0", cwd=tmp_path)
    assert done.returncode == 0
    assert score(done) > 0.9  # 0.08 without
    said = done.stderr.splitlines()
    assert re.fullmatch(
        r"relume: step \d+: the gradients are not finite; this update was skipped", said[0]
    )
    assert said[-1] == "relume: report: relume-train/report.html"
    (skipped,) = read_run(tmp_path / "relume-train").remedies
    assert skipped.is_kept
    page = (tmp_path / "relume-train" / "report.html").read_text("utf-8")
    assert "<h2>Repairs</h2>" in page
    assert "skip updates whose gradients are not finite" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--allow", "model"], "--allow says how far a repair may go; add --repair"),
        (
            ["--repair", "--allow", "all"],
            "--allow takes safe, training, model; got 'all'",
        ),
        (["--repair", "--budget", "0.1"], "--repair goes by step counts and keeps no --budget"),
    ],
)
def test_options_that_make_no_sense_are_one_line(tmp_path, relume_here, options, message):
    (tmp_path / "train.py").write_text("print('never')\n")
    done = relume_here("run", *options, "train.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
