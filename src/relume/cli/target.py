"""What a person has run by ``relume run`` and ``relume cure``: a script, a module, any command."""

import importlib.machinery
import importlib.util
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from relume.errors import SettingsError, UserError

NOT_SCRIPTS = frozenset(
    {".sh", ".bash", ".ipynb", ".json", ".csv", ".txt", ".md", ".toml", ".yaml", ".yml", ".pt"}
)
TARGET = "relume.target"
"""Where the context of a command has it."""


class Kind(StrEnum):
    """What stands after our options."""

    SCRIPT = "script"
    MODULE = "module"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Target:
    """A person's program: its name, then what belongs to it."""

    kind: Kind
    words: tuple[str, ...]


def split_target(
    arguments: Sequence[str], with_value: Collection[str]
) -> tuple[list[str], Target | None]:
    """Split what is typed after a command of ours into its options and the person's program.

    Args:
        arguments: What is typed.
        with_value: Those of our options that take a value.

    Example:
        >>> split_target(["--every", "5", "train.py", "--every", "1"], ["--every"])[1].words
        ('train.py', '--every', '1')
    """
    ours: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            return ours, Target(Kind.COMMAND, tuple(words))
        if word.startswith("-m"):
            return ours, Target(Kind.MODULE, (*filter(None, [word[2:]]), *words))
        if not word.startswith("-") or word == "-":
            return ours, Target(Kind.SCRIPT, (word, *words))
        ours.append(word)
        if word in with_value and words:
            ours.append(words.pop(0))
    return ours, None


class TargetCommand(TyperCommand):
    """Reads our options and leaves alone the person's program, which comes after them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the person's program aside and parse our options."""
        with_value = {
            name
            for each in self.params
            if not getattr(each, "is_flag", False)
            for name in each.opts
        }
        ours, ctx.meta[TARGET] = split_target(args, with_value)
        return super().parse_args(ctx, ours)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Show what comes after the options."""
        return [*super().collect_usage_pieces(ctx), "{SCRIPT | -m MODULE | -- COMMAND} [ARGS]..."]


def nothing_to_run(command: str) -> SettingsError:
    """Return what is said where no program was named."""
    return SettingsError(
        f"nothing to run; write relume {command} train.py, relume {command} -m package.module or "
        f"relume {command} -- torchrun train.py"
    )


def command_of(target: Target, command: str) -> list[str]:
    """Return the person's command with its program in full.

    Args:
        target: What was typed.
        command: Ours, for what is said.

    Raises:
        UserError: It cannot be run; why is said.
    """
    from relume.observe.launch import own_python

    name, *rest = target.words
    if target.kind is Kind.COMMAND:
        program = shutil.which(name)
        if program is None:
            advice = "look for a mistake in it, or for it on PATH"
            if name.endswith(".py"):
                advice = "for a script, leave out the two dashes"
            raise UserError(f"no such command: {name}; {advice}")
        return [name, *rest]
    python = own_python(sys.orig_argv)
    if sys.flags.ignore_environment or sys.flags.no_site:
        raise SettingsError(
            "a Python with -I, -E or -S cannot be watched; start relume without them"
        )
    if target.kind is Kind.MODULE:
        _check_module(name)
        return [*python, "-m", name, *rest]
    _check_script(name, command)
    return [*python, name, *rest]


def _check_script(name: str, command: str) -> None:
    path = Path(name)
    if not path.exists():
        advice = "look for a mistake in the path"
        if shutil.which(name):
            advice = f"for a command, write relume {command} -- {name}"
        raise UserError(f"no such script: {name}; {advice}")
    if path.is_dir():
        if not (path / "__main__.py").is_file():
            raise UserError(f"{name} is a folder without a __main__.py; name a script in it")
    elif path.suffix in NOT_SCRIPTS or _is_binary(path):
        raise UserError(
            f"{name} is not a Python script; for another program, write relume {command} -- PROGRAM"
        )


def _is_binary(path: Path) -> bool:
    """Whether a file is neither text nor what Python can run besides: a zip file, bytecode."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise UserError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    is_runnable = start.startswith((b"PK", importlib.util.MAGIC_NUMBER))
    return b"\0" in start and not is_runnable


def _check_module(name: str) -> None:
    """Look for a module without importing anything of the person's."""
    path: list[str] = [str(Path.cwd()), *sys.path]
    found: importlib.machinery.ModuleSpec | None = None
    parts = name.split(".")
    for index, part in enumerate(parts):
        full = ".".join(parts[: index + 1])
        found = _spec(full, path) if part else None
        if found is None:
            raise UserError(f"no module named {full or name}; look for a mistake in {name!r}")
        path = list(found.submodule_search_locations or ())
    if path and _spec(f"{name}.__main__", path) is None:
        raise UserError(f"{name} is a package without a __main__; name a module in it")


def _spec(name: str, path: Sequence[str]) -> importlib.machinery.ModuleSpec | None:
    found = importlib.machinery.PathFinder.find_spec(name, path)
    if found is not None or "." in name:
        return found
    return importlib.util.find_spec(name)  # built in, or where an editable install says


def name_of(target: Target) -> str:
    """Return what the run is called by: its script, its module, or its command."""
    if target.kind is Kind.MODULE:
        parts = target.words[0].split(".")
        return next(part for part in reversed(parts) if part != "__main__" or len(parts) == 1)
    scripts = [word for word in target.words if word.endswith(".py")]
    named = scripts[0] if target.kind is Kind.COMMAND and scripts else target.words[0]
    return Path(named).resolve().stem or "run"
