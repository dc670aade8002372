"""The pages of the remedies: their docstrings, and the findings that they answer."""

from docs.generated.docstrings import sections
from relume.remedies.action import Action
from relume.remedies.actions import ACTIONS


def remedies_index() -> str:
    """Return the list of remedies."""
    lines = [
        "# Remedies",
        "",
        (
            "What can be done about findings. Each says what it touches, is undone bitwise, and "
            "counts as a repair only where a gain was measured on rows that it did not see. "
            "`relume fit`, `relume run --repair` and `relume revive` apply them "
            "([cure and repair](guides/cure.md))."
        ),
        "",
        "| remedy | touches | does |",
        "|---|---|---|",
    ]
    lines += [
        f"| [{action.name}](remedies/{action.name}.md) | {action.safety} | {action.summary} |"
        for action in ACTIONS
    ]
    return "\n".join(lines) + "\n"


def remedy_pages() -> dict[str, str]:
    """Return the page of each remedy by its path."""
    return {f"remedies/{action.name}.md": _page(action) for action in ACTIONS}


def _page(action: Action) -> str:
    answers = ", ".join(
        f"[{code}](../rules/{code}.md)" for code in sorted(map(str, action.answers))
    )
    return "\n".join([*sections(action.name, action.page), "", "## Answers", "", answers]) + "\n"
