"""What mkdocs cannot know: the start page is the README, catalogue and rules are the code's."""

import inspect
import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from relume.diagnosis.rule import Rule
from relume.diagnosis.rules import RULES
from relume.remedies.action import Action
from relume.remedies.actions import ACTIONS

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    files.append(File.generated(config, "activations.md", content=_activations()))
    files.append(File.generated(config, "rules.md", content=_rules()))
    files.append(File.generated(config, "clinic.md", content=_clinic()))
    for rule in RULES:
        files.append(File.generated(config, f"rules/{rule.code.value}.md", content=_page(rule)))
    files.append(File.generated(config, "remedies.md", content=_remedies()))
    for action in ACTIONS:
        files.append(
            File.generated(config, f"remedies/{action.name}.md", content=_action_page(action))
        )
    return files


def _remedies() -> str:
    lines = [
        "# Remedies",
        "",
        (
            "What can be done about findings. Each says what it touches, is undone bitwise, and "
            "counts as a repair only where a gain was measured on rows that it did not see."
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


def _action_page(action: Action) -> str:
    """Return the page of an action: its docstring, and the findings that it may cure."""
    answers = ", ".join(
        f"[{code}](../rules/{code}.md)" for code in sorted(map(str, action.answers))
    )
    return "\n".join([*_sections(action.name, action.page), "", "## Answers", "", answers]) + "\n"


def _sections(title: str, page: str) -> list[str]:
    """Return a docstring with headings where lines are not indented."""
    first, *rest = inspect.cleandoc(page).splitlines()
    lines = [f"# {title}", "", first, ""]
    for line in rest:
        is_heading = bool(line) and not line.startswith(" ")
        lines.append(f"## {line.rstrip(':')}\n" if is_heading else line.strip())
    return lines


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


FIGURES = {
    "harmful_found": "harmful trainings with a right finding",
    "healthy_alarmed": "healthy trainings with a warning or error",
    "true_fault_first": "true fault first",
    "true_fault_in_first_three": "true fault in the first three",
}


def _clinic() -> str:
    """Return what the clinic measured, from its results."""
    results = json.loads((ROOT / "benchmarks/results/clinic.json").read_text(encoding="utf-8"))
    rivals = json.loads((ROOT / "benchmarks/results/clinic_rivals.json").read_text("utf-8"))
    programs = json.loads((ROOT / "benchmarks/results/clinic_programs.json").read_text("utf-8"))
    seen = rivals["trainings"]["validation"]
    runs = next(part for part in programs.values() if isinstance(part, list))
    broken = [run for run in runs if not run["is_fixed"]]
    mended = [run for run in runs if run["is_fixed"]]
    found, first = (sum(run[key] for run in broken) for key in ("found", "first"))
    alarmed = sum(bool(run["alarms"]) for run in mended)
    tuning, validation = results["parts"]["tuning"], results["parts"]["validation"]
    lines = [
        "# Clinic",
        "",
        (
            f"{len(results['cases']):,} short trainings of known truth, in two parts that share no "
            "data set, no network and no seed. Thresholds were chosen on the tuning part. Shares "
            "with Wilson intervals (95 %); `make clinic` measures them anew."
        ),
        "",
        "| | tuning | validation |",
        "|---|---|---|",
        *(
            f"| {name} | {_share(tuning[key])} | {_share(validation[key])} |"
            for key, name in FIGURES.items()
        ),
        "",
        (
            "On the validation part the first look gave 7.9 % (5.3 to 11.6) of the healthy "
            "trainings with a warning or error. Two rules, RLM305 and RLM402, were then made "
            "stricter on sight of their precision there, without a look at single cases; the "
            "figures above are those after it."
        ),
        "",
        "## Others on the same trainings",
        "",
        (
            "As installed, or rebuilt from published thresholds; none was tuned, and what each "
            "reports was mapped to the faults generously (`benchmarks/clinic/rivals.py`). "
            f"{seen['judged']} of the {seen['of']} trainings of the validation part."
        ),
        "",
        "| | " + " | ".join(FIGURES.values()) + " |",
        "|---" * (len(FIGURES) + 1) + "|",
        *(
            f"| {name} | {' | '.join(_share(row[key]) for key in FIGURES)} |"
            for name, row in rivals["parts"]["validation"].items()
        ),
        "",
        (
            "Real programs rebuilt from public threads, one run each: a warning or error names the "
            f"fault in {found} of {len(broken)} broken ones, first in {first}; {alarmed} of "
            f"{len(mended)} mended ones have another warning."
        ),
        "",
        "## Precision of each rule on the validation part",
        "",
        "| rule | right | |",
        "|---|---|---|",
        *(
            f"| [{code}](rules/{code}.md) | {_share(share)} | {_few(share)} |"
            for code, share in sorted(validation["precision"].items())
        ),
    ]
    return "\n".join(lines) + "\n"


def _share(counts: dict[str, Any]) -> str:
    hits, of = counts["hits"], counts["of"]
    return f"{hits / of:.1%} ({counts['low']:.1%} to {counts['high']:.1%}; {hits} of {of})"


def _few(counts: dict[str, Any]) -> str:
    return "too few" if counts["of"] < 20 else ""


def _page(rule: Rule) -> str:
    """Return the page of a rule: its docstring, and what may follow from it."""
    lines = _sections(f"{rule.code.value} {rule.name}", rule.page)
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
