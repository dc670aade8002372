"""What mkdocs cannot know: the start page is the README, catalogue and rules are the code's."""

import inspect
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from relume.diagnosis.rule import Rule
from relume.diagnosis.rules import RULES

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    files.append(File.generated(config, "activations.md", content=_activations()))
    files.append(File.generated(config, "rules.md", content=_rules()))
    for rule in RULES:
        files.append(File.generated(config, f"rules/{rule.code.value}.md", content=_page(rule)))
    return files


def _rules() -> str:
    lines = [
        "# Rules",
        "",
        (
            "What `relume diagnose` looks for. A finding is a note, a warning or an error; the "
            "likely root cause comes first, what follows from it under it."
        ),
        "",
        "| code | rule | finds |",
        "|---|---|---|",
    ]
    lines += [
        f"| [{rule.code.value}](rules/{rule.code.value}.md) | {rule.name} | {rule.summary} |"
        for rule in RULES
    ]
    return "\n".join(lines) + "\n"


def _page(rule: Rule) -> str:
    """Return the page of a rule: its docstring, with headings where lines are not indented."""
    first, *rest = inspect.cleandoc(rule.page).splitlines()
    lines = [f"# {rule.code.value} {rule.name}", "", first, ""]
    for line in rest:
        is_heading = bool(line) and not line.startswith(" ")
        lines.append(f"## {line.rstrip(':')}\n" if is_heading else line.strip())
    follows = ", ".join(f"[{code}]({code}.md)" for code in sorted(map(str, rule.explains)))
    if follows:
        lines += ["", "## What may follow from it", "", follows]
    return "\n".join(lines) + "\n"


def _activations() -> str:
    from relume.nn.registry import activations

    lines = [
        "# Activations",
        "",
        (
            "Gain: the factor on the weights that keeps the second moment of the pre-activations. "
            "Dies: a unit can sit where its output is constant and its gradient exactly zero. "
            "`relume activations NAME` shows everything known of one of them, with a plot."
        ),
        "",
        "| name | formula | range | slopes left, right | gain | dies | saturates | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in activations():
        facts = entry.facts
        cells = (
            f"`{entry.name}`",
            f"`{facts.plain}`".replace("|", "\\|"),
            " to ".join(f"{bound:.3g}" for bound in facts.range),
            f"{facts.left_slope:.3g}, {facts.right_slope:.3g}",
            f"{facts.gain:.4f}",
            "yes" if facts.can_die else "no",
            facts.saturates.value,
            f"{facts.paper.authors} {facts.paper.year}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
