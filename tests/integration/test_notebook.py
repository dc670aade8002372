"""Notebooks: a real IPython runs cells, and shows what a frame without scripts can show."""

import json
import sys
from pathlib import Path

import pytest

from relume.runs.query import read_run
from tests.integration.warm import WarmPython

EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.ipynb"

SESSION = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

shell = InteractiveShell.instance()
shell.run_line_magic("colors", "NoColor")
told, shown = [], []
shell.displayhook.write_format_data = lambda data, metadata=None: shown.append(data)
for cell in json.loads(open(sys.argv[1], encoding="utf-8").read()):
    shown.clear()
    with capture_output() as captured:
        result = shell.run_cell(cell, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    told.append({
        "html": shown[-1].get("text/html") if shown else None,
        "out": captured.stdout,
        "err": captured.stderr,
        "error": None if error is None else type(error).__name__,
    })
print(json.dumps(told))
"""

TRAIN = """
def train(steps=12):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
"""

START = """
import torch, relume
from torch import nn
torch.manual_seed(0)
x = torch.randn(64, 4)
class Evil(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("<img src=x onerror=alert(1)>", nn.Linear(4, 16))
    def forward(self, x):
        return torch.relu(next(self.children())(x))
model = Evil()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""


@pytest.fixture(scope="module")
def python():
    warm = WarmPython("torch._dynamo", "scipy.stats", "jinja2", "IPython")
    yield warm
    warm.close()


@pytest.fixture
def notebook(python, tmp_path):
    """Run cells in an IPython of their own; return what each showed, and the folder."""

    def run(*cells):
        (tmp_path / "session.py").write_text(SESSION, encoding="utf-8")
        (tmp_path / "cells.json").write_text(json.dumps(cells), encoding="utf-8")
        code, out, err = python.run(
            tmp_path / "here",
            [str(tmp_path / "session.py"), str(tmp_path / "cells.json")],
            environment={"IPYTHONDIR": str(tmp_path / "profile")},
        )
        assert code == 0, err
        return json.loads(out.splitlines()[-1]), tmp_path / "here"

    return run


def test_a_cell_is_watched_and_shows_what_its_training_came_to(notebook):
    told, here = notebook(
        START,
        TRAIN,
        "%load_ext relume",
        "%%relume --every 1\ntrain()\nafter = 5\nprint('said by the cell')",
        "%relume --every 1 --out line train(3)",
        "print(after)",
        "model.fails\n",
        "%%relume --every 1 --out failed\ntrain(2)\nraise ValueError('its own')",
        "%%relume --evry 1\ntrain()",
        "%%relume --every 0\ntrain()",
        "%relume",
        "%%relume train\ntrain()",
        "%load_ext relume",
    )
    shown = told[3]["html"]
    assert "said by the cell" in told[3]["out"]
    assert "of 16 units" in shown
    assert "report: " in shown
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    run = read_run(here / "relume-notebook")
    assert (run.info.status, run.last_step) == ("finished", 12)
    assert "16" in told[4]["html"]
    assert read_run(here / "line").last_step == 3
    assert told[5]["out"] == "5\n"
    failed = told[7]
    assert failed["error"] == "ValueError"
    assert failed["out"].count("ValueError: its own") == 1
    run = read_run(here / "failed")
    assert (run.info.status, run.last_step) == ("failed", 2)
    for index, words in (
        (8, "unrecognized arguments: --evry"),
        (9, "every must be at least 1; got 0"),
        (10, "nothing to run; write %%relume above a cell"),
        (11, "%%relume has no option 'train'"),
    ):
        assert told[index]["error"] == "UsageError"
        assert words in told[index]["err"] + told[index]["out"], words
    assert [index for index, each in enumerate(told) if each["error"]] == [6, 7, 8, 9, 10, 11]


def test_what_people_hold_shows_itself(notebook):
    told, _ = notebook(
        START,
        TRAIN,
        "watch = relume.watch(every=1)\nwatch",
        "train()\nwatch",
        "watch.stop()\nfrom relume.diagnosis.engine import diagnose\ndiagnose(watch.run)",
        "nn.init.constant_(next(model.children()).bias, -50.0)\nrelume.examine(model, [x])",
        "relume.fit('iris', out='fitted', epochs=2)",
        "relume.fit(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), (x, x[:, :1]),"
        " step=lambda model, batch: model(batch[0]).square().mean(), epochs=1, out='own')",
    )
    assert not [each["error"] for each in told if each["error"]], told
    html = [each["html"] for each in told]
    assert "no training step was seen so far" in html[2]
    assert "of 16 units" in html[3]
    assert html[4].startswith("<div><p")
    assert "<td" in html[5]
    assert "3/64 of rows" in html[5]
    assert "accuracy" in html[6]
    assert ">8<" in html[7]
    assert "fit finished" in html[7]
    for each in html[2:]:
        assert "<script" not in each
        assert "<img" not in each
        assert "http" not in each


def test_the_example_notebook_runs_from_top_to_bottom(notebook):
    cells = [
        "".join(cell["source"])
        for cell in json.loads(EXAMPLE.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    told, here = notebook(*cells)
    assert not [each["error"] for each in told if each["error"]], told
    assert sum("units" in (each["html"] or "") for each in told) >= 2
    assert (here / "watched" / "report.html").exists()


def test_relume_itself_imports_no_ipython():
    import subprocess

    code = "import sys, relume.watching; assert 'IPython' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
