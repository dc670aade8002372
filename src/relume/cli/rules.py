"""``relume rules``: what is looked for in a training, one page a rule."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from relume.diagnosis.rule import Rule


def rules(
    code: Annotated[
        str | None, typer.Argument(help="A code such as RLM101, or a rule's name.")
    ] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the rules, or print the page of one: what it detects, why it matters, what to do."""
    import json as to_text

    from relume.diagnosis.rules import RULES

    chosen = RULES if code is None else (_rule(code),)
    if json:
        pages = [
            {"code": rule.code.value, "name": rule.name, "page": rule.page.strip()}
            for rule in chosen
        ]
        sys.stdout.write(to_text.dumps(pages) + "\n")
    elif code is None:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for rule in RULES:
            table.add_row(rule.code.value, rule.name, rule.summary)
        Console().print(table)
    else:
        (rule,) = chosen
        sys.stdout.write(f"{rule.code.value} {rule.name}\n\n{rule.page.strip()}\n")


def _rule(given: str) -> "Rule":
    import difflib

    from relume.diagnosis.rules import RULES
    from relume.errors import SettingsError

    known = {rule.code.value.lower(): rule for rule in RULES} | {rule.name: rule for rule in RULES}
    rule = known.get(given.lower())
    if rule is None:
        near = difflib.get_close_matches(given.lower(), known, n=1)
        hint = f"; the nearest is {known[near[0]].code} {known[near[0]].name}" if near else ""
        raise SettingsError(f"there is no rule {given!r}{hint} (relume rules lists them)")
    return rule
