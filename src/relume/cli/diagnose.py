"""``relume diagnose``: what is wrong with a recorded training, why, and what to do."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from relume.diagnosis.engine import Diagnosis

STYLES = {"error": "bold red", "warning": "yellow", "note": ""}


def diagnose(
    run: Annotated[Path, typer.Argument(help="A run file, or a folder that holds run.sqlite.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(help="Exit with 3 on these, as RLM101:0.05,error.", metavar="CODES"),
    ] = None,
) -> None:
    """Say what is wrong with a recorded training: where, since when, why, and what to do.

    The likely root cause comes first, what follows from it under it. A note is worth knowing and no
    fault. What could not be judged is listed; `relume rules CODE` explains a finding.
    """
    import json as to_text

    from relume.diagnosis.engine import diagnose as ask
    from relume.diagnosis.fail_on import EXIT_CODE, failed_on, parse_conditions
    from relume.runs.query import read_run

    conditions = parse_conditions(fail_on) if fail_on is not None else ()
    record = read_run(run)
    diagnosis = ask(record)
    if json:
        sys.stdout.write(to_text.dumps(diagnosis.to_json(record), allow_nan=False) + "\n")
    else:
        _print(diagnosis)
    failed = failed_on(diagnosis.findings, conditions)
    if failed:
        sys.stderr.write(f"relume: failed on {failed}\n")
        raise typer.Exit(EXIT_CODE)


def _print(diagnosis: "Diagnosis") -> None:
    from relume.report.findings import finding_lines, shown_findings

    console = Console()
    if not diagnosis.findings:
        console.print("nothing found")
    for line in finding_lines(shown_findings(diagnosis)):
        console.print(Text(line, style=STYLES.get(line.partition(" ")[0], "")), soft_wrap=True)
    seen = diagnosis.observed
    console.print(
        Text(
            f"seen: {seen['steps']:,} steps, {seen['armed_steps']:,} of them measured, "
            f"{seen['units']:,} units, {seen['weights']:,} weights, "
            f"{seen['evaluation_passes']:,} evaluation passes",
            style="dim",
        ),
        soft_wrap=True,
    )
    reasons: dict[str, list[str]] = {}
    for each in diagnosis.not_judged:
        reasons.setdefault(each.reason, []).append(each.code)
    for reason, codes in reasons.items():
        console.print(
            Text(f"not judged: {', '.join(codes)}: {reason}", style="dim"), soft_wrap=True
        )
