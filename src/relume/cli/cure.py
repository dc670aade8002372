"""``relume cure``: put before a command that trains, it looks for a repair and proves it."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.target import (
    TARGET,
    Kind,
    Target,
    TargetCommand,
    command_of,
    nothing_to_run,
)
from relume.errors import OutputError, SettingsError, UserError
from relume.files import check_possible, whole_file, writing_to

if TYPE_CHECKING:
    from relume.remedies.cure.edits.diff import Patch
    from relume.remedies.cure.engine import Cure, CureSettings

WATCHING = "relume.watching"
NOT_CURED, NOT_JUDGED = 4, 5
FEWEST_SEEDS = 2


class Allowed(StrEnum):
    """What a cure may change."""

    TRAINING = "training"
    MODEL = "model"


def cure(
    ctx: typer.Context,
    *,
    metric_regex: Annotated[
        str | None, typer.Option(help=r"Score in the output: 'accuracy (\S+)', the last one.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Score that the program gives relume.metric. [the first]")
    ] = None,
    maximise: Annotated[bool, typer.Option("--maximise", help="More of the score is better.")] = (
        False
    ),
    minimise: Annotated[bool, typer.Option("--minimise", help="Less of the score is better.")] = (
        False
    ),
    allow: Annotated[
        Allowed, typer.Option(help="What may change: the training, or the model too.")
    ] = Allowed.TRAINING,
    budget: Annotated[
        str | None,
        typer.Option(
            help="In runs of yours, as 24, or processor time, as 30m. [24, or four a seed]"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Fresh seeds of the proof, at least.")] = 3,
    diff: Annotated[Path | None, typer.Option(help="Write the diff into this file.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Edit the source.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep the records in this folder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what came of it.")] = False,
) -> None:
    """Repair a training and prove it: relume cure train.py, and all of its own arguments.

    Also -m package.module, and any command after two dashes: -- torchrun train.py. Runs it,
    unmodified, again and again: as it is, under treatments that answer what is found, then the
    best one and no treatment on fresh seeds. Ends with the gain, its interval and a diff. Whatever
    the program writes, it writes in every run. Exit codes: 0 cured or healthy, 4 no candidate
    beats untreated, 5 cannot be judged.
    """
    from relume.remedies.cure.edits.diff import write_patch
    from relume.remedies.cure.engine import Outcome, Search
    from relume.remedies.cure.trial import Stage

    command = _checked_command(ctx.meta[TARGET])
    settings = _settings(
        metric_regex, metric, maximise=maximise, minimise=minimise, budget=budget, seeds=seeds,
        allow=allow,
    )  # fmt: skip
    if diff is not None:
        check_possible(diff.parent, "--diff")
    if keep is not None:
        check_possible(keep, "--keep")
    say = _silent if quiet else _say
    with _ending_by_signals(), _folder(keep) as folder:
        stage = Stage(command, folder, settings.wish.pattern, watching=WATCHING)
        found = Search(stage, settings, say).run()
    patch = None
    if found.outcome is Outcome.CURED and found.winner:
        patch = write_patch(found.winner, found.survey, Path.cwd())
    _show(found, patch, as_json=json)
    _write(patch, diff, in_place=write)
    codes = {Outcome.NOT_BETTER: NOT_CURED, Outcome.NOT_PROVEN: NOT_CURED}
    code = codes.get(found.outcome, NOT_JUDGED if found.outcome is Outcome.NOT_JUDGED else 0)
    if code:
        raise typer.Exit(code)


cure.click_command = TargetCommand  # type: ignore[attr-defined]


def _settings(
    pattern: str | None,
    metric: str | None,
    *,
    maximise: bool,
    minimise: bool,
    budget: str | None,
    seeds: int,
    allow: Allowed,
) -> "CureSettings":
    from relume.remedies.cure.budget import DEFAULT_RUNS, Budget, parse_budget
    from relume.remedies.cure.engine import CureSettings
    from relume.remedies.cure.score import ScoreWish

    if maximise and minimise:
        raise SettingsError("--maximise and --minimise exclude one another; give one of them")
    if pattern is not None and metric is not None:
        raise SettingsError("--metric-regex and --metric name two scores; give one of them")
    if seeds < FEWEST_SEEDS:
        raise SettingsError(
            f"--seeds must be at least {FEWEST_SEEDS}: one has no interval; got {seeds}"
        )
    wanted = Budget(max(DEFAULT_RUNS, 4.0 * seeds))
    if budget is not None:
        wanted = parse_budget(budget)
    if not wanted.is_time and wanted.amount < 2 * seeds + 2:
        raise SettingsError(
            f"--budget {budget} is too small: {seeds} seeds want {2 * seeds + 2} runs at least"
        )
    is_less_better = True if minimise else False if maximise else None
    return CureSettings(
        budget=wanted,
        seeds=seeds,
        wish=ScoreWish(pattern=pattern, metric=metric, is_less_better=is_less_better),
        allows_model=allow is Allowed.MODEL,
    )


def _checked_command(target: Target | None) -> list[str]:
    """Return the person's command, its program in full; or say why it cannot be run."""
    if sys.platform == "win32":
        raise UserError("relume cure needs Linux or macOS")
    if target is None or not target.words:
        raise nothing_to_run("cure")
    if target.kind is not Kind.COMMAND:
        return command_of(target, "cure")
    name, *rest = target.words
    if name in {"python", "python3"} and shutil.which(name) is None:
        return [sys.executable, *rest]
    script = next((each for each in rest if each.endswith(".py")), None)
    if script is not None and not Path(script).exists():
        raise UserError(f"no such script: {script}; look for a mistake in the path")
    return command_of(target, "cure")


@contextmanager
def _ending_by_signals() -> Iterator[None]:
    """Let a signal that asks us to end end the command, too, and take our folder away."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield the folder of the trials; it is gone at the end, unless it is kept."""
    if keep is not None:
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            raise OutputError(f"{keep} is not an empty folder; choose another for --keep")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="relume-cure-") as name:
        yield Path(name)


def _show(found: "Cure", patch: "Patch | None", *, as_json: bool) -> None:
    import json as to_text

    from relume.remedies.cure.telling import lines_of, to_json

    if as_json:
        sys.stdout.write(to_text.dumps(to_json(found, patch), allow_nan=False) + "\n")
        return
    text = "".join(f"{line}\n" for line in lines_of(found, patch))
    sys.stdout.write(text)
    if patch is not None and patch.diff:
        sys.stdout.write(f"\n{patch.diff}")


def _write(patch: "Patch | None", diff: Path | None, *, in_place: bool) -> None:
    if patch is None or not patch.diff:
        if diff is not None or in_place:
            _say("there is no diff to write")
        return
    if diff is not None:
        with writing_to(diff, "--diff"):
            diff.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(diff, "--diff") as path:
            path.write_text(patch.diff, encoding="utf-8", newline="")
        _say(f"diff: {diff}; git apply {diff}")
    if in_place:
        for path, text in patch.files.items():
            place = path.resolve()
            mode = place.stat().st_mode
            with whole_file(place, "--diff") as new:
                new.write_bytes(text)
            place.chmod(mode)
            _say(f"edited: {path}")


def _say(line: str) -> None:
    sys.stderr.write(f"relume: {line}\n")
    sys.stderr.flush()


def _silent(line: str) -> None:
    pass
