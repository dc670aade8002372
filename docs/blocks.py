"""The code blocks of a page, run in order in one folder, and what they show compared.

==================  ==============================================================================
``python``          runs; all of a page share one namespace
``text``            after ``python``: what it prints
``console``         ``$ command`` runs, the lines after it are what it prints; ``...`` leaves out
``sh``              every line runs
any with a title    is written into a file of that name
``diff``            is applied to the file that has its lines
==================  ==============================================================================

Numbers may differ from machine to machine: lines are compared without them. A command that fails
is followed by ``$ echo $?``, which shows its exit code.
"""

import contextlib
import io
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.left_out import ELSEWHERE

PAGES = Path(__file__).parent
EXAMPLES = PAGES / "examples"
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_ANY_FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
CODE_OF = "echo $?"
ELIDED = "..."

Execute = Callable[[str, Path], tuple[int, str]]
"""Runs a command line in a folder and returns its exit code and all that it printed."""


class BlockError(Exception):
    """A block that does not do what the page says."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page.

    Args:
        page: Path of the page below ``docs``.
        line: Of its fence in the page, from 1.
        kind: Its language.
        title: Name of the file that it is; empty if none.
        text: What stands between the fences.
    """

    page: str
    line: int
    kind: str
    title: str
    text: str

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Commands of a console block, each with the lines shown under it."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            elif found and found[-1][0].endswith("\\"):
                found[-1] = (found[-1][0][:-1] + line.strip(), [])
            else:
                found[-1][1].append(line)
        return found


def written_pages() -> list[Path]:
    """Return the pages written by hand that have blocks to run; examples of rules are apart."""
    apart = {PAGES / name for name in ELSEWHERE} | set(EXAMPLES.iterdir())
    paths = [path for path in sorted(PAGES.rglob("*.md")) if path not in apart]
    return [path for path in paths if _FENCE.search(path.read_text("utf-8"))]


def blocks(path: Path) -> list[Block]:
    """Return the blocks of a page in order.

    Raises:
        BlockError: If a fence is not understood, so that its block would never run.
    """
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(PAGES).as_posix()
    matches = list(_FENCE.finditer(text))
    if len(_ANY_FENCE.findall(text)) != 2 * len(matches):
        raise BlockError(f'{page}: a fence is not ```language or ```language title="name"')
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2] or "", match[3])
        for match in matches
    ]


def shape(line: str) -> str:
    """Return a line without its numbers and blanks."""
    return re.sub(r"[\d.,+\-–e%]+|\s+", " ", line).strip()


class Session:
    """A page being followed in a folder.

    Args:
        folder: Empty; everything happens there. It must be the working folder, too.
        execute: Runs command lines.
        is_left_out: Says of a page and a command whether it is not run.
    """

    def __init__(
        self, folder: Path, execute: Execute, is_left_out: Callable[[str, str], bool]
    ) -> None:
        self.folder = folder
        self.ran = 0
        self._execute = execute
        self._is_left_out = is_left_out
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed: str | None = None
        self._code = 0

    def follow(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            BlockError: If it fails, or prints something else than the page shows.
        """
        if self._is_left_out(block.page, block.text.strip().splitlines()[0]):
            return
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            self.ran += 1
            return
        does = {
            "python": self._python,
            "text": self._text,
            "console": self._console,
            "sh": self._sh,
            "diff": self._diff,
        }
        if block.kind not in does:
            raise _error(block, f"nothing runs a block of {block.kind}; give it a title")
        does[block.kind](block)
        self.ran += 1

    def _python(self, block: Block) -> None:
        printed = io.StringIO()
        code = compile("\n" * block.line + block.text, str(PAGES / block.page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, self._names)  # noqa: S102 (that is what a page is for)
        self._printed = printed.getvalue()

    def _text(self, block: Block) -> None:
        if self._printed is None:
            raise _error(block, "no python block stands before it")
        _compare(block, block.text.splitlines(), self._printed)

    def _console(self, block: Block) -> None:
        commands = block.commands
        for place, (command, shown) in enumerate(commands):
            if self._is_left_out(block.page, command):
                continue
            if command == CODE_OF:
                _compare(
                    block, [f"code {line}" for line in shown], f"code {self._code}", exact=True
                )
                continue
            printed = self._run(block, command)
            is_asked = place + 1 < len(commands) and commands[place + 1][0] == CODE_OF
            if self._code and not is_asked:
                raise _error(block, f"{command!r} ended with {self._code}:\n{printed}")
            _compare(block, shown, printed)

    def _sh(self, block: Block) -> None:
        for command in _lines(block.text):
            if self._is_left_out(block.page, command):
                continue
            printed = self._run(block, command)
            if self._code:
                raise _error(block, f"{command!r} ended with {self._code}:\n{printed}")

    def _run(self, block: Block, command: str) -> str:
        try:
            self._code, printed = self._execute(command, self.folder)
        except subprocess.TimeoutExpired as error:
            raise _error(block, f"{command!r} did not end") from error
        return printed

    def _diff(self, block: Block) -> None:
        removed, added = (
            "".join(
                f"{line[1:]}\n"
                for line in block.text.splitlines()
                if line[:1] in signs and line[:3] not in ("---", "+++")
            )
            for signs in ("- ", "+ ")
        )
        for path in sorted(self.folder.glob("*.py")):
            text = path.read_text(encoding="utf-8")
            if text.count(removed) == 1:
                path.write_text(text.replace(removed, added), encoding="utf-8")
                return
        raise _error(block, "no file has the lines that it takes out, or has them twice")


def _lines(text: str) -> Iterator[str]:
    joined = text.replace("\\\n", "")
    return (line.strip() for line in joined.splitlines() if line.strip() and line[0] != "#")


def _compare(block: Block, shown: list[str], printed: str, *, exact: bool = False) -> None:
    """Hold the lines shown against those printed: all of them there, in any order."""
    of = str.strip if exact else shape
    there = {of(line) for line in printed.splitlines()}
    for line in shown:
        if line.strip() != ELIDED and of(line) not in there:
            raise _error(block, f"shows a line that was not printed: {line!r}\n{printed}")


def _error(block: Block, said: str) -> BlockError:
    return BlockError(f"docs/{block.page}:{block.line}: {said}")
