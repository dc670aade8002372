"""What mkdocs cannot know: the start page is the README, the catalogue comes from the code."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    files.append(File.generated(config, "activations.md", content=_activations()))
    return files


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
