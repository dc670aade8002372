"""The page of the clinic, from its results."""

from typing import Any

from docs.generated.results import result, share_of

FIGURES = {
    "harmful_found": "harmful trainings with a right finding",
    "healthy_alarmed": "healthy trainings with a warning or error",
    "true_fault_first": "true fault first",
    "true_fault_in_first_three": "true fault in the first three",
}
FEWEST = 20


def clinic_page() -> str:
    """Return what the clinic measured."""
    results = result("clinic")
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
            f"| {name} | {share_of(tuning[key])} | {share_of(validation[key])} |"
            for key, name in FIGURES.items()
        ),
        "",
        (
            "An older validation part was looked at four times, and rules were changed between "
            "the looks; it has been tuned on since. The present one has other data sets, networks "
            "and seeds, and was drawn up without a rule judging any of it "
            "([how often it was looked at](adr/0011-a-validation-part-wears-out.md))."
        ),
        *_rivals(),
        *_programs(),
        "",
        "## Precision of each rule on the validation part",
        "",
        "| rule | right | |",
        "|---|---|---|",
        *(
            f"| [{code}](rules/{code}.md) | {share_of(share)} | {_few(share)} |"
            for code, share in sorted(validation["precision"].items())
        ),
    ]
    return "\n".join(lines) + "\n"


def rivals_table() -> list[str]:
    """Return what others found on the same trainings, as a table."""
    return [
        "| | " + " | ".join(FIGURES.values()) + " |",
        "|---" * (len(FIGURES) + 1) + "|",
        *(
            f"| {name} | {' | '.join(share_of(row[key]) for key in FIGURES)} |"
            for name, row in result("clinic_rivals")["parts"]["validation"].items()
        ),
    ]


def _rivals() -> list[str]:
    seen = result("clinic_rivals")["trainings"]["validation"]
    return [
        "",
        "## Others on the same trainings",
        "",
        (
            "As installed, or rebuilt from published thresholds; none was tuned, and what each "
            "reports was mapped to the faults generously (`benchmarks/clinic/rivals.py`). "
            f"{seen['judged']} of the {seen['of']} trainings of the older validation part, "
            "and Relume's rules there as they were then."
        ),
        "",
        *rivals_table(),
    ]


def _programs() -> list[str]:
    runs: list[dict[str, Any]] = result("clinic_programs")["runs"]
    broken = [run for run in runs if not run["is_fixed"]]
    mended = [run for run in runs if run["is_fixed"]]
    found, first = (sum(run[key] for run in broken) for key in ("found", "first"))
    alarmed = sum(bool(run["alarms"]) for run in mended)
    return [
        "",
        "## Programs from public threads",
        "",
        (
            "Real programs rebuilt from public threads, one run each: a warning or error names the "
            f"fault in {found} of {len(broken)} broken ones, first in {first}; {alarmed} of "
            f"{len(mended)} mended ones have another warning."
        ),
    ]


def _few(counts: dict[str, Any]) -> str:
    return "too few" if counts["of"] < FEWEST else ""
