"""The tables of the clinic as text."""

from pathlib import Path

from benchmarks.clinic.cache import Cache, training_key
from benchmarks.clinic.figures import FEW, Judged, worst
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.outcomes import Label
from benchmarks.clinic.results import Clinic
from benchmarks.clinic.runner import findings_in, outcome_in, twin_seeds
from benchmarks.clinic.scenarios import Part
from relume.diagnosis.codes import Code
from relume.errors import RunFileError
from relume.runs.query import RUN_FILE, read_run


def tables(clinic: Clinic) -> str:
    """Return labels by part, faults that did no harm, and the figures where there are any."""
    lines = [f"{len(clinic.judged)} cases, {clinic.cpu_s / 60:.1f} CPU minutes with their twins"]
    parts = [part for part in Part if clinic.in_part(part)]
    for part in parts:
        counts = clinic.labels(part)
        lines.append(f"{part:12}" + "  ".join(f"{label} {counts[label]}" for label in Label))
    dropped = [each.case.id for each in clinic.judged if each.label is Label.DROPPED]
    lines += [f"dropped, for it did not reach its score: {name}" for name in dropped]
    lines.append("faults that did no harm, of all their trainings:")
    for fault, counts in sorted(clinic.by_fault().items()):
        if counts[Label.HARMLESS]:
            lines.append(f"  {counts[Label.HARMLESS]:2} of {counts.total():2}  {fault}")
    if clinic.is_judged:
        lines += [line for part in parts for line in _of_part(clinic, part)]
    return "\n".join(lines)


def _of_part(clinic: Clinic, part: Part) -> list[str]:
    figures = clinic.figures(part)
    lines = [
        "",
        f"{part}",
        f"  harmful with a right finding       {figures.found}",
        f"  healthy with a warning or error    {figures.false_alarms}",
        f"  true fault first                   {figures.first}",
        f"  true fault in the first three      {figures.first_three}",
        "  precision of each rule:",
    ]
    for code, share in figures.precision.items():
        few = "  too few" if share.total < FEW else ""
        lines.append(f"    {code} {Code(code).name.lower():24} {share}{few}")
    return lines


def listing(clinic: Clinic) -> str:
    """Return the cases that went wrong, a line each."""
    return "\n".join(_line(each) for each in worst(clinic.judged))


def _line(judged: Judged) -> str:
    said = " ".join(judged.serious) or "nothing"
    truth = " ".join(judged.case.true_codes) or "nothing wrong"
    return f"{judged.label:8} {judged.case.id}: {truth}; found {said}"


def show_case(name: str, cache: Cache) -> str:
    """Return what is known of a case: recipe, truth, outcome, facts and findings.

    Args:
        name: Its id, or the beginning of one.
        cache: What is known.
    """
    fitting = [case for case in all_cases() if case.id.startswith(name)]
    exact = [case for case in fitting if case.id == name] or fitting
    if len(exact) != 1:
        ids = "".join(f"\n  {case.id}" for case in exact[:20])
        return f"{len(exact)} cases are named {name!r}; give the id of one{ids}"
    (case,) = exact
    outcome = outcome_in(cache, case, case.recipe)
    twins = [outcome_in(cache, each, case.twin) for each in twin_seeds(case)]
    lines = [
        f"{case.id}",
        f"fault     {case.fault}, severity {case.severity}",
        f"recipe    {case.recipe}",
        f"true      {' '.join(f'{code} {code.name}' for code in case.true_codes)}",
        f"expected  {' '.join(case.expected)}",
        f"outcome   {outcome}",
        f"twins     {[round(twin.score, 3) for twin in twins if twin is not None]}",
    ]
    path = cache.record_folder(training_key(case, case.recipe)) / RUN_FILE
    lines += [f"run file  {path}", *_facts(path)]
    found = findings_in(cache, case)
    lines += ["not judged"] if found is None else [f"finding   {each}" for each in found]
    return "\n".join(lines)


def _facts(path: Path) -> list[str]:
    try:
        run = read_run(path)
    except RunFileError as error:
        return [str(error)]
    return [f"fact      {fact}" for fact in run.facts]
