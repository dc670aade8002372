"""``relume diff``: two runs held against one another."""

import json as to_text
import sys
from pathlib import Path
from typing import Annotated

import typer

from relume.cli.console import console, tidy


def diff(
    a: Annotated[Path, typer.Argument(help="A run file, or a folder that holds run.sqlite.")],
    b: Annotated[Path, typer.Argument(help="The other one.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare two runs: what differs before, in losses and scores, units, findings and cost.

    Layers are matched by name, findings by code and place; losses and scores are compared at equal
    steps and at the end. Two single runs prove nothing about seeds.
    """
    from relume.report.comparing.comparison import compare_runs
    from relume.report.comparing.terminal import print_comparison
    from relume.runs.query import read_run

    comparison = compare_runs(read_run(a), read_run(b))
    if json:
        sys.stdout.write(to_text.dumps(comparison.to_json(), allow_nan=False) + "\n")
    else:
        with tidy(console()) as target:
            print_comparison(comparison, target)
