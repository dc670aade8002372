"""The page about integrations shows the examples as they are; their own tests run them."""

import json
import re
from pathlib import Path

from relume.integrations import INTEGRATIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)\n```", PAGE, re.DOTALL)
EXAMPLES = ROOT / "examples"


def blocks(kind):
    return [text for found, text in BLOCKS if found == kind]


def test_every_python_block_is_an_example():
    shown = [
        "lightning_callback.py", "huggingface_callback.py", "skorch_callback.py",
        "accelerate_tracker.py", "keras_callback.py", "test_network.py",
    ]  # fmt: skip
    assert blocks("python") == [
        (EXAMPLES / name).read_text(encoding="utf-8").rstrip("\n") for name in shown
    ]


def test_the_cells_are_those_of_the_notebook():
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    assert blocks("ipython") == [
        "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
    ]


def test_the_action_is_the_example():
    assert blocks("yaml") == [
        (EXAMPLES / "github-action.yml").read_text(encoding="utf-8").rstrip("\n")
    ]


def test_every_extra_is_named():
    assert {each.extra for each in INTEGRATIONS} == set(re.findall(r"'relume\[(\w+)\]'", PAGE))
