"""``relume clean``: takes away what old or failed runs left behind."""

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relume.report.leavings import Leavings, LeftAlone

_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def clean(
    folder: Annotated[Path, typer.Argument(help="Where to look, with all folders in it.")] = Path(),
    *,
    older_than: Annotated[
        str | None,
        typer.Option(help="Runs not written for so long: 30d, 12h, 2w.", metavar="AGE"),
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=0, help="All but so many of the newest runs.", metavar="N")
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only runs that failed or were killed.")
    ] = False,
    models: Annotated[
        bool, typer.Option("--models", help="The models of fits too; they stay otherwise.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do it; without this nothing is deleted.")
    ] = False,
) -> None:
    """Delete run files, reports and checkpoints of runs that meet every condition given.

    Without --yes it only says what would go and how much that frees. What Relume did not write
    stays, and so does a run that is being written. Links are not followed.
    """
    from relume.report.leavings import Choice, choose
    from relume.runs.places import find_runs

    if older_than is None and keep is None and not failed:
        raise SettingsError("say which runs: --older-than 30d, --keep 10, --failed, or several")
    age = None if older_than is None else _seconds(older_than)
    choice = Choice(age, keep or 0, failed)
    found = list(choose(find_runs(folder), choice, models=models))
    if yes:
        found = _delete(found, folder, models=models)
    else:
        for each in found:
            typer.echo(_line("would delete", each, folder))
    _sum_up(found, yes=yes)


def _delete(
    found: "Sequence[Leavings | LeftAlone]", folder: Path, *, models: bool
) -> "list[Leavings | LeftAlone]":
    from relume.report.leavings import Leavings, remove

    done: list[Leavings | LeftAlone] = []
    for each in found:
        done.append(remove(each, models=models) if isinstance(each, Leavings) else each)
        typer.echo(_line("deleted", done[-1], folder))
    return done


def _line(what: str, each: "Leavings | LeftAlone", folder: Path) -> str:
    from relume.report.leavings import LeftAlone
    from relume.report.wording import printable
    from relume.runs.wording import size_shown

    name = printable(each.run.folder.relative_to(folder), 120)
    if isinstance(each, LeftAlone):
        return f"left alone   {name}: {printable(each.reason, 300)}"
    written = datetime.fromtimestamp(each.run.written_at).astimezone()
    files = ", ".join(printable(path.name, 60) for path in each.paths)
    about = f"{printable(each.status, 20)}, {written:%Y-%m-%d %H:%M}, {size_shown(each.size)}"
    return f"{what} {name} ({about}): {files}"


def _sum_up(found: "Sequence[Leavings | LeftAlone]", *, yes: bool) -> None:
    from relume.report.leavings import Leavings
    from relume.runs.wording import count, size_shown

    gone = [each for each in found if isinstance(each, Leavings)]
    total = size_shown(sum(each.size for each in gone))
    if not gone:
        typer.echo("no run to delete")
    elif yes:
        typer.echo(f"{count(len(gone), 'run')} deleted, {total} freed")
    else:
        typer.echo(f"{count(len(gone), 'run')}, {total}; nothing was deleted: --yes does it")


def _seconds(age: str) -> float:
    """Return an age in seconds.

    Example:
        >>> _seconds("2h"), _seconds("1.5d")
        (7200.0, 129600.0)
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([mhdw])", age.strip(), re.ASCII)
    if match is None:
        raise SettingsError(
            f"--older-than takes a number with m, h, d or w, such as 30d or 12h; got {age!r}"
        )
    return float(match[1]) * _SECONDS[match[2]]
