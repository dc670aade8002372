"""Judge the rivals on the clinic's trainings: ``python -m benchmarks.clinic.rivals``.

torchdiag and neuraldbg as installed (``--packages`` names a folder that pip filled with
``--target``; what is not installed is left out), and rules rebuilt from the published thresholds of
SageMaker Debugger, AutoTrainer and DeepDiagnosis. All at once in the same trainings, none of which
they change; each alone where their cost is measured. Nothing is tuned.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.clinic.cache import Cache, Lines
from benchmarks.clinic.cases import Case
from benchmarks.clinic.command_line import add_options, chosen, say
from benchmarks.clinic.figures import Figures, Judged, Share, figures_of
from benchmarks.clinic.grid import all_cases
from benchmarks.clinic.results import Clinic
from benchmarks.clinic.rival_names import RIVALS, WITHOUT, Rival, in_words_of
from benchmarks.clinic.rival_programs import programs_by, run_programs
from benchmarks.clinic.rival_runs import (
    cost_cases,
    is_disturbed,
    key_of,
    lines_of,
    rivals_here,
    run_rivals,
)
from benchmarks.clinic.runner import available, outcome_in
from benchmarks.clinic.scenarios import Part
from benchmarks.measure import RESULTS, keep


def judged_by(
    rival: Rival, clinic: Clinic, reports: Mapping[str, Mapping[str, int]], without: Sequence[str]
) -> list[Judged]:
    """Return the cases of a clinic as a rival judges them.

    Args:
        rival: Who.
        clinic: Cases with their labels.
        reports: By id of the case: each report, and the step at which it came first.
        without: Reports that are left out.
    """
    return [
        Judged(
            in_words_of(rival, each.case), each.label, findings_of(reports[each.case.id], without)
        )
        for each in clinic.judged
        if each.case.id in reports
    ]


def findings_of(reports: Mapping[str, int], without: Sequence[str]) -> list[dict[str, Any]]:
    """Return reports as the findings that ``figures.Judged`` takes: the first to come is first."""
    ranked = sorted(reports, key=lambda name: reports[name])  # stable: equals as they came
    return [
        {"code": name, "severity": "warning", "consequences": []}
        for name in ranked
        if name not in without
    ]


def rows_of(rivals: Sequence[Rival], clinic: Clinic, lines: Lines) -> dict[str, Figures]:
    """Return the figures by label of a rival."""
    entries = {
        each.case.id: lines.known[key]["reports"]
        for each in clinic.judged
        if (key := key_of(each.case, rivals)) in lines.known
    }
    rows = {}
    for rival in rivals:
        reports = {name: entry[rival.key] for name, entry in entries.items()}
        for without in WITHOUT[rival.key]:
            label = rival.label_without(without)
            rows[label] = figures_of(judged_by(rival, clinic, reports, without))
    return rows


def costs_of(rivals: Sequence[Rival], cases: Sequence[Case], lines: Lines) -> dict[str, Any]:
    """Return the median CPU ratio to the bare training by label, over one case a scenario."""
    keys = [key_of(case, rivals, is_cost=True) for case in cost_cases(cases)]
    seconds = [lines.known[key]["cpu_s"] for key in keys if key in lines.known]
    names = {each.key: each.label for each in rivals} | {"relume": "Relume"}
    return {
        label: {
            "ratio": round(statistics.median(each[key] / each["bare"] for each in seconds), 3),
            "cases": len(seconds),
        }
        for key, label in names.items()
        if seconds
    }


def disturbed(rivals: Sequence[Rival], cases: Sequence[Case], cache: Cache) -> list[str]:
    """Return the ids of trainings that did not end as they do without rivals."""
    lines, found = lines_of(cache), []
    for case in cases:
        entry, known = lines.known.get(key_of(case, rivals)), outcome_in(cache, case, case.recipe)
        if entry is not None and known is not None and is_disturbed(known, entry["outcome"]):
            found.append(case.id)
    return found


HEADINGS = (
    "",
    "harmful found",
    "healthy alarmed",
    "first",
    "first three",
    "precision",
    "CPU",
    "programs found, first; fixed runs alarmed",
)
COLUMNS = (
    "harmful_found",
    "healthy_alarmed",
    "true_fault_first",
    "true_fault_in_first_three",
    "precision_of_all",
)


def table(result: Mapping[str, Any], part: str, relume: Mapping[str, Any] | None) -> str:
    """Return the rows of a part as Markdown, Relume's own above them.

    Args:
        result: As written to ``clinic_rivals.json``.
        part: ``tuning`` or ``validation``.
        relume: What is in ``clinic.json``; None where it is not there.
    """
    rows = dict(result["parts"].get(part, {}))
    ours = relume["parts"][part] if relume is not None else {}
    if "harmful_found" in ours:
        rows = {"Relume": ours | {"precision_of_all": _summed(ours["precision"])}} | rows
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"]
    for label, row in rows.items():
        shares = [_percent(row[name]) for name in COLUMNS]
        cost, programs = result["cost"].get(label), result["programs"].get(label, "")
        if isinstance(programs, dict):
            programs = (
                f"{programs['found']}, {programs['first']} of {programs['programs']}; "
                f"{programs['with a false alarm']} of {programs['fixed runs']}"
            )
        cells = [label, *shares, f"{cost['ratio']:.2f}×" if cost else "", programs]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _summed(precision: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    shares = precision.values()
    return Share(
        sum(int(each["hits"]) for each in shares), sum(int(each["of"]) for each in shares)
    ).to_json()


def _percent(share: Mapping[str, float]) -> str:
    if not share["of"]:
        return "none"
    middle, low, high = (
        100 * x for x in (share["hits"] / share["of"], share["low"], share["high"])
    )
    return f"{middle:.1f} % ({low:.1f}–{high:.1f})"


def mapping_table() -> str:
    """Return which codes each report of each rival may stand for, as Markdown."""
    lines = ["| rival | report | may stand for |", "|---|---|---|"]
    for rival in RIVALS:
        for word, codes in rival.words.items():
            names = ", ".join(dict.fromkeys(f"{c.name.lower()}" for c in codes))
            lines.append(f"| {rival.label} | {word} | {names} |")
    return "\n".join(lines)


def result_of(
    rivals: Sequence[Rival], cases: Sequence[Case], cache: Cache, seeds: int
) -> dict[str, Any]:
    """Return all that is known as plain data; ``seeds`` of each program."""
    lines = lines_of(cache)
    parts, trainings = {}, {}
    for part in Part:
        inside = [case for case in cases if case.part is part]
        done = [case for case in inside if key_of(case, rivals) in lines.known]
        if done:
            rows = rows_of(rivals, Clinic.of(done, cache), lines)
            parts[part.value] = {label: _plain(row) for label, row in rows.items()}
            trainings[part.value] = {"judged": len(done), "of": len(inside)}
    return {
        "parts": parts,
        "trainings": trainings,
        "cost": costs_of(rivals, cases, lines),
        "disturbed": disturbed(rivals, cases, cache),
        "words": {
            rival.label: {word: list(codes) for word, codes in rival.words.items()}
            for rival in RIVALS
        },
        "programs": programs_by(rivals, lines, seeds=seeds),
    }


def _plain(figures: Figures) -> dict[str, Any]:
    plain = figures.to_json()
    return plain | {"precision_of_all": _summed(plain["precision"])}


def options() -> argparse.ArgumentParser:
    """Return what can be asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clinic.rivals", description=__doc__)
    add_options(parser)
    parser.add_argument("--programs", type=int, default=3, metavar="SEEDS", help="0: none")
    parser.add_argument("--packages", type=Path, metavar="FOLDER", help="where rivals are")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Train what is not kept, judge, print; 1 if a training could not be run."""
    given = options().parse_args(arguments)
    if given.packages is not None:
        sys.path.append(str(given.packages.resolve()))
    everything = available(all_cases(), say)
    cases = chosen(everything, given)
    cache, rivals = Cache(given.cache), rivals_here(say)
    errors: list[str] = []
    try:
        if not given.judge:
            errors = run_rivals(cases, rivals, cache, processes=given.processes, say=say)
        if not given.judge and not given.only:
            run_programs(rivals, lines_of(cache), seeds=given.programs, say=say)
    except KeyboardInterrupt:
        say(f"interrupted; what was done is kept in {given.cache}, and the next run goes on")
        return 130
    result = result_of(rivals, cases if given.only else everything, cache, given.programs)
    if not given.only:
        keep("clinic_rivals", result)
    _show(result)
    for error in errors:
        say(error)
    return 1 if errors else 0


def _show(result: Mapping[str, Any]) -> None:
    path = RESULTS / "clinic.json"
    relume = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    for part in result["parts"]:
        print(f"\n{part}\n\n{table(result, part, relume)}")
    for name in result["disturbed"]:
        say(f"disturbed by a rival: {name}")


if __name__ == "__main__":
    sys.exit(main())
