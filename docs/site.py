"""What mkdocs cannot know: pages made from the code, figures from the results, and their order."""

import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # mkdocs runs from anywhere

from docs.generated.activations import activation_pages, activations_index  # noqa: E402
from docs.generated.api import api_page  # noqa: E402
from docs.generated.clinic import clinic_page  # noqa: E402
from docs.generated.commands import commands_page  # noqa: E402
from docs.generated.figures import fill  # noqa: E402
from docs.generated.navigation import complete  # noqa: E402
from docs.generated.remedies import remedies_index, remedy_pages  # noqa: E402
from docs.generated.rules import rule_pages, rules_index  # noqa: E402


def _changelog() -> str:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.sub(r"`docs/(adr/[\w-]+\.md)`", r"[\1](\1)", text)


SINGLE: dict[str, Callable[[], str]] = {
    "rules.md": rules_index,
    "remedies.md": remedies_index,
    "clinic.md": clinic_page,
    "activations.md": activations_index,
    "commands.md": commands_page,
    "api.md": api_page,
    "changelog.md": _changelog,
}


@cache
def _pages() -> dict[str, str]:
    """Return the text of every page that is made, by its path."""
    made = {path: make() for path, make in SINGLE.items()}
    return made | rule_pages() | remedy_pages() | activation_pages()


def on_config(config: Any) -> Any:
    """Put the pages that are made into the navigation."""
    config.nav = complete(config.nav, _pages())
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    for path, content in _pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put figures into a page."""
    return fill(markdown, page.file.src_uri)
