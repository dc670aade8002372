"""The pages of the rules: their docstrings, each with an example where there is one."""

from docs.blocks import EXAMPLES
from docs.generated.docstrings import sections
from relume.diagnosis.rule import Rule
from relume.diagnosis.rules import RULES

FAMILIES = {
    "RLM0": "Data, head and loss",
    "RLM1": "Units",
    "RLM2": "Gradients",
    "RLM3": "Optimisation",
    "RLM4": "Generalisation",
    "RLM5": "Normalisation",
    "RLM6": "Recurrent layers and architecture",
}


def rules_index() -> str:
    """Return the list of rules, by family."""
    lines = [
        "# Rules",
        "",
        (
            f"What `relume diagnose` looks for: {len(RULES)} rules, each a pure function of what "
            "was recorded. A finding is a note, a warning or an error; a note is no fault. The "
            "likely root cause comes first, what follows from it under it. `relume rules CODE` "
            "prints a page of these in the terminal. [How well they judge](clinic.md) was measured "
            "on trainings of known truth."
        ),
    ]
    for prefix, family in FAMILIES.items():
        lines += ["", f"## {family}", "", "| code | rule | finds |", "|---|---|---|"]
        lines += [
            f"| [{rule.code.value}](rules/{rule.code.value}.md) | {rule.name} | {rule.summary} |"
            for rule in RULES
            if rule.code.value.startswith(prefix)
        ]
    return "\n".join(lines) + "\n"


def rule_pages() -> dict[str, str]:
    """Return the page of each rule by its path."""
    return {f"rules/{rule.code.value}.md": _page(rule) for rule in RULES}


def _page(rule: Rule) -> str:
    lines = sections(f"{rule.code.value} {rule.name}", rule.page)
    follows = ", ".join(f"[{code}]({code}.md)" for code in sorted(map(str, rule.explains)))
    if follows:
        lines += ["", "## What may follow from it", "", follows]
    example = EXAMPLES / f"{rule.code.value}.md"
    if example.exists():
        lines += ["", "## Example", "", example.read_text(encoding="utf-8")]
    return "\n".join(lines) + "\n"
